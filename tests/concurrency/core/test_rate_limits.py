"""Requests of one key, counted at the same moment."""

import pytest

from billing_project.core.access.rate_limits import count_request
from tests.concurrency.racing import race
from tests.factories.core import NOON

pytestmark = pytest.mark.django_db(transaction=True)


class TestCountRequest:
    def test_misses_none(self) -> None:
        def count_five() -> list[int]:
            return [count_request(caller="c", at=NOON) for _ in range(5)]

        outcomes = race(*[count_five] * 8)

        assert sorted(count for counts in outcomes for count in counts) == list(range(1, 41))
