"""Numbers taken at the same moment."""

import pytest
from django.db import transaction

from billing_project.core.sequences import take_number
from tests.concurrency.racing import errors_of, race

pytestmark = pytest.mark.django_db(transaction=True)


class GivenUp(Exception):
    """The transaction is undone."""


def take(*, times: int, fails_at: int) -> list[int]:
    """Take a number in each of many transactions, one of which is undone."""
    kept = []
    for turn in range(times):
        try:
            with transaction.atomic():
                number = take_number("invoice")
                if turn == fails_at:
                    raise GivenUp
            kept.append(number)
        except GivenUp:
            pass
    return kept


class TestTakeNumber:
    def test_leaves_no_gap_and_gives_none_twice(self) -> None:
        outcomes = race(*(lambda n=n: take(times=10, fails_at=n) for n in range(8)))

        assert errors_of(outcomes) == []
        numbers = [number for outcome in outcomes for number in outcome]
        assert sorted(numbers) == list(range(1, 8 * 9 + 1))
        assert all(outcome == sorted(outcome) for outcome in outcomes)
