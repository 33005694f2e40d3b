"""The pages of fills: how far each is."""

import pytest
from django.test import Client

from catalog.models import Meter
from catalog.operations import MeterDefinition, create_meter
from metering.models import MeterFill
from metering.operations import start_fill
from tests.factories.core import NOON, TESTER
from tests.factories.metering import EVENT_TYPE

pytestmark = pytest.mark.django_db

PATH = "/admin/metering/meterfill/"


def make_meter(code: str) -> Meter:
    definition = MeterDefinition.read(event_type=EVENT_TYPE, property="input_tokens")
    return create_meter(definition=definition, code=code, at=NOON, actor=TESTER)


def make_running(code: str = "running") -> MeterFill:
    return MeterFill.objects.create(
        meter=make_meter(code), status="Running", started_at=NOON, segment_count=4_000, done_count=1_000
    )


class TestList:
    def test_shows_meters_and_progress(self, staff: Client) -> None:
        make_running()
        start_fill(meter_id=make_meter("completed").pk, at=NOON, actor=TESTER)

        page = staff.get(PATH).content.decode()

        assert '<progress max="100" value="25" aria-label="Progress"></progress>' in page
        assert "25 %, 1,000 of 4,000 segments" in page
        assert "100 %, 0 of 0 segments" in page

    def test_finds_a_meter_by_code_or_id(self, staff: Client) -> None:
        wanted, other = make_running("wanted"), make_running("other")

        for text in ("wanted", wanted.meter_id, wanted.pk):
            page = staff.get(PATH, {"q": str(text)}).content.decode()
            assert f"{PATH}{wanted.pk}/change/" in page
            assert f"{PATH}{other.pk}/change/" not in page

    def test_is_reached_from_the_meter(self, staff: Client) -> None:
        wanted, other = make_running("wanted"), make_running("other")
        address = f"{PATH}?meter__id__exact={wanted.meter_id}"

        assert address in staff.get(f"/admin/catalog/meter/{wanted.meter_id}/change/").content.decode()
        page = staff.get(address).content.decode()
        assert f"{PATH}{wanted.pk}/change/" in page
        assert f"{PATH}{other.pk}/change/" not in page


class TestPage:
    def test_leads_to_the_meter(self, staff: Client) -> None:
        fill = make_running()

        page = staff.get(f"{PATH}{fill.pk}/change/").content.decode()

        assert f'href="/admin/catalog/meter/{fill.meter_id}/change/"' in page
        assert "1,000 of 4,000 segments" in page
