"""What an event added to meters that do not charge for it."""

import pytest

from catalog.models import Aggregation, CatalogStatus, Meter
from catalog.operations import MeterDefinition, create_meter, update_meter
from catalog.queries import get_meter
from subscriptions.models import Subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.corrections import void
from tests.factories.metering import (
    EVENT_TYPE,
    ingest,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db


class TestMetersThatDoNotCharge:
    """What an event added to these depends on what became of the meter since, so their hours count anew."""

    def make_meter(self, aggregation: Aggregation = Aggregation.SUM) -> Meter:
        definition = MeterDefinition.read(
            event_type=EVENT_TYPE, property="input_tokens", aggregation=aggregation
        )
        return create_meter(definition=definition, code="it", at=NOON, actor=TESTER)

    def set_status(self, status: CatalogStatus) -> None:
        update_meter(
            meter_id=Meter.objects.get(code="it").pk, changes={"status": status}, at=NOON, actor=TESTER
        )

    def make_subscription(self) -> Subscription:
        plan = make_plan()
        make_sku(plan, meter=MeterDefinition.read(event_type=EVENT_TYPE, property="output_tokens"))
        return subscribe(plan=plan)

    def test_that_counted_the_event_count_it_no_more(self) -> None:
        subscription = self.make_subscription()
        self.make_meter()
        kept, gone = write_event(subscription), write_event(subscription)
        ingest(kept, gone)

        void(gone)

        assert read_totals(subscription)["it"] == 10
        assert find_breaches() == []

    def test_that_are_younger_and_not_filled_lose_nothing(self) -> None:
        subscription = self.make_subscription()
        gone = write_event(subscription)
        ingest(gone)
        self.make_meter()
        kept = write_event(subscription)
        ingest(kept)

        void(gone)

        assert read_totals(subscription)["it"] == 10
        assert find_breaches() == []

    def test_that_were_archived_when_it_came_lose_nothing(self) -> None:
        subscription = self.make_subscription()
        self.make_meter()
        ingest(write_event(subscription))
        self.set_status(CatalogStatus.ARCHIVED)
        gone = write_event(subscription)
        ingest(gone)

        void(gone)

        assert read_totals(subscription)["it"] == 10
        assert find_breaches() == []

    def test_that_are_archived_since_count_it_no_more(self) -> None:
        subscription = self.make_subscription()
        self.make_meter()
        kept, gone = write_event(subscription), write_event(subscription)
        ingest(kept, gone)
        self.set_status(CatalogStatus.ARCHIVED)

        void(gone)

        assert get_meter(Meter.objects.get(code="it").pk).status == CatalogStatus.ARCHIVED
        assert read_totals(subscription)["it"] == 10
        assert find_breaches() == []

    def test_that_cannot_count_its_value_are_left(self) -> None:
        subscription = self.make_subscription()
        gone = write_event(subscription, properties={"input_tokens": "many", "output_tokens": 1})
        ingest(gone)
        self.make_meter(Aggregation.MAX)
        ingest(write_event(subscription))

        void(gone)

        assert read_totals(subscription)["it"] == 10
        assert find_breaches() == []
