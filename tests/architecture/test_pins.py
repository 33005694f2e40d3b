"""Every dependency is pinned: the command that keeps the pins, and the file that holds them."""

import importlib.util
import sys
import tomllib
from types import ModuleType

import pytest

from tests.architecture.sources import ROOT


def load_command() -> ModuleType:
    """Load the command, which stands outside every package."""
    spec = importlib.util.spec_from_file_location("pins", ROOT / ".ci" / "pins.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


pins = load_command()


class TestPyproject:
    def test_pins_each_package_once_and_exactly(self) -> None:
        pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
        direct, indirect = pins.read_direct(pyproject), pins.read_indirect(pyproject)

        assert direct["django"].startswith("5.2.")
        assert "sqlparse" in indirect
        assert direct.keys() & indirect.keys() == set()


class TestReadPins:
    def test_reads_extras_and_normalizes_names(self) -> None:
        assert pins.read_pins(["psycopg[binary,pool]==3.3.9", "Types_PyYAML==6.0"]) == {
            "psycopg": "3.3.9",
            "types-pyyaml": "6.0",
        }

    @pytest.mark.parametrize(
        "requirement",
        ["django", "django>=5.2", "django==5.2,<6", "django==5.2; sys_platform == 'linux'", "django==5.2.*"],
    )
    def test_refuses_what_fixes_no_version(self, requirement: str) -> None:
        with pytest.raises(pins.PinsError, match="does not pin one version"):
            pins.read_pins([requirement])


class TestReadLocked:
    def test_leaves_the_project_out(self) -> None:
        lock = {
            "package": [
                {"name": "usage-billing", "version": "0.1.0", "source": {"virtual": "."}},
                {"name": "vine", "version": "5.1.0", "source": {"registry": "mirror"}},
            ]
        }

        assert pins.read_locked(lock) == {"vine": "5.1.0"}

    def test_refuses_two_versions_of_a_package(self) -> None:
        lock = {"package": [{"name": "vine", "version": "5.1.0"}, {"name": "vine", "version": "5.0.0"}]}

        with pytest.raises(pins.PinsError, match=r"vine is locked at both 5\.1\.0 and 5\.0\.0"):
            pins.read_locked(lock)


class TestFindDifferences:
    def test_finds_none_where_the_pins_are_complete(self) -> None:
        assert (
            pins.find_differences(direct={"a": "1"}, indirect={"b": "2"}, locked={"a": "1", "b": "2"}) == []
        )

    @pytest.mark.parametrize(
        ("direct", "indirect", "locked", "difference"),
        [
            ({"a": "1"}, {}, {"a": "1", "b": "2"}, "b: missing, uv resolves 2"),
            ({"a": "1"}, {"b": "2"}, {"a": "1"}, "b: superfluous, nothing needs it"),
            ({"a": "1"}, {}, {"a": "2"}, "a: pinned at 1, but uv resolves 2"),
            (
                {"a": "1"},
                {"a": "1"},
                {"a": "1"},
                "a: pinned twice, in a dependency list and in constraint-dependencies",
            ),
        ],
    )
    def test_names_what_differs(
        self, direct: dict[str, str], indirect: dict[str, str], locked: dict[str, str], difference: str
    ) -> None:
        assert pins.find_differences(direct=direct, indirect=indirect, locked=locked) == [difference]


class TestWriteBlock:
    def test_replaces_only_the_block(self) -> None:
        text = '[tool.uv]\nconstraint-dependencies = [\n    "old==1",\n]\n\n[tool.ruff]\n'

        assert pins.write_block(text, {"b": "2", "a": "1"}) == (
            '[tool.uv]\nconstraint-dependencies = [\n    "a==1",\n    "b==2",\n]\n\n[tool.ruff]\n'
        )

    def test_refuses_a_file_without_the_block(self) -> None:
        with pytest.raises(pins.PinsError, match="has 0 constraint-dependencies blocks"):
            pins.write_block("[tool.uv]\n", {})
