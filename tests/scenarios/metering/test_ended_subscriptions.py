"""Events of subscriptions that are cancelled. A million tokens cost $2.00."""

from datetime import timedelta

import pytest

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
    Subscribed,
    Usage,
    write_event,
)

START = utc(2026, 1, 15, 10)
FEBRUARY, MARCH = utc(2026, 2, 15), utc(2026, 3, 15)  # When the second and the third period begin.
END = utc(2026, 1, 25, 12)  # When a subscription is cancelled, where that is at once.
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
INSTANT = timedelta(microseconds=1)
CENT = DOLLAR // 100
FIRST_BILL = Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])


@pytest.fixture
def ended(story: Story) -> Subscribed:
    """A subscription that used a million tokens, and was cancelled a moment ago."""
    subscription = story.subscribe()
    story.use(subscription, at=utc(2026, 1, 20))
    story.pass_time(END)
    story.cancel(subscription, "Now")
    return subscription


class TestCancelledNow:
    def test_takes_what_is_late_on_its_last_invoice_while_the_grace_runs(
        self, story: Story, ended: Subscribed
    ) -> None:
        story.pass_time(END + HOUR / 2)
        event = write_event(ended, stamped=END - INSTANT, tokens=MILLION // 2)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(ended.id, START, END - INSTANT, is_late=False)
        assert story.read_tokens(ended) == Usage("1500000")
        story.pass_time(MARCH)
        assert story.list_bills(ended) == [
            Bill("INV-000001", "PeriodEnd", 3 * DOLLAR, [Line("tokens", "1500000", 3 * DOLLAR)])
        ]

    def test_bills_what_is_later_on_an_invoice_of_its_own(self, story: Story, ended: Subscribed) -> None:
        story.pass_time(END + 2 * HOUR)
        assert story.list_bills(ended) == [FIRST_BILL]
        first = write_event(ended, stamped=utc(2026, 1, 24), tokens=MILLION // 2)
        second = write_event(ended, stamped=END - INSTANT, tokens=MILLION // 4)

        assert story.send(first) == story.send(second) == "accepted"

        assert story.look_up(first) == Stored(ended.id, START, utc(2026, 1, 24), is_late=True)
        assert story.look_up(second) == Stored(ended.id, START, END - INSTANT, is_late=True)
        assert story.read_tokens(ended) == Usage("1750000", late="750000")
        story.pass_time(END + 3 * HOUR)
        # (500,000 + 250,000) x $0.000002: both on one, an hour after they came.
        late_bill = Bill(
            "INV-000002", "OnDemand", 150 * CENT, [Line("tokens", "750000", 150 * CENT, "750000")]
        )
        assert story.list_bills(ended) == [FIRST_BILL, late_bill]

        assert story.send(write_event(ended, stamped=utc(2026, 1, 24))) == "accepted"
        story.pass_time(MARCH)
        assert story.list_bills(ended) == [
            FIRST_BILL,
            late_bill,
            Bill("INV-000003", "OnDemand", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR, "1000000")]),
        ]

    @pytest.mark.parametrize("wait", [HOUR / 2, 2 * HOUR], ids=["in the grace", "after the close"])
    def test_refuses_what_is_stamped_from_its_end_on(
        self, story: Story, ended: Subscribed, wait: timedelta
    ) -> None:
        story.pass_time(END + wait)
        at_end, after, before = (
            write_event(ended, stamped=stamped) for stamped in (END, END + HOUR / 2, END - INSTANT)
        )

        assert story.send(at_end) == "422 subscription_ended"
        assert story.send_batch(at_end, before, after) == Report(
            status=207,
            accepted=1,
            duplicates=0,
            refusals=[(0, at_end["id"], "subscription_ended"), (2, after["id"], "subscription_ended")],
        )

        assert story.find_event(at_end) is story.find_event(after) is None
        assert story.read_tokens(ended).value == "2000000"
        story.pass_time(MARCH)
        assert sum(bill.total_nanos for bill in story.list_bills(ended)) == 4 * DOLLAR

    def test_adds_late_usage_to_the_segment_of_its_own_time(self, story: Story) -> None:
        plan_id = story.add_plan(tiers=[(1000, CENT), (None, CENT // 2)])
        subscription = story.subscribe(plan_id=plan_id)
        story.use(subscription, at=utc(2026, 1, 20), tokens=800)
        story.use(subscription, at=utc(2026, 2, 20), tokens=300)
        story.cancel(subscription, "Now")
        story.pass_time(utc(2026, 2, 21))
        january = write_event(subscription, stamped=utc(2026, 1, 30), tokens=400)
        february = write_event(subscription, stamped=utc(2026, 2, 18), tokens=100)

        assert story.send_batch(february, january).accepted == 2

        assert story.look_up(january) == Stored(subscription.id, START, utc(2026, 1, 30), is_late=True)
        assert story.look_up(february) == Stored(subscription.id, FEBRUARY, utc(2026, 2, 18), is_late=True)
        assert story.read_tokens(subscription, "previous") == Usage("1200", late="400")
        assert story.read_tokens(subscription) == Usage("400", late="100")
        story.pass_time(MARCH)
        # January: 1,200 are 1,000 at a cent and 200 at half a cent, less the $8.00 of 800. February: 100 at a
        # cent.
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 8 * DOLLAR, [Line("tokens", "800", 8 * DOLLAR)]),
            Bill("INV-000002", "PeriodEnd", 3 * DOLLAR, [Line("tokens", "300", 3 * DOLLAR)]),
            Bill("INV-000003", "OnDemand", 3 * DOLLAR, [Line("tokens", "400", 3 * DOLLAR, "400")]),
            Bill("INV-000004", "OnDemand", 1 * DOLLAR, [Line("tokens", "100", 1 * DOLLAR, "100")]),
        ]

    def test_adds_what_is_older_than_itself_to_its_first_period(
        self, story: Story, ended: Subscribed
    ) -> None:
        story.pass_time(END + 2 * HOUR)
        event = write_event(ended, stamped=utc(2020, 1, 1), tokens=MILLION // 2)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(ended.id, START, START, is_late=True)
        story.pass_time(MARCH)
        assert story.list_bills(ended) == [
            FIRST_BILL,
            Bill("INV-000002", "OnDemand", 1 * DOLLAR, [Line("tokens", "500000", 1 * DOLLAR, "500000")]),
        ]

    def test_keeps_and_bills_what_it_took_ahead_of_time(self, story: Story) -> None:
        subscription = story.subscribe()
        story.pass_time(FEBRUARY - 20 * MINUTE)
        in_january = write_event(subscription, stamped=FEBRUARY - 5 * MINUTE)
        in_february = write_event(subscription, stamped=FEBRUARY + 10 * MINUTE, tokens=MILLION // 2)
        assert story.send_batch(in_january, in_february).accepted == 2

        story.pass_time(FEBRUARY - 10 * MINUTE)
        story.cancel(subscription, "Now")  # Before the time of either.

        assert story.send_batch(in_january, in_february) == Report(200, 0, 2, [])
        story.pass_time(MARCH)
        assert story.list_bills(subscription) == [
            FIRST_BILL,
            Bill("INV-000002", "PeriodEnd", 1 * DOLLAR, [Line("tokens", "500000", 1 * DOLLAR)]),
        ]

    def test_takes_nothing_that_does_not_name_it(self, story: Story, ended: Subscribed) -> None:
        event = write_event(ended.customer_id, stamped=END - INSTANT)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == NOT_MATCHED
        assert story.read_tokens(ended) == Usage("1000000")


class TestCancelledAtPeriodEnd:
    def test_takes_usage_until_its_end_and_bills_what_is_late(self, story: Story) -> None:
        subscription = story.subscribe()
        story.use(subscription, at=utc(2026, 1, 20))
        story.cancel(subscription, "PeriodEnd")
        story.use(subscription, at=FEBRUARY - HOUR / 2)  # $2.00 more.
        story.pass_time(FEBRUARY + HOUR / 2)
        in_grace = write_event(subscription, stamped=FEBRUARY - INSTANT, tokens=MILLION // 2)  # $1.00
        assert story.send(in_grace) == "accepted"
        story.pass_time(FEBRUARY + 2 * HOUR)
        late = write_event(subscription, stamped=utc(2026, 2, 1), tokens=MILLION // 4)  # $0.50
        assert story.send(late) == "accepted"

        assert story.look_up(in_grace) == Stored(subscription.id, START, FEBRUARY - INSTANT, is_late=False)
        assert story.look_up(late) == Stored(subscription.id, START, utc(2026, 2, 1), is_late=True)
        assert story.read_tokens(subscription) == Usage("2750000", late="250000")
        story.pass_time(MARCH)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 5 * DOLLAR, [Line("tokens", "2500000", 5 * DOLLAR)]),
            Bill("INV-000002", "OnDemand", 50 * CENT, [Line("tokens", "250000", 50 * CENT, "250000")]),
        ]

    def test_refuses_what_is_stamped_after_its_end_before_that_has_come(self, story: Story) -> None:
        subscription = story.subscribe()
        story.cancel(subscription, "PeriodEnd")
        story.pass_time(FEBRUARY - HOUR / 2)
        event = write_event(subscription, stamped=FEBRUARY)
        unnamed = write_event(subscription.customer_id, stamped=FEBRUARY)

        assert story.send(event) == "422 subscription_ended"
        assert story.send(unnamed) == "accepted"  # It may be for a subscription that is still to come.

        assert story.look_up(unnamed) == NOT_MATCHED
        story.pass_time(FEBRUARY + HOUR)
        assert story.send(event) == "422 subscription_ended"
        assert story.find_event(event) is None
        assert story.list_bills(subscription) == []

    def test_takes_it_after_all_where_the_end_is_taken_back(self, story: Story) -> None:
        subscription = story.subscribe()
        story.cancel(subscription, "PeriodEnd")
        story.pass_time(FEBRUARY - HOUR / 2)
        event = write_event(subscription, stamped=FEBRUARY)
        assert story.send(event) == "422 subscription_ended"
        story.uncancel(subscription)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=False)
        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription) == [FIRST_BILL]
