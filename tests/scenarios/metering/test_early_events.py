"""Events that are stamped ahead of time. A million tokens cost $2.00."""

from datetime import timedelta

from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import (
    DOLLAR,
    NOT_MATCHED,
    Bill,
    Line,
    Stored,
    Story,
    Usage,
    write_event,
)

START = utc(2026, 1, 15, 10)
FEBRUARY, MARCH = utc(2026, 2, 15), utc(2026, 3, 15)  # When the second and the third period begin.
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)


class TestWithinAnHour:
    def test_counts_at_its_own_time(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START + HOUR)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, START + HOUR, is_late=False)
        assert story.read_tokens(subscription) == Usage("1000000")

    def test_belongs_to_the_next_period_if_that_is_where_its_time_is(self, story: Story) -> None:
        subscription = story.subscribe()
        story.use(subscription, at=utc(2026, 1, 20))
        story.pass_time(FEBRUARY - HOUR / 2)
        event = write_event(subscription, stamped=FEBRUARY)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=False)
        assert story.read_tokens(subscription) == Usage("1000000")  # It is still January.
        story.pass_time(FEBRUARY)
        assert story.read_tokens(subscription) == Usage("1000000")
        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
            Bill("INV-000002", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
        ]


class TestBeyondAnHour:
    def test_is_refused_until_its_time_comes_nearer(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START + HOUR + INSTANT)

        assert story.send(event) == "422 timestamp_in_future"

        assert story.find_event(event) is None
        assert story.read_tokens(subscription) == Usage("0")
        story.pass_time(START + INSTANT)
        assert story.send(event) == "accepted"

    def test_is_told_by_the_customer_s_clock_and_not_by_ours(self, story: Story) -> None:
        in_january = story.subscribe()
        in_real_time = story.add_customer(is_on_clock=False)
        in_2099 = Story.begin(utc(2099, 6, 1)).add_customer()
        soon = START + 2 * HOUR  # Which is long past for all but those on the clock.
        far = utc(2099, 6, 1)
        events = [
            write_event(in_january, stamped=soon),
            write_event(in_real_time, stamped=soon),
            write_event(in_real_time, stamped=far),
            write_event(in_2099, stamped=far),
        ]

        report = story.send_batch(*events)

        assert (report.status, report.accepted) == (207, 2)
        assert [(index, code) for index, _, code in report.refusals] == [
            (0, "timestamp_in_future"),
            (2, "timestamp_in_future"),
        ]
        assert [story.look_up(event) for event in events] == [None, NOT_MATCHED, None, NOT_MATCHED]
