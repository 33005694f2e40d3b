"""Decisions can be found: each has a number of its own, and its line in the list."""

import re

from tests.architecture.sources import ROOT

FOLDER = ROOT / "docs" / "decisions"


class TestDecisions:
    def test_have_numbers_of_their_own(self) -> None:
        numbers = [path.name[:4] for path in FOLDER.glob("[0-9]*.md")]

        assert sorted(numbers) == [f"{number:04d}" for number in range(1, len(numbers) + 1)]

    def test_are_listed_in_order_by_their_titles(self) -> None:
        lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
        listed = [
            match.groups() for line in lines if (match := re.match(r"\| \[\d+\]\((.+)\) \| (.+) \|", line))
        ]
        written = [
            (path.name, path.read_text(encoding="utf-8").splitlines()[0].removeprefix(f"# {path.name[:4]}. "))
            for path in sorted(FOLDER.glob("[0-9]*.md"))
        ]

        assert listed == written
