"""Taking back all the events that are meant."""

from decimal import Decimal

import pytest

from catalog.models import Aggregation
from metering.models import (
    EventVoid,
    UsageCorrection,
)
from metering.operations import corrections
from metering.operations.corrections import (
    NothingToVoid,
    TooManyEventsSelected,
    UnknownCustomer,
    UnknownEvents,
)
from metering.queries.corrections import InvalidPropertyValue, SelectionTooWide
from tests.factories.core import NOON
from tests.factories.corrections import void, void_all
from tests.factories.metering import (
    CALLS,
    EVENT_TYPE,
    ingest,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe
from tests.operations.metering.correcting import HOUR, Event, read_input, read_it, subscribe_to, use

pytestmark = pytest.mark.django_db


def list_voided() -> list[str]:
    return list(EventVoid.objects.order_by("event_id").values_list("event_id", flat=True))


class TestVoidEvents:
    def test_takes_back_all_that_satisfy_every_condition(self) -> None:
        plan = make_metered_plan(with_count=True)
        subscription = subscribe(plan=plan)
        customer = subscription.customer
        second = subscribe(customer=customer, plan=plan)
        stranger = subscribe(plan=plan)
        match_all: Event = {
            "timestamp": NOON + HOUR,
            "properties": {"input_tokens": 10, "run": 7, "is_test": True},
        }
        wanted = [write_event(subscription, **match_all, id=f"wanted-{number}") for number in range(3)]
        others = [
            write_event(second, **match_all),
            write_event(stranger, **match_all),
            write_event(subscription, **match_all, event_type="llm.embedding"),
            write_event(subscription, **{**match_all, "timestamp": NOON + 2 * HOUR}),
            write_event(subscription, **{**match_all, "timestamp": NOON}),
            write_event(subscription, **{**match_all, "properties": {"run": 8, "is_test": True}}),
            write_event(subscription, **{**match_all, "properties": {"run": 7}}),
        ]
        early = write_event(subscription, **match_all)
        ingest(early, at=NOON)
        ingest(*wanted, *others, at=NOON + 2 * HOUR)
        afterwards = write_event(subscription, **match_all)
        ingest(afterwards, at=NOON + 4 * HOUR)

        correction = void_all(
            subscription,
            event_type=EVENT_TYPE,
            subscription_id=subscription.pk,
            stamped_from=NOON + HOUR,
            stamped_before=NOON + 2 * HOUR,
            received_from=NOON + 2 * HOUR,
            received_before=NOON + 4 * HOUR,
            properties={"run": 7, "is_test": "true"},
        )

        assert list_voided() == ["wanted-0", "wanted-1", "wanted-2"]
        assert (correction.event_count, correction.subscription_id) == (3, subscription.pk)
        assert read_totals(subscription)[CALLS] == 6
        assert find_breaches() == []

    @pytest.mark.parametrize(
        ("stored", "asked"),
        [
            ("7", 7),
            (7, "7"),
            (7.0, Decimal("7.00")),
            (0.0000001, "0.0000001"),
            (1e30, 10**30),
            (True, "true"),
            ("x%_'\"", "x%_'\""),
        ],
        ids=["text", "number", "fraction", "small", "large", "truth", "signs"],
    )
    def test_compares_properties_as_meters_do(self, stored: object, asked: object) -> None:
        subscription = subscribe(plan=make_metered_plan())
        wanted = write_event(subscription, properties={"5": stored, "input_tokens": 1})
        ingest(wanted, write_event(subscription, properties={"5": "other"}), write_event(subscription))

        void_all(subscription, properties={"5": asked})

        assert list_voided() == [wanted["id"]]

    def test_finds_no_text_in_what_is_nested(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription, properties={"run": [1], "input_tokens": 1}))

        with pytest.raises(NothingToVoid):
            void_all(subscription, properties={"run": "[1]"})

    @pytest.mark.parametrize("value", [None, [1], {"a": 1}])
    def test_compares_with_scalars_only(self, value: object) -> None:
        with pytest.raises(InvalidPropertyValue) as caught:
            void_all(subscribe(plan=make_metered_plan()), properties={"run": value})

        assert caught.value.errors[0].field == "properties.run"

    def test_spans_subscriptions_and_unmatched_events(self) -> None:
        plan = make_metered_plan()
        one = subscribe(plan=plan)
        two = subscribe(customer=one.customer, plan=plan)
        events = [write_event(one), write_event(two), write_event(one.customer, event_type="other")]
        assert ingest(*events).accepted == 3

        correction = void_all(one, stamped_from=NOON, stamped_before=NOON + HOUR)

        assert (correction.event_count, correction.subscription_id) == (3, None)
        assert (read_input(one), read_input(two)) == (0, 0)
        assert find_breaches() == []

    def test_passes_over_what_is_void_already(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        first, second = write_event(subscription), write_event(subscription)
        ingest(first, second)
        void(first)

        correction = void_all(subscription, event_ids=(first["id"], second["id"]))

        assert correction.event_count == 1
        assert read_input(subscription) == 0
        with pytest.raises(NothingToVoid):
            void_all(subscription, event_ids=(first["id"], second["id"]))

    def test_takes_back_no_more_than_it_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(corrections, "VOID_LIMIT", 2)
        subscription = subscribe(plan=make_metered_plan())
        ingest(*[write_event(subscription) for _ in range(3)])

        with pytest.raises(TooManyEventsSelected, match="More than 2 events are meant"):
            void_all(subscription, event_type=EVENT_TYPE)

        assert read_input(subscription) == 30
        assert not UsageCorrection.objects.exists()

    def test_takes_back_nothing_if_an_id_is_unknown(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)

        with pytest.raises(UnknownEvents, match="no event 'nobody'"):
            void_all(subscription, event_ids=(event["id"], "nobody"))

        assert read_input(subscription) == 10

    def test_takes_back_nothing_without_a_condition(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription))

        with pytest.raises(SelectionTooWide):
            void_all(subscription)

        assert read_input(subscription) == 10

    def test_needs_a_customer(self) -> None:
        with pytest.raises(UnknownCustomer):
            void_all(subscribe(), customer_id=subscribe().pk, event_type=EVENT_TYPE)

    def test_counts_many_hours_anew_at_once(self) -> None:
        subscription = subscribe_to(Aggregation.MAX)
        gone = [use(subscription, 90 - hour, hours=2 * hour) for hour in range(4)]
        use(subscription, 5, hours=1)

        void_all(subscription, event_ids=tuple(event["id"] for event in gone))

        assert read_it(subscription) == 5
        assert find_breaches() == []
