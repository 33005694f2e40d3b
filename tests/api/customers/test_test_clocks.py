"""Test clocks over HTTP. Advancing them belongs to invoicing."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyRole
from customers.models import TestClock
from customers.operations import begin_clock_advance
from tests.api.problems import read_problem
from tests.factories.core import NOON, TESTER, make_client
from tests.factories.customers import make_test_clock

pytestmark = pytest.mark.django_db

URL = "/admin/v1/test-clocks"


@pytest.fixture
def client() -> APIClient:
    return make_client()


class TestCreate:
    def test_makes_a_clock(self, client: APIClient) -> None:
        answer = client.post(URL, {"name": "February", "now_at": "2026-02-28T15:00:00+01:00"})

        clock = TestClock.objects.get()
        assert answer.status_code == 201
        assert answer.json() == {
            "id": str(clock.pk),
            "name": "February",
            "now_at": "2026-02-28T14:00:00Z",
            "status": "Ready",
            "target_at": None,
            "created_at": clock.created_at.isoformat().replace("+00:00", "Z"),
        }

    def test_needs_no_name(self, client: APIClient) -> None:
        assert client.post(URL, {"now_at": "2026-02-28T14:00:00Z"}).json()["name"] == ""

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({}, (422, "invalid_input", [("now_at", "required")])),
            ({"now_at": None}, (422, "invalid_input", [("now_at", "null")])),
            ({"now_at": "2026-02-28T14:00:00"}, (422, "invalid_input", [("now_at", "no_offset")])),
            ({"now_at": "2026-02-30T14:00:00Z"}, (422, "invalid_input", [("now_at", "invalid")])),
            ({"now_at": 1772287200}, (422, "invalid_input", [("now_at", "wrong_type")])),
            (
                {"now_at": "1999-12-31T23:59:59Z"},
                (422, "clock_out_of_range", [("now_at", "clock_out_of_range")]),
            ),
            (
                {"now_at": "2026-02-28T14:00:00Z", "status": "Advancing"},
                (422, "invalid_input", [("status", "unknown_field")]),
            ),
        ],
    )
    def test_refuses(self, client: APIClient, body: dict[str, Any], problem: object) -> None:
        assert read_problem(client.post(URL, body)) == problem
        assert not TestClock.objects.exists()


class TestRetrieve:
    def test_shows_where_a_clock_stands_and_goes(self, client: APIClient) -> None:
        clock = make_test_clock(now_at=NOON)
        begin_clock_advance(test_clock_id=clock.pk, to=NOON + timedelta(days=1), at=NOON, actor=TESTER)

        body = client.get(f"{URL}/{clock.pk}").json()

        assert (body["now_at"], body["status"], body["target_at"]) == (
            "2026-02-28T12:00:00Z",
            "Advancing",
            "2026-03-01T12:00:00Z",
        )

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.get(f"{URL}/{make_id()}")) == (404, "not_found", [])

    def test_cannot_be_set(self, client: APIClient) -> None:
        clock = make_test_clock()

        assert read_problem(client.patch(f"{URL}/{clock.pk}", {"name": "x"}))[0] == 405


class TestList:
    def test_filters_and_shows_the_newest_first(self, client: APIClient) -> None:
        first, second = make_test_clock(), make_test_clock()
        begin_clock_advance(test_clock_id=first.pk, to=NOON + timedelta(days=1), at=NOON, actor=TESTER)

        def find(**parameters: str) -> list[str]:
            return [clock["id"] for clock in client.get(URL, parameters).json()]

        assert find() == [str(second.pk), str(first.pk)]
        assert find(status="Advancing") == [str(first.pk)]
        assert read_problem(client.get(URL, {"status": "Broken"})) == (
            422,
            "invalid_filter",
            [("status", "invalid_choice")],
        )


class TestAccess:
    def test_is_for_keys_with_the_scope(self) -> None:
        reader = make_client(role=ApiKeyRole.READ_ONLY)
        stranger = make_client(kind="Restricted", scopes=["customers:write"])

        assert reader.get(URL).status_code == 200
        assert read_problem(reader.post(URL, {}))[:2] == (403, "missing_scope")
        assert read_problem(stranger.get(URL))[:2] == (403, "missing_scope")
        assert read_problem(APIClient().get(URL))[:2] == (401, "missing_api_key")

    def test_is_for_test_mode(self, client: APIClient, settings: Any) -> None:
        settings.BILLING_MODE = "Live"
        live = make_client()

        answer = live.post(URL, {"now_at": "2026-02-28T14:00:00Z"})

        assert read_problem(answer) == (409, "test_clock_in_live_mode", [])
