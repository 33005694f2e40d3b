import re
from pathlib import Path

from tests.installs import PROJECT

NAME = re.compile(r"BILLING_[A-Z_]+")
READ = re.compile(r'\benv\.\w+\(\s*"(BILLING_[A-Z_]+)"')


def read(path: str) -> str:
    return (PROJECT / Path(path)).read_text(encoding="utf-8")


class TestVariables:
    def test_are_each_described(self) -> None:
        described = {
            match[0]
            for line in read("docs/configuration.md").splitlines()
            if line.startswith("| `BILLING_") and (match := NAME.search(line))
        }

        assert set(READ.findall(read("billing_project/settings.py"))) == described
