"""Invariants: what must be true of the stored data at any moment, checked on a live database.

Each app registers its checks in `AppConfig.ready()`; `manage.py check_invariants` and the tests run them all.
A check reads and never writes. It yields a sentence for each breach, naming the rows, so that somebody can go
and look.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

Check = Callable[[], Iterable[str]]
BREACH_LIMIT = 100

_CHECKS: dict[str, Check] = {}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: nothing, or the first breaches up to a limit."""

    name: str
    breaches: tuple[str, ...]


def register(name: str, check: Check) -> None:
    """Add a check under a name that says what must be true, such as "periods tile"."""
    assert _CHECKS.get(name, check) is check, f"another check is called {name!r}"
    _CHECKS[name] = check


def run_checks() -> Iterator[Finding]:
    """Run every registered check, in the order of registration."""
    for name, check in _CHECKS.items():
        yield Finding(name=name, breaches=tuple(islice(check(), BREACH_LIMIT)))
