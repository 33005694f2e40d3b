"""Events that name a customer, and leave it to us which subscription they are for."""

from datetime import timedelta

from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import (
    DOLLAR,
    MILLION,
    NOT_MATCHED,
    Bill,
    Line,
    Report,
    Stored,
    Story,
    Usage,
    write_event,
)

START = utc(2026, 1, 15, 10)
FEBRUARY = utc(2026, 2, 15)
LATER = utc(2026, 1, 20, 12)  # When the customer subscribes, after sending events.
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)


class TestOneCandidate:
    def test_takes_the_event_as_if_it_were_named(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription.customer_id, stamped=START)
        assert story.send(event) == "accepted"
        story.pass_time(utc(2026, 2, 16))
        late = write_event(subscription.customer_id, stamped=START, tokens=MILLION // 2)
        assert story.send(late) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, START, is_late=False)
        assert story.look_up(late) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=True)
        story.pass_time(utc(2026, 3, 16))
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
            Bill("INV-000002", "PeriodEnd", 1 * DOLLAR, [Line("tokens", "500000", 1 * DOLLAR, "500000")]),
        ]

    def test_is_the_one_that_charges_for_such_events_and_has_not_ended(self, story: Story) -> None:
        plan_id = story.add_plan()
        ended = story.subscribe(plan_id=plan_id)
        story.cancel(ended, "Now")
        customer_id = ended.customer_id
        other = story.subscribe(customer_id, plan_id=story.add_plan(event_type="llm.embedding"))
        subscription = story.subscribe(customer_id, plan_id=plan_id)
        event = write_event(customer_id, stamped=START)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, START, is_late=False)
        assert story.read_tokens(ended) == Usage("0")
        assert story.read_usage(other) == {"llm.embedding.tokens": Usage("0")}


class TestTwoCandidates:
    def test_are_one_too_many_until_one_is_named_or_ends(self, story: Story) -> None:
        plan_id = story.add_plan()
        first = story.subscribe(plan_id=plan_id)
        second = story.subscribe(first.customer_id, plan_id=plan_id)
        event = write_event(first.customer_id, stamped=START)
        named = write_event(second, stamped=START, tokens=5)

        assert story.send(event) == "422 ambiguous_subscription"
        assert story.send_batch(event, named) == Report(
            207, 1, 0, [(0, event["id"], "ambiguous_subscription")]
        )

        assert story.find_event(event) is None
        assert [story.read_tokens(each) for each in (first, second)] == [Usage("0"), Usage("5")]
        story.cancel(second, "Now")
        assert story.send(event) == "accepted"
        assert story.look_up(event) == Stored(first.id, START, START, is_late=False)


class TestNoCandidate:
    def test_leaves_the_event_to_a_new_subscription_from_its_start_on(self, story: Story) -> None:
        customer_id = story.add_customer()
        story.pass_time(LATER)
        before, at_start, ahead = (
            write_event(customer_id, stamped=stamped) for stamped in (LATER - INSTANT, LATER, LATER + HOUR)
        )
        assert story.send_batch(before, at_start, ahead) == Report(200, 3, 0, [])
        assert [story.look_up(event) for event in (before, at_start, ahead)] == [NOT_MATCHED] * 3

        subscription = story.subscribe(customer_id)

        assert [story.look_up(event) for event in (before, at_start, ahead)] == [
            NOT_MATCHED,
            Stored(subscription.id, LATER, LATER, is_late=False),
            Stored(subscription.id, LATER, LATER + HOUR, is_late=False),
        ]
        assert story.read_tokens(subscription) == Usage("2000000")
        story.pass_time(utc(2026, 2, 20, 1))
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 4 * DOLLAR, [Line("tokens", "2000000", 4 * DOLLAR)])
        ]

    def test_leaves_it_to_one_that_is_dated_back(self, story: Story) -> None:
        customer_id = story.add_customer()
        event = write_event(customer_id, stamped=START)
        assert story.send(event) == "accepted"
        story.pass_time(utc(2026, 2, 20))

        subscription = story.subscribe(customer_id, start_at=START)

        assert story.look_up(event) == Stored(subscription.id, START, START, is_late=False)
        assert story.read_tokens(subscription, "previous") == Usage("1000000")
        story.pass_time(utc(2026, 2, 20, 1))
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        ]

    def test_leaves_it_to_the_first_that_charges_for_it_and_to_no_other(self, story: Story) -> None:
        customer_id = story.add_customer()
        event = write_event(customer_id, stamped=START)
        assert story.send(event) == "accepted"

        story.subscribe(customer_id, plan_id=story.add_plan(event_type="llm.embedding"))
        assert story.look_up(event) == NOT_MATCHED
        plan_id = story.add_plan()
        first, second = (story.subscribe(customer_id, plan_id=plan_id) for _ in range(2))

        assert story.look_up(event) == Stored(first.id, START, START, is_late=False)
        assert [story.read_tokens(each) for each in (first, second)] == [Usage("1000000"), Usage("0")]

    def test_counts_once_before_and_after_it_is_matched(self, story: Story) -> None:
        customer_id = story.add_customer()
        event = write_event(customer_id, stamped=START)
        assert [story.send(event), story.send(event)] == ["accepted", "duplicate"]
        subscription = story.subscribe(customer_id)

        assert story.send(event) == "duplicate"
        assert story.send({**event, "properties": {"tokens": 2 * MILLION}}) == "409 conflict"

        assert story.read_tokens(subscription) == Usage("1000000")

    def test_leaves_older_ones_to_staff(self, story: Story) -> None:
        customer_id = story.add_customer()
        older = write_event(customer_id, stamped=START)
        assert story.send(older) == "accepted"
        story.pass_time(LATER)
        subscription = story.subscribe(customer_id)
        assert story.look_up(older) == NOT_MATCHED

        # 1,000,000 x $0.000002 = $2.00, in the first period, from the 20th of January.
        assert story.match(older, subscription, preview=True) == {
            "event_count": 1,
            "usage": [("2026-01-20", "0", "1000000")],
            "charges": [(0, 2 * DOLLAR)],
        }
        assert story.look_up(older) == NOT_MATCHED
        assert story.match(older, subscription) == {"event_count": 1}

        assert story.look_up(older) == Stored(subscription.id, LATER, LATER, is_late=False)
        story.pass_time(utc(2026, 2, 20, 1))
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        ]
