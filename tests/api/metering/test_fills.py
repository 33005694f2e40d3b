"""Fills of meters over HTTP."""

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind
from catalog.models import Meter
from catalog.operations import MeterDefinition, create_meter
from metering.models import MeterFill
from metering.operations import start_fill
from tests.api.problems import read_problem
from tests.factories.core import NOON, TESTER, make_client
from tests.factories.metering import EVENT_TYPE

pytestmark = pytest.mark.django_db

PATH = "/admin/v1/meter-fills"


def make_meter(code: str) -> Meter:
    definition = MeterDefinition.read(event_type=EVENT_TYPE, property="input_tokens")
    return create_meter(definition=definition, code=code, at=NOON, actor=TESTER)


@pytest.fixture
def running() -> MeterFill:
    return MeterFill.objects.create(
        meter=make_meter("running"), status="Running", started_at=NOON, segment_count=3, done_count=2
    )


@pytest.fixture
def completed() -> MeterFill:
    return start_fill(meter_id=make_meter("completed").pk, at=NOON, actor=TESTER)


class TestFills:
    def test_show_how_far_they_are(self, running: MeterFill) -> None:
        answer = make_client().get(f"{PATH}/{running.pk}")

        assert answer.status_code == 200
        shown = answer.json()
        assert shown.pop("created_at")
        assert shown == {
            "id": str(running.pk),
            "meter_id": str(running.meter_id),
            "meter_code": "running",
            "status": "Running",
            "segment_count": 3,
            "done_count": 2,
            "percent": 66,
            "started_at": "2026-02-28T12:00:00Z",
            "completed_at": None,
        }

    def test_are_listed_by_meter_and_status(self, running: MeterFill, completed: MeterFill) -> None:
        client = make_client()

        def find(**query: str) -> list[str]:
            return [fill["meter_code"] for fill in client.get(PATH, query).json()]

        assert find() == ["completed", "running"]
        assert find(status="Running") == find(meter_code="running") == ["running"]
        assert find(meter_id=str(completed.meter_id)) == ["completed"]
        assert find(meter_id=str(make_id())) == []
        assert read_problem(client.get(PATH, {"status": "Done"}))[0] == 422

    def test_are_not_there_under_another_id(self, running: MeterFill) -> None:
        assert make_client().get(f"{PATH}/{make_id()}").status_code == 404

    def test_cannot_be_made_or_changed(self, running: MeterFill) -> None:
        client: APIClient = make_client()

        assert client.post(PATH, {}).status_code == 405
        assert client.delete(f"{PATH}/{running.pk}").status_code == 405
        assert MeterFill.objects.get().status == "Running"

    @pytest.mark.parametrize(("scope", "status"), [("metering:read", 200), ("events:read", 403)])
    def test_take_the_right_to_read_usage(self, running: MeterFill, scope: str, status: int) -> None:
        client = make_client(kind=ApiKeyKind.RESTRICTED, scopes=[scope])

        assert client.get(PATH).status_code == client.get(f"{PATH}/{running.pk}").status_code == status
