"""Events that come later than they happened. A million tokens cost $2.00."""

from datetime import timedelta

from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import DOLLAR, MILLION, Bill, Line, Stored, Story, Usage, write_event

START = utc(2026, 1, 15, 10)
FEBRUARY, MARCH = utc(2026, 2, 15), utc(2026, 3, 15)  # When the second and the third period begin.
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
CENT = DOLLAR // 100
LONG_AGO = utc(2020, 1, 1)


class TestBeforeTheClose:
    def test_counts_in_its_own_period_and_is_not_late(self, story: Story) -> None:
        subscription = story.subscribe()
        story.use(subscription, at=utc(2026, 1, 20))
        story.pass_time(FEBRUARY + 30 * MINUTE)
        event = write_event(subscription, stamped=FEBRUARY - MINUTE, tokens=MILLION // 2)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, FEBRUARY - MINUTE, is_late=False)
        assert story.read_tokens(subscription, "previous") == Usage("1500000")
        assert story.read_tokens(subscription) == Usage("0")
        story.pass_time(FEBRUARY + HOUR)
        # 1,500,000 x $0.000002.
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 3 * DOLLAR, [Line("tokens", "1500000", 3 * DOLLAR)])
        ]

    def test_is_not_shut_out_by_an_invoice_on_demand(self, story: Story) -> None:
        subscription = story.subscribe()
        story.use(subscription, at=utc(2026, 1, 20))
        story.finalize(story.bill(subscription))
        event = write_event(subscription, stamped=utc(2026, 1, 19), tokens=MILLION // 2)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, utc(2026, 1, 19), is_late=False)
        assert story.read_tokens(subscription) == Usage("1500000")
        story.pass_time(FEBRUARY + HOUR)
        # $2.00 at once; what came after it is 1,500,000 - 1,000,000.
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "OnDemand", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
            Bill("INV-000002", "PeriodEnd", 1 * DOLLAR, [Line("tokens", "500000", 1 * DOLLAR)]),
        ]

    def test_goes_where_its_time_was_though_no_bill_run_came_by_for_months(self, story: Story) -> None:
        # Subscribed since October, by a clock that nobody advanced: only the first period is there.
        subscription = story.subscribe(start_at=utc(2025, 10, 15, 10))
        october, december, january = (
            write_event(subscription, stamped=utc(2025, 10, 20)),
            write_event(subscription, stamped=utc(2025, 12, 1), tokens=2 * MILLION),
            write_event(subscription, stamped=START, tokens=3 * MILLION),
        )

        assert story.send_batch(january, october, december).accepted == 3

        assert [story.look_up(event) for event in (october, december, january)] == [
            Stored(subscription.id, utc(2025, 10, 15, 10), utc(2025, 10, 20), is_late=False),
            Stored(subscription.id, utc(2025, 11, 15), utc(2025, 12, 1), is_late=False),
            Stored(subscription.id, utc(2026, 1, 15), START, is_late=False),
        ]
        story.pass_time(FEBRUARY + HOUR)
        # The period from December 15th on had no usage, and is skipped.
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
            Bill("INV-000002", "PeriodEnd", 4 * DOLLAR, [Line("tokens", "2000000", 4 * DOLLAR)]),
            Bill("INV-000003", "PeriodEnd", 6 * DOLLAR, [Line("tokens", "3000000", 6 * DOLLAR)]),
        ]


class TestAfterTheClose:
    def test_goes_on_the_next_invoice_and_leaves_the_first_as_it_is(self, story: Story) -> None:
        subscription = story.subscribe()
        story.use(subscription, at=utc(2026, 1, 20))
        story.use(subscription, at=utc(2026, 2, 16), tokens=MILLION // 2)
        january = Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        assert story.list_bills(subscription) == [january]
        event = write_event(subscription, stamped=utc(2026, 2, 1), tokens=MILLION // 4)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=True)
        assert story.read_tokens(subscription, "previous") == Usage("1000000")
        assert story.read_tokens(subscription) == Usage("750000", late="250000")
        story.pass_time(MARCH + HOUR)
        # (500,000 + 250,000) x $0.000002.
        assert story.list_bills(subscription) == [
            january,
            Bill("INV-000002", "PeriodEnd", 150 * CENT, [Line("tokens", "750000", 150 * CENT, "250000")]),
        ]

    def test_begins_at_the_last_instant_of_the_grace(self, story: Story) -> None:
        subscription = story.subscribe()
        story.pass_time(FEBRUARY + HOUR - timedelta(microseconds=1))
        event = write_event(subscription, stamped=utc(2026, 1, 20))
        assert story.send(event) == "accepted"
        story.pass_time(FEBRUARY + HOUR)
        late = write_event(subscription, stamped=utc(2026, 1, 20))
        assert story.send(late) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, utc(2026, 1, 20), is_late=False)
        assert story.look_up(late) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=True)

    def test_begins_when_staff_finalise_the_period_s_draft_sooner(self, story: Story) -> None:
        subscription = story.subscribe()
        story.use(subscription, at=utc(2026, 1, 20))
        story.pass_time(FEBRUARY)
        story.finalize(story.find_draft(subscription))
        event = write_event(subscription, stamped=FEBRUARY - MINUTE, tokens=MILLION // 2)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=True)
        assert story.read_tokens(subscription, "previous") == Usage("1000000")
        assert story.read_tokens(subscription) == Usage("500000", late="500000")
        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
            Bill("INV-000002", "PeriodEnd", 1 * DOLLAR, [Line("tokens", "500000", 1 * DOLLAR, "500000")]),
        ]

    def test_begins_in_time_though_there_was_nothing_to_bill(self, story: Story) -> None:
        subscription = story.subscribe()
        story.pass_time(FEBRUARY + HOUR)
        event = write_event(subscription, stamped=utc(2026, 1, 20))

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=True)
        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR, "1000000")])
        ]

    def test_goes_to_the_earliest_open_period_which_may_have_ended(self, story: Story) -> None:
        subscription = story.subscribe()
        story.use(subscription, at=utc(2026, 1, 20))
        story.use(subscription, at=utc(2026, 2, 20))
        story.pass_time(MARCH + 30 * MINUTE)  # January is closed, February in its grace.
        january = write_event(subscription, stamped=utc(2026, 1, 25), tokens=MILLION // 4)
        february = write_event(subscription, stamped=utc(2026, 3, 1), tokens=MILLION // 2)

        assert story.send_batch(january, february).accepted == 2

        assert story.look_up(january) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=True)
        assert story.look_up(february) == Stored(subscription.id, FEBRUARY, utc(2026, 3, 1), is_late=False)
        assert story.read_tokens(subscription, "previous") == Usage("1750000", late="250000")
        assert story.read_tokens(subscription) == Usage("0")
        story.pass_time(MARCH + HOUR)
        # (1,000,000 + 250,000 + 500,000) x $0.000002.
        assert story.list_bills(subscription)[1:] == [
            Bill("INV-000002", "PeriodEnd", 350 * CENT, [Line("tokens", "1750000", 350 * CENT, "250000")])
        ]

    def test_is_priced_by_the_tiers_of_the_period_that_it_is_billed_in(self, story: Story) -> None:
        plan_id = story.add_plan(tiers=[(1000, CENT), (None, CENT // 2)])
        subscription = story.subscribe(plan_id=plan_id)
        story.use(subscription, at=utc(2026, 1, 20), tokens=800)
        story.use(subscription, at=utc(2026, 2, 20), tokens=800)

        assert story.send(write_event(subscription, stamped=utc(2026, 1, 25), tokens=400)) == "accepted"

        story.pass_time(MARCH + HOUR)
        # 800 at a cent; then 800 + 400: 1,000 at a cent and 200 at half a cent.
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 8 * DOLLAR, [Line("tokens", "800", 8 * DOLLAR)]),
            Bill("INV-000002", "PeriodEnd", 11 * DOLLAR, [Line("tokens", "1200", 11 * DOLLAR, "400")]),
        ]


class TestOlderThanTheSubscription:
    def test_counts_in_the_first_period_from_its_start(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=LONG_AGO)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, START, is_late=False)
        assert story.read_tokens(subscription) == Usage("1000000")
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        ]

    def test_is_late_once_the_first_period_is_closed(self, story: Story) -> None:
        subscription = story.subscribe()
        story.pass_time(utc(2026, 2, 16))
        event = write_event(subscription, stamped=LONG_AGO)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, FEBRUARY, FEBRUARY, is_late=True)
        assert story.read_tokens(subscription) == Usage("1000000", late="1000000")
        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR, "1000000")])
        ]

    def test_waits_for_the_first_period_of_a_subscription_that_begins_later(self, story: Story) -> None:
        begin = utc(2026, 2, 1)
        subscription = story.subscribe(start_at=begin)
        event = write_event(subscription, stamped=START)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, begin, begin, is_late=False)
        story.pass_time(utc(2026, 3, 1, 1))
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        ]
