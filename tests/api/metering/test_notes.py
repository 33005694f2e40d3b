"""Notes on events that were not stored, over HTTP."""

import pytest

from billing_project.core.models import ApiKeyKind
from tests.api.problems import read_problem
from tests.factories.core import make_client
from tests.factories.metering import ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe

pytestmark = pytest.mark.django_db

PATH = "/v1/ingest-notes"


class TestList:
    def test_shows_what_went_wrong_the_last_first(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription, id="one")
        ingest(event)
        ingest(event)
        ingest(write_event(subscription, id="two", properties={"input_tokens": "many"}))

        shown = make_client().get(PATH).json()

        assert [(note["code"], note["event_id"]) for note in shown] == [
            ("invalid_value", "two"),
            ("duplicate", "one"),
        ]
        assert shown[0]["customer_id"] == str(subscription.customer_id)
        assert shown[0]["properties"] == '{"input_tokens":"many"}'
        assert shown[0]["timestamp"] == "2026-02-28T12:00:00Z"

    @pytest.mark.parametrize(
        ("filters", "count"),
        [
            ({"code": "duplicate"}, 1),
            ({"code": "conflict"}, 0),
            ({"event_id": "one"}, 1),
            ({"event_type": "other"}, 0),
            ({"noted_after": "2026-02-28T12:00:00Z"}, 1),
            ({"noted_before": "2026-02-28T12:00:00Z"}, 0),
            ({"customer_id": "01900000-0000-7000-8000-000000000000"}, 0),
        ],
    )
    def test_can_be_filtered(self, filters: dict[str, str], count: int) -> None:
        event = write_event(subscribe(plan=make_metered_plan()), id="one")
        ingest(event)
        ingest(event)

        assert len(make_client().get(PATH, filters).json()) == count

    def test_refuses_unknown_filters(self) -> None:
        assert read_problem(make_client().get(PATH, {"colour": "red"}))[0] == 422

    def test_needs_the_scope_of_reading_events(self) -> None:
        assert make_client(kind=ApiKeyKind.RESTRICTED, scopes=["events:read"]).get(PATH).status_code == 200
        assert make_client(kind=ApiKeyKind.RESTRICTED, scopes=["events:write"]).get(PATH).status_code == 403
