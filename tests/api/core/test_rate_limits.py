"""Limits on how often a key may call."""

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from billing_project.core.access import rate_limits
from billing_project.core.access.rate_limits import count_request, delete_old_counters
from billing_project.core.models import NumberSequence, RateCounter
from tests.api.core.test_conventions import check_problem
from tests.factories.core import NOON, make_client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.core.sample")]

THINGS = "/v1/things"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Set the limit to three a minute, and the time to 12:00:45."""
    settings.BILLING_RATE_LIMIT_PER_MINUTE = 3
    monkeypatch.setattr(rate_limits, "now", lambda: NOON + timedelta(seconds=45))


class TestKeyThrottle:
    def test_refuses_what_is_beyond_the_limit_and_says_when_to_come_back(self, clock: None) -> None:
        client = make_client()
        for _ in range(3):
            assert client.get(THINGS).status_code == 200

        answer = client.post(THINGS, {"name": "x"})

        check_problem(answer, 429, "throttled")
        assert answer["Retry-After"] == "15"
        assert not NumberSequence.objects.exists()

    def test_lets_the_next_minute_begin_anew(self, clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
        client = make_client()
        answers = [client.get(THINGS).status_code for _ in range(4)]
        monkeypatch.setattr(rate_limits, "now", lambda: NOON + timedelta(minutes=1))

        assert [*answers, client.get(THINGS).status_code] == [200, 200, 200, 429, 200]

    def test_counts_each_key_by_itself(self, clock: None) -> None:
        clients = [make_client(), make_client()]

        assert [client.get(THINGS).status_code for client in clients * 3] == [200] * 6

    def test_counts_no_stranger(self, clock: None) -> None:
        assert {APIClient().get(THINGS).status_code for _ in range(5)} == {401}
        assert not RateCounter.objects.exists()

    def test_costs_nothing_without_a_limit(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        client = make_client()
        client.get(THINGS)

        with django_assert_num_queries(2):
            client.get(THINGS)

        assert not RateCounter.objects.exists()


class TestCountRequest:
    def test_counts_by_minute(self) -> None:
        times = [0, 30, 59, 60, 61]

        counts = [count_request(caller="c", at=NOON + timedelta(seconds=seconds)) for seconds in times]

        assert counts == [1, 2, 3, 1, 2]


class TestDeleteOldCounters:
    def test_keeps_the_last_hour(self) -> None:
        for minutes in (0, 1, 60):
            count_request(caller="c", at=NOON + timedelta(minutes=minutes))

        assert delete_old_counters(at=NOON + timedelta(minutes=61)) == 1
        assert RateCounter.objects.count() == 2
