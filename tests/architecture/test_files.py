"""What every file of the project keeps to: one subject, finished, and at home on any machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, Module, iter_files, parse, place, read_everything

LINES_LIMIT = 400
TEST_LINES_LIMIT = 600  # A class for a function, a test for a case: one subject takes more lines.

# Modules that are longer, with the reason. An entry no longer needed fails.
LONG: dict[str, str] = {}

UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E)\b")
FOREIGN = re.compile(
    r"(?<![\w.}])/(?:work|root|home|Users|tmp|opt)/\w"  # A folder of one machine.
    r"|\bpy[p]i\.org|python[h]osted|registry\.np[m]js|(?:index|registry)[-_]url\s*="  # A registry's address.
)
TEXT_SUFFIXES = {"", ".cfg", ".css", ".html", ".js", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}


def find_long(module: Module) -> Iterator[str]:
    """Find a module that has outgrown what a reader keeps in mind."""
    count = len(module.text.splitlines())
    if count > (TEST_LINES_LIMIT if module.parts[0] == "tests" else LINES_LIMIT):
        yield place(module, module.tree, f"{count} lines")


def find_matches(path: str, text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    """Find what a file must not say."""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := pattern.search(line):
            yield f"{path}:{number}: {match[0]}"


def read_texts() -> Iterator[tuple[str, str]]:
    """Read every file that a person wrote."""
    for path in iter_files():
        if path.suffix in TEXT_SUFFIXES:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


class TestModules:
    def test_are_short(self) -> None:
        found = [
            breach for module in read_everything() if module.path not in LONG for breach in find_long(module)
        ]

        assert found == [], "\n".join(found)

    def test_need_every_exception_that_is_listed(self) -> None:
        long = {module.path for module in read_everything() if any(find_long(module))}

        assert LONG.keys() - long == set()


class TestTexts:
    def test_leave_no_work_for_later(self) -> None:
        found = [breach for path, text in read_texts() for breach in find_matches(path, text, UNFINISHED)]

        assert found == [], "\n".join(found)

    def test_name_no_folder_and_no_registry_of_one_machine(self) -> None:
        found = [breach for path, text in read_texts() for breach in find_matches(path, text, FOREIGN)]

        assert found == [], "\n".join(found)

    def test_include_the_readme_and_the_tools(self) -> None:
        paths = {path for path, _ in read_texts()}

        assert {"README.md", "pyproject.toml", ".ci/run", "tests/architecture/test_files.py"} <= paths


class TestFindLong:
    @pytest.mark.parametrize(
        ("path", "limit"), [("catalog/sample.py", 400), ("tests/unit/test_sample.py", 600)]
    )
    def test_counts_lines(self, path: str, limit: int) -> None:
        assert list(find_long(parse("\n" * limit, path))) == []
        assert list(find_long(parse("\n" * (limit + 1), path))) == [f"{path}:1: {limit + 1} lines"]


class TestFindMatches:
    @pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME"])
    def test_sees_unfinished_work(self, word: str) -> None:
        assert list(find_matches("a.py", f"one\n# {word}: later", UNFINISHED)) == [f"a.py:2: {word}"]

    @pytest.mark.parametrize(
        "text",
        [
            str(Path("/home") / "someone"),
            str(Path("/tmp") / "data"),  # noqa: S108 (an example, built so that the rule does not see it here)
            "https://" + "py" + "pi.org/simple",
            "index-" + "url = mirror",
        ],
    )
    def test_sees_what_belongs_to_one_machine(self, text: str) -> None:
        assert len(list(find_matches("a.py", f"value = '{text}'", FOREIGN))) == 1

    @pytest.mark.parametrize("text", ["/v1/events", "docs/home/page", "{base}/tmp/item", "/usr/bin/env bash"])
    def test_lets_pass(self, text: str) -> None:
        assert list(find_matches("a.py", text, FOREIGN)) == []
