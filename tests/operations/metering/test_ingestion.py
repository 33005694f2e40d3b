"""Taking events in: what is accepted, what is a repeat, what is refused, and that nothing else happens."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from billing_project.core.ids import make_id
from customers.models import Customer, CustomerStatus
from customers.operations import CustomerChanges, begin_clock_advance, move_clock, update_customer
from metering.ingest.reading import FACTS
from metering.ingest.writing import INSERT_EVENTS
from metering.models import UsageEvent, UsageRollup
from subscriptions.operations import When, cancel_subscription
from subscriptions.queries import get_subscription
from tests.factories.catalog import make_plan
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import (
    CALLS,
    INPUT,
    OUTPUT,
    count_report,
    get_stored,
    ingest,
    list_codes,
    make_metered_plan,
    read_totals,
    read_usage,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def close_customer(customer: Customer) -> None:
    changes = CustomerChanges(status=CustomerStatus.CLOSED)
    update_customer(customer_id=customer.pk, changes=changes, at=NOON, actor=TESTER)


class TestAcceptance:
    def test_counts_at_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan(with_count=True))

        report = ingest(write_event(subscription), write_event(subscription))

        assert count_report(report) == (2, 0, 0)
        assert read_totals(subscription) == {INPUT: Decimal(20), OUTPUT: Decimal(4), CALLS: Decimal(2)}
        assert find_breaches() == []

    def test_stores_what_was_sent_and_what_was_decided(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        properties = {"model": "gpt-4o", "input_tokens": 7, "nested": {"a": [1, None, "x"]}}
        event = write_event(subscription, timestamp=NOON + HOUR, properties=properties)

        ingest(event, at=NOON + 2 * HOUR)

        stored = get_stored(event)
        assert (stored.event_id, stored.event_type) == (event["id"], event["event_type"])
        assert (stored.customer_id, stored.subscription_id) == (subscription.customer_id, subscription.pk)
        assert stored.segment_id == subscription.segments.get().pk
        assert (stored.timestamp, stored.billed_at, stored.received_at) == (
            NOON + HOUR,
            NOON + HOUR,
            NOON + 2 * HOUR,
        )
        assert stored.properties == properties
        assert not stored.is_late

    def test_keeps_every_digit(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        values = ["0.1", "0.2", "1e-30", "99999999999999999999999999999.5"]

        ingest(*[write_event(subscription, properties={"input_tokens": value}) for value in values])

        total = Decimal("99999999999999999999999999999.800000000000000000000000000001")
        assert read_totals(subscription) == {INPUT: total}
        assert find_breaches() == []

    def test_counts_each_hour_by_itself(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        at = NOON + 3 * HOUR

        ingest(*[write_event(subscription, timestamp=NOON + minutes * timedelta(minutes=1))
                 for minutes in (0, 59, 60, 119, 120)], at=at)  # fmt: skip

        hours = UsageRollup.objects.filter(meter_id__isnull=False).values_list("hour_at", "event_count")
        assert sorted(hours) == sorted(2 * [(NOON, 2), (NOON + HOUR, 2), (NOON + 2 * HOUR, 1)])

    def test_leaves_out_a_meter_whose_property_is_missing(self) -> None:
        subscription = subscribe(plan=make_metered_plan(with_count=True))

        report = ingest(write_event(subscription, properties={"input_tokens": 5, "output_tokens": None}))

        assert count_report(report) == (1, 0, 0)
        assert read_totals(subscription) == {INPUT: Decimal(5), CALLS: Decimal(1)}

    def test_counts_on_every_meter_of_the_type_and_on_no_other(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        make_metered_plan(with_count=True)  # Another plan's meter counts these events, too.

        ingest(write_event(subscription), write_event(subscription, event_type="llm.embedding"))

        assert read_totals(subscription) == {INPUT: Decimal(10), OUTPUT: Decimal(2), CALLS: Decimal(1)}

    def test_takes_events_of_many_customers_in_one_batch(self) -> None:
        plan = make_metered_plan()
        subscriptions = [subscribe(plan=plan) for _ in range(5)]

        report = ingest(*[write_event(each, id="the-same") for each in subscriptions])

        assert count_report(report) == (5, 0, 0)
        assert [read_totals(each)[INPUT] for each in subscriptions] == [Decimal(10)] * 5

    def test_takes_an_empty_batch(self) -> None:
        assert count_report(ingest()) == (0, 0, 0)

    def test_takes_usage_of_a_suspended_customer(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        changes = CustomerChanges(status=CustomerStatus.SUSPENDED)
        update_customer(customer_id=subscription.customer_id, changes=changes, at=NOON, actor=TESTER)

        assert count_report(ingest(write_event(subscription))) == (1, 0, 0)

    def test_makes_the_same_few_statements_for_any_number_of_events(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        plan = make_metered_plan()
        subscriptions = [subscribe(plan=plan) for _ in range(20)]
        ingest(write_event(subscriptions[0]))  # From here on, the rules of the meters are known.

        with django_assert_num_queries(5) as queries:  # The slots, and this test's savepoint.
            report = ingest(*[write_event(subscription) for subscription in subscriptions])

        assert count_report(report) == (20, 0, 0)
        assert [query["sql"] for query in queries][2:4] == [FACTS, INSERT_EVENTS]


class TestRepeats:
    def test_are_duplicates_and_count_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        events = [write_event(subscription) for _ in range(3)]
        ingest(*events)

        report = ingest(*events, write_event(subscription))

        assert count_report(report) == (1, 3, 0)
        assert read_totals(subscription)[INPUT] == 40
        assert find_breaches() == []

    def test_are_found_within_a_batch(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)

        report = ingest(event, event, {**event, "properties": {"input_tokens": 11}}, event)

        assert count_report(report) == (1, 2, 1)
        assert list_codes(report) == [(2, "conflict")]
        assert read_totals(subscription) == {INPUT: Decimal(10), OUTPUT: Decimal(2)}

    @pytest.mark.parametrize(
        "change",
        [
            {"properties": {"input_tokens": 11, "output_tokens": 2}},
            {"timestamp": NOON - HOUR},
            {"event_type": "llm.embedding"},
            {"subscription_id": None},
        ],
    )
    def test_with_other_content_are_conflicts_and_the_first_stays(self, change: dict[str, Any]) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event)

        report = ingest({**event, **change}, write_event(subscription))

        assert count_report(report) == (1, 0, 1)
        assert list_codes(report) == [(0, "conflict")]
        assert get_stored(event).properties == event["properties"]
        assert read_totals(subscription)[INPUT] == 20

    def test_are_compared_with_what_is_stored_not_with_each_other(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        other = {**event, "properties": {"input_tokens": 1}}
        ingest(event)

        report = ingest(other, event, other)

        assert count_report(report) == (0, 1, 2)
        assert list_codes(report) == [(0, "conflict"), (2, "conflict")]

    def test_have_the_customer_as_their_scope(self) -> None:
        plan = make_metered_plan()
        first, second = subscribe(plan=plan), subscribe(plan=plan)
        ingest(write_event(first, id="same"))

        assert count_report(ingest(write_event(second, id="same"))) == (1, 0, 0)

    def test_stay_duplicates_whatever_has_happened_since(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        events = [write_event(subscription, timestamp=NOON + HOUR) for _ in range(2)]
        ingest(*events, at=NOON + HOUR)
        cancel_subscription(
            subscription_id=subscription.pk, when=When.NOW, at=NOON + timedelta(minutes=1), actor=TESTER
        )

        ended = ingest(*events, write_event(subscription, timestamp=NOON + HOUR), at=NOON + HOUR)
        close_customer(subscription.customer)
        closed = ingest({**events[0], "properties": {}}, events[1], at=NOON + HOUR)

        assert (count_report(ended), list_codes(ended)) == ((0, 2, 1), [(2, "subscription_ended")])
        assert (count_report(closed), list_codes(closed)) == ((0, 1, 1), [(0, "conflict")])

    def test_of_a_refused_event_are_judged_by_themselves(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        wrong = {**event, "properties": {"input_tokens": -1}}

        first = ingest(wrong, {**event, "customer_id": make_id()})
        again = ingest(wrong)
        right = ingest(event)

        assert list_codes(first) == [(0, "invalid_value"), (1, "unknown_customer")]
        assert list_codes(again) == [(0, "invalid_value")]
        assert count_report(right) == (1, 0, 0)


class TestRefusals:
    def test_name_an_unknown_customer(self) -> None:
        subscription = subscribe(plan=make_metered_plan())

        report = ingest(write_event(subscription, customer_id=make_id()))

        assert list_codes(report) == [(0, "unknown_customer")]
        assert UsageEvent.objects.count() == UsageRollup.objects.count() == 0

    def test_name_a_closed_customer(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        close_customer(subscription.customer)

        named = ingest(write_event(subscription))
        unnamed = ingest(write_event(subscription.customer))

        assert list_codes(named) == list_codes(unnamed) == [(0, "customer_closed")]
        assert UsageEvent.objects.count() == 0

    def test_name_a_subscription_that_is_unknown_or_of_another_customer(self) -> None:
        plan = make_metered_plan()
        mine, theirs = subscribe(plan=plan), subscribe(plan=plan)

        report = ingest(
            write_event(mine, subscription_id=make_id()),
            write_event(mine, subscription_id=theirs.pk),
            write_event(mine, customer_id=make_customer().pk),
        )

        assert list_codes(report) == [(number, "unknown_subscription") for number in range(3)]
        assert UsageEvent.objects.count() == 0

    def test_name_a_timestamp_too_far_in_the_future(self) -> None:
        subscription = subscribe(plan=make_metered_plan())

        report = ingest(
            write_event(subscription, timestamp=NOON + HOUR),
            write_event(subscription, timestamp=NOON + HOUR + timedelta(microseconds=1)),
        )

        assert count_report(report) == (1, 0, 1)
        assert list_codes(report) == [(1, "timestamp_in_future")]

    def test_go_by_the_customers_clock(self) -> None:
        clock = make_test_clock(now_at=NOON)
        customer = make_customer(test_clock_id=clock.pk)
        subscription = subscribe(plan=make_metered_plan(), customer=customer)
        event = write_event(subscription, timestamp=NOON + 2 * HOUR)

        before = ingest(event, at=NOON + timedelta(days=400))
        begin_clock_advance(test_clock_id=clock.pk, to=NOON + 2 * HOUR, at=NOON, actor=TESTER)
        move_clock(test_clock_id=clock.pk, to=NOON + 2 * HOUR, at=NOON, actor=TESTER)
        after = ingest(event, at=NOON - timedelta(days=400))

        assert list_codes(before) == [(0, "timestamp_in_future")]
        assert count_report(after) == (1, 0, 0)

    @pytest.mark.parametrize("value", [-1, "many", True, [], "1e31"], ids=repr)
    def test_name_a_value_that_cannot_be_added_up(self, value: object) -> None:
        subscription = subscribe(plan=make_metered_plan())

        report = ingest(
            write_event(subscription, properties={"input_tokens": value}),
            write_event(subscription, event_type="llm.embedding", properties={"input_tokens": value}),
        )

        assert list_codes(report) == [(0, "invalid_value")]
        assert count_report(report) == (1, 0, 1)
        assert read_usage(subscription) == {}

    def test_leave_the_rest_of_the_batch_alone(self) -> None:
        subscription = subscribe(plan=make_metered_plan())

        report = ingest(
            {"id": "broken"},
            write_event(subscription),
            write_event(subscription, customer_id=make_id()),
            write_event(subscription),
            write_event(subscription, id="event-x", timestamp="now"),
        )

        assert count_report(report) == (2, 0, 3)
        assert list_codes(report) == [(0, "malformed"), (2, "unknown_customer"), (4, "malformed")]
        assert [refusal.event_id for refusal in report.refusals][::2] == ["broken", "event-x"]
        assert read_totals(subscription)[INPUT] == 20

    def test_of_a_whole_batch_store_nothing(self) -> None:
        report = ingest({"id": "broken"}, {"id": 5})

        assert count_report(report) == (0, 0, 2)
        assert UsageEvent.objects.count() == 0


class TestWithoutSubscription:
    def test_counts_for_the_only_one_that_charges_for_it(self) -> None:
        customer = make_customer()
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        subscribe(customer=customer, plan=make_plan())
        event = write_event(customer)

        assert count_report(ingest(event)) == (1, 0, 0)
        assert get_stored(event).subscription_id == subscription.pk
        assert read_totals(subscription)[INPUT] == 10

    def test_is_stored_unmatched_where_there_is_none(self) -> None:
        customer = make_customer()
        subscribe(customer=customer, plan=make_plan())
        event = write_event(customer)

        assert count_report(ingest(event)) == (1, 0, 0)
        stored = get_stored(event)
        assert (stored.subscription_id, stored.segment_id, stored.billed_at) == (None, None, None)
        assert not stored.is_matched
        assert UsageRollup.objects.count() == 0
        assert count_report(ingest(event)) == (0, 1, 0)

    def test_is_refused_where_there_are_several(self) -> None:
        customer = make_customer()
        plan = make_metered_plan()
        first, _ = subscribe(customer=customer, plan=plan), subscribe(customer=customer, plan=plan)

        report = ingest(write_event(customer), write_event(first))

        assert list_codes(report) == [(0, "ambiguous_subscription")]
        assert count_report(report) == (1, 0, 1)

    def test_looks_at_live_subscriptions_only(self) -> None:
        customer = make_customer()
        plan = make_metered_plan()
        old = subscribe(customer=customer, plan=plan)
        cancel_subscription(subscription_id=old.pk, when=When.NOW, at=NOON + HOUR, actor=TESTER)
        new = subscribe(customer=customer, plan=plan, at=NOON + HOUR)
        event = write_event(customer, timestamp=NOON)

        ingest(event, at=NOON + HOUR)

        assert get_stored(event).subscription_id == new.pk

    def test_does_not_wait_for_an_end_to_be_noted(self) -> None:
        customer = make_customer()
        old = subscribe(customer=customer, plan=make_metered_plan())
        cancel_subscription(subscription_id=old.pk, when=When.PERIOD_END, at=NOON, actor=TESTER)
        end = get_subscription(old.pk).ends_at
        assert end is not None
        before, after = write_event(customer, timestamp=end - HOUR), write_event(customer, timestamp=end)

        ingest(before, at=end - HOUR)
        ingest(after, at=end - HOUR)

        assert get_stored(before).subscription_id == old.pk
        assert not get_stored(after).is_matched

    def test_still_refuses_a_value_that_a_meter_cannot_count(self) -> None:
        make_metered_plan()

        report = ingest(write_event(make_customer(), properties={"input_tokens": "many"}))

        assert list_codes(report) == [(0, "invalid_value")]
        assert UsageEvent.objects.count() == 0
