"""The import contracts of pyproject.toml hold, and each of them would notice a wrong import."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT

LINT = "import sys; from importlinter import cli; sys.exit(cli.lint_imports(no_logo=True, no_cache=True))"

# A wrong import for each contract, by the contract's name.
WRONG_IMPORTS = {
    "Apps depend one way": ("catalog/models/__init__.py", "import customers.models"),
    "Nothing imports the assembly": ("billing_project/core/errors.py", "import billing_project.urls"),
    "Inside core": ("billing_project/core/models/__init__.py", "import billing_project.core.audit"),
    "Inside catalog": ("catalog/models/__init__.py", "import catalog.operations"),
    "Inside customers": ("customers/models/__init__.py", "import customers.operations"),
    "Inside subscriptions": ("subscriptions/models/__init__.py", "import subscriptions.operations"),
    "Inside metering": ("metering/models/__init__.py", "import metering.queries"),
    "Inside invoicing": ("invoicing/rating/__init__.py", "import invoicing.models"),
    "Pure code does no I/O": ("billing_project/core/money.py", "import django"),
    "Domain code does not know its interfaces": ("metering/queries.py", "import rest_framework"),
}


def run_linter(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check a tree's contracts in a process of its own, since the linter imports what it finds there."""
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def copy_project(folder: Path) -> None:
    """Copy what the linter reads."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def read_broken(output: str) -> set[str]:
    """Read the names of the contracts that the linter reports as broken."""
    return set(re.findall(r"^(.+) BROKEN", output, re.MULTILINE))


class TestContracts:
    def test_are_kept(self) -> None:
        result = run_linter(ROOT)

        assert result.returncode == 0, result.stdout + result.stderr

    @pytest.mark.parametrize("contract", WRONG_IMPORTS)
    def test_notice_a_wrong_import(self, contract: str, tmp_path: Path) -> None:
        path, line = WRONG_IMPORTS[contract]
        copy_project(tmp_path)
        with (tmp_path / path).open("a") as module:
            module.write(f"\n{line}\n")

        result = run_linter(tmp_path)

        assert result.returncode == 1
        assert contract in read_broken(result.stdout), result.stdout

    def test_are_each_seen_to_break(self) -> None:
        contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

        assert {contract["name"] for contract in contracts} == WRONG_IMPORTS.keys()

    def test_notice_a_module_without_a_place(self, tmp_path: Path) -> None:
        copy_project(tmp_path)
        (tmp_path / "invoicing" / "helpers.py").touch()

        result = run_linter(tmp_path)

        assert result.returncode == 1
        assert read_broken(result.stdout) == {"Inside invoicing"}
