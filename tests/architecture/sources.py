"""The project's own source, parsed once, for the rules that read it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("billing_project", "catalog", "customers", "subscriptions", "metering", "invoicing")
SKIPPED_FOLDERS = {"__pycache__", "staticfiles", "screenshots"}


@dataclass(frozen=True)
class Module:
    """A Python file of the project."""

    path: str
    text: str
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """The path's folders and, last, the module's own name."""
        return Path(self.path).with_suffix("").parts


def parse(text: str, path: str = "catalog/sample.py") -> Module:
    """Make a module from its text: a file's, or a test's example of what a rule must catch."""
    return Module(path=path, text=text, tree=ast.parse(text, filename=path))


def is_migration(module: Module) -> bool:
    """Whether Django wrote the module, or could have."""
    return "migrations" in module.parts


@cache
def read_product() -> tuple[Module, ...]:
    """Read the product's modules, without migrations."""
    modules = (_read(path) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(module for module in modules if not is_migration(module))


@cache
def read_everything() -> tuple[Module, ...]:
    """Read every Python file of the project, tests and tools too, without migrations."""
    modules = (_read(path) for path in iter_files() if path.suffix == ".py")
    return tuple(module for module in modules if not is_migration(module))


def iter_files() -> Iterator[Path]:
    """Walk over every file that could be committed."""
    folders = [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            is_hidden = path.name.startswith(".") and path.name != ".ci"
            if path.is_dir():
                if not is_hidden and path.name not in SKIPPED_FOLDERS:
                    folders.append(path)
            elif path.name != "uv.lock":
                yield path


def walk_calls(module: Module) -> Iterator[ast.Call]:
    """Walk over every call in a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node


def place(module: Module, node: ast.AST, message: str) -> str:
    """Say where in a module a rule is broken, the way editors understand."""
    return f"{module.path}:{getattr(node, 'lineno', 1)}: {message}"


def _read(path: Path) -> Module:
    return parse(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
