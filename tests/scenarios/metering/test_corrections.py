"""Usage that was wrong is taken back, or replaced. A million tokens cost $2.00, unless a plan has tiers."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from tests.factories.invoicing import tax_all
from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import (
    DOLLAR,
    MILLION,
    Bill,
    Json,
    Line,
    Story,
    Subscribed,
    Usage,
    read_id,
    write_event,
)

FEBRUARY, MARCH, APRIL = utc(2026, 2, 15), utc(2026, 3, 15), utc(2026, 4, 15)
HOUR = timedelta(hours=1)
CENT = DOLLAR // 100
# 1,000 tokens at a cent, the rest at half a cent.
TIERS = [(1000, CENT), (None, CENT // 2)]
OF_JANUARY = "Correction of tokens, 2026-01-15 to 2026-02-14"
OF_FEBRUARY = "Correction of tokens, 2026-02-15 to 2026-03-14"
NO_QUANTITY: Any = None
BALANCE = Line("Balance", NO_QUANTITY, 2 * DOLLAR)


def void(story: Story, event: Json) -> None:
    """Take an event back."""
    body = {"customer_id": event["customer_id"], "reason": "Sent by a test run"}
    read_id(story.client.post(f"/admin/v1/events/{quote(event['id'], safe='')}/void", body))


def amend(story: Story, event: Json, replacement: Json) -> None:
    """Put another event in the place of one."""
    body = {"customer_id": event["customer_id"], "reason": "Counted twice", "event": replacement}
    read_id(story.client.post(f"/admin/v1/events/{event['id']}/amend", body))


def void_invoice(story: Story, number: str, then: str | None) -> None:
    """Call an invoice off."""
    (invoice,) = [
        each for each in story.client.get("/admin/v1/invoices").json() if each["invoice_number"] == number
    ]
    body = {"reason": "Wrong", "then": then} if then else {"reason": "Wrong"}
    answer = story.client.post(f"/admin/v1/invoices/{invoice['id']}/void", body)
    assert answer.status_code == 200, answer.content


def preview(story: Story, *events: Json) -> tuple[list[tuple[str, bool, str, str]], list[tuple[int, int]]]:
    """Look at what taking events back would change: usage by period, and charges."""
    body = {
        "customer_id": events[0]["customer_id"],
        "event_ids": [event["id"] for event in events],
        "preview": True,
    }
    answer = story.client.post("/admin/v1/events/void", body)
    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert shown["event_count"] == len(events)
    usage = [
        (each["period_start"][:10], each["is_open"], each["before"], each["after"]) for each in shown["usage"]
    ]
    charges = [(int(each["before_nanos"]), int(each["after_nanos"])) for each in shown["charges"]]
    assert all(
        int(each["difference_nanos"]) == int(each["after_nanos"]) - int(each["before_nanos"])
        for each in shown["charges"]
    )
    return usage, charges


def use_a_month(story: Story, subscription: Subscribed, *tokens: int) -> list[Json]:
    """Use tokens on the 20th of January, and let the period be billed."""
    events = [story.use(subscription, at=utc(2026, 1, 20, hour), tokens=n) for hour, n in enumerate(tokens)]
    story.pass_time(FEBRUARY + HOUR)
    return events


def refresh(story: Story, subscription: Subscribed) -> None:
    """Refresh the Draft of the current period."""
    answer = story.client.post(f"/admin/v1/subscriptions/{subscription.id}/bill")
    assert answer.status_code in {200, 201}, answer.content


class TestOpenPeriod:
    def test_bills_what_is_left(self, story: Story) -> None:
        subscription = story.subscribe()
        gone = story.use(subscription, at=utc(2026, 1, 20))
        story.use(subscription, at=utc(2026, 1, 21), tokens=MILLION // 2)
        # 1,500,000 x $0.000002 = $3.00; without the first, $1.00.
        assert preview(story, gone) == (
            [("2026-01-15", True, "1500000", "500000")],
            [(3 * DOLLAR, 1 * DOLLAR)],
        )

        void(story, gone)

        assert story.read_tokens(subscription) == Usage("500000")
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 1 * DOLLAR, [Line("tokens", "500000", 1 * DOLLAR)])
        ]

    def test_is_undone_in_the_grace_too(self, story: Story) -> None:
        subscription = story.subscribe()
        gone = story.use(subscription, at=utc(2026, 1, 20))
        story.use(subscription, at=utc(2026, 1, 21), tokens=MILLION // 2)
        story.pass_time(FEBRUARY + HOUR / 2)

        void(story, gone)

        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 1 * DOLLAR, [Line("tokens", "500000", 1 * DOLLAR)])
        ]

    def test_gives_back_what_was_billed_on_demand(self, story: Story) -> None:
        plan_id = story.add_plan(tiers=TIERS)
        subscription = story.subscribe(plan_id=plan_id)
        gone = story.use(subscription, at=utc(2026, 1, 20), tokens=600)
        story.use(subscription, at=utc(2026, 1, 21), tokens=900)
        story.finalize(story.bill(subscription))

        void(story, gone)

        story.use(subscription, at=utc(2026, 1, 25), tokens=700)
        story.pass_time(FEBRUARY + HOUR)
        # 1,500 were billed: $10.00 + $2.50. The period has 900 + 700 = 1,600: $10.00 + $3.00.
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "OnDemand", 1250 * CENT, [Line("tokens", "1500", 1250 * CENT)]),
            Bill("INV-000002", "PeriodEnd", 50 * CENT, [Line("tokens", "100", 50 * CENT)]),
        ]

    def test_asks_for_nothing_where_more_was_billed_on_demand(self, story: Story) -> None:
        subscription = story.subscribe()
        gone = story.use(subscription, at=utc(2026, 1, 20))
        story.finalize(story.bill(subscription))

        void(story, gone)

        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "OnDemand", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
            Bill(
                "INV-000002",
                "PeriodEnd",
                0,
                [Line("tokens", "-1000000", -2 * DOLLAR), BALANCE],
            ),
        ]

    def test_gives_nothing_back_that_was_forgiven(self, story: Story) -> None:
        subscription = story.subscribe()
        gone = story.use(subscription, at=utc(2026, 1, 20))
        story.finalize(story.bill(subscription))
        void_invoice(story, "INV-000001", "Forgive")

        void(story, gone)

        story.pass_time(FEBRUARY + HOUR)
        assert [(bill.number, bill.total_nanos) for bill in story.list_bills(subscription)] == [
            ("INV-000001", 2 * DOLLAR)
        ]


class TestClosedPeriod:
    def test_is_rated_again_and_the_difference_is_on_the_next_invoice(self, story: Story) -> None:
        subscription = story.subscribe(plan_id=story.add_plan(tiers=TIERS))
        gone, _ = use_a_month(story, subscription, 600, 900)
        story.use(subscription, at=utc(2026, 2, 20), tokens=1200)
        # January: 1,500 were $10.00 + 500 x $0.005 = $12.50; 900 are $9.00, which is $3.50 less.
        # February: 1,200 are $10.00 + 200 x $0.005 = $11.00, by tiers of its own.
        assert preview(story, gone) == (
            [("2026-01-15", False, "1500", "900")],
            [(1100 * CENT, 750 * CENT)],
        )

        void(story, gone)

        january = Bill("INV-000001", "PeriodEnd", 1250 * CENT, [Line("tokens", "1500", 1250 * CENT)])
        lines = [Line("tokens", "1200", 1100 * CENT), Line(OF_JANUARY, "-600", -350 * CENT)]
        assert story.read_tokens(subscription, "previous") == Usage("900")
        refresh(story, subscription)
        refresh(story, subscription)
        assert story.list_bills(subscription) == [january, Bill(None, "OnDemand", 750 * CENT, lines)]
        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription) == [
            january,
            Bill("INV-000002", "PeriodEnd", 750 * CENT, lines),
        ]

    def test_is_set_right_once(self, story: Story) -> None:
        subscription = story.subscribe()
        (gone,) = use_a_month(story, subscription, MILLION // 4)
        void(story, gone)
        story.use(subscription, at=utc(2026, 2, 20))
        story.finalize(story.bill(subscription))

        for month in (FEBRUARY, MARCH):
            story.use(subscription, at=month + timedelta(days=20))
        story.pass_time(APRIL + HOUR)

        # January's $0.50 came off the first invoice after it, and off no other.
        assert story.list_bills(subscription)[1:] == [
            Bill(
                "INV-000002",
                "OnDemand",
                150 * CENT,
                [Line("tokens", "1000000", 2 * DOLLAR), Line(OF_JANUARY, "-250000", -50 * CENT)],
            ),
            Bill("INV-000003", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
            Bill("INV-000004", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)]),
        ]

    def test_goes_on_the_invoice_of_the_period_in_grace_and_on_no_other(self, story: Story) -> None:
        subscription = story.subscribe()
        (gone,) = use_a_month(story, subscription, MILLION // 4)
        story.use(subscription, at=utc(2026, 2, 20))
        story.use(subscription, at=MARCH + HOUR / 4)
        story.pass_time(MARCH + HOUR / 2)

        void(story, gone)

        story.bill(subscription)  # That of March, while February is in its grace.
        story.pass_time(MARCH + HOUR)
        assert [(bill.reason, bill.lines) for bill in story.list_bills(subscription)][1:] == [
            (
                "PeriodEnd",
                [Line("tokens", "1000000", 2 * DOLLAR), Line(OF_JANUARY, "-250000", -50 * CENT)],
            ),
            ("OnDemand", [Line("tokens", "1000000", 2 * DOLLAR)]),
        ]

    def test_waits_in_the_next_draft_when_that_invoice_is_called_off(self, story: Story) -> None:
        subscription = story.subscribe()
        (gone,) = use_a_month(story, subscription, MILLION // 4)
        void(story, gone)
        story.use(subscription, at=utc(2026, 2, 20))
        story.finalize(story.bill(subscription))

        void_invoice(story, "INV-000002", None)

        refresh(story, subscription)
        lines = [Line("tokens", "1000000", 2 * DOLLAR), Line(OF_JANUARY, "-250000", -50 * CENT)]
        assert story.list_bills(subscription)[2:] == [Bill(None, "OnDemand", 150 * CENT, lines)]

    def test_is_billed_again_without_the_event_when_its_own_invoice_is_called_off(self, story: Story) -> None:
        subscription = story.subscribe()
        gone, _ = use_a_month(story, subscription, MILLION, MILLION // 2)
        story.use(subscription, at=utc(2026, 2, 20))
        void(story, gone)

        void_invoice(story, "INV-000001", "Regenerate")

        story.pass_time(MARCH + HOUR)
        # $1.00 for the 500,000 that are left of January, and February in full.
        assert sorted((bill.number, bill.total_nanos) for bill in story.list_bills(subscription)) == [
            ("INV-000001", 3 * DOLLAR),  # Void.
            ("INV-000002", 1 * DOLLAR),
            ("INV-000003", 2 * DOLLAR),
        ]

    def test_gives_nothing_back_that_was_forgiven(self, story: Story) -> None:
        subscription = story.subscribe()
        gone, _ = use_a_month(story, subscription, MILLION, MILLION // 2)
        void_invoice(story, "INV-000001", "Forgive")
        story.use(subscription, at=utc(2026, 2, 20))

        void(story, gone)

        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription)[1:] == [
            Bill("INV-000002", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        ]

    def test_leaves_late_usage_where_it_is(self, story: Story) -> None:
        subscription = story.subscribe()
        (gone,) = use_a_month(story, subscription, MILLION // 4)
        late = write_event(subscription, stamped=utc(2026, 1, 25), tokens=MILLION)
        assert story.send(late) == "accepted"

        void(story, gone)

        story.pass_time(MARCH + HOUR)
        assert story.list_bills(subscription)[1:] == [
            Bill(
                "INV-000002",
                "PeriodEnd",
                150 * CENT,
                [Line("tokens", "1000000", 2 * DOLLAR, "1000000"), Line(OF_JANUARY, "-250000", -50 * CENT)],
            )
        ]

    def test_takes_the_tax_back(self, story: Story) -> None:
        tax_all(bps=2_000)
        subscription = story.subscribe()
        gone, _ = use_a_month(story, subscription, MILLION, MILLION // 2)
        story.use(subscription, at=utc(2026, 2, 20), tokens=2 * MILLION)

        void(story, gone)

        story.pass_time(MARCH + HOUR)
        # $3.00 and 20 %; then $4.00 - $2.00 and 20 %.
        assert [bill.total_nanos for bill in story.list_bills(subscription)] == [360 * CENT, 240 * CENT]

    def test_asks_for_nothing_where_the_next_invoice_is_smaller(self, story: Story) -> None:
        subscription = story.subscribe()
        (gone,) = use_a_month(story, subscription, MILLION)
        void(story, gone)

        story.pass_time(MARCH + HOUR)

        assert story.list_bills(subscription)[1:] == [
            Bill(
                "INV-000002",
                "PeriodEnd",
                0,
                [Line("tokens", "0", 0), Line(OF_JANUARY, "-1000000", -2 * DOLLAR), BALANCE],
            )
        ]

    def test_of_many_takes_all_of_them(self, story: Story) -> None:
        subscription = story.subscribe()
        (january,) = use_a_month(story, subscription, MILLION)
        february = story.use(subscription, at=utc(2026, 2, 20))
        story.use(subscription, at=utc(2026, 2, 21))
        story.pass_time(MARCH + HOUR)
        story.use(subscription, at=utc(2026, 3, 20), tokens=5 * MILLION)
        assert preview(story, january, february) == (
            [("2026-01-15", False, "1000000", "0"), ("2026-02-15", False, "2000000", "1000000")],
            [(10 * DOLLAR, 6 * DOLLAR)],
        )
        body = {"customer_id": subscription.customer_id, "reason": "A test run"}

        read_id(
            story.client.post(
                "/admin/v1/events/void",
                {**body, "stamped_from": "2026-01-15T00:00:00Z", "stamped_before": "2026-02-21T00:00:00Z"},
            )
        )

        story.pass_time(APRIL + HOUR)
        assert story.list_bills(subscription)[2:] == [
            Bill(
                "INV-000003",
                "PeriodEnd",
                6 * DOLLAR,
                [
                    Line("tokens", "5000000", 10 * DOLLAR),
                    Line(OF_JANUARY, "-1000000", -2 * DOLLAR),
                    Line(OF_FEBRUARY, "-1000000", -2 * DOLLAR),
                ],
            )
        ]


class TestAmended:
    def test_in_an_open_period_counts_as_if_it_had_been_right(self, story: Story) -> None:
        subscription = story.subscribe()
        wrong = story.use(subscription, at=utc(2026, 1, 20))

        amend(story, wrong, write_event(subscription, stamped=utc(2026, 1, 20), tokens=MILLION // 4))

        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 50 * CENT, [Line("tokens", "250000", 50 * CENT)])
        ]

    def test_in_a_closed_one_is_given_back_there_and_comes_late_to_the_next(self, story: Story) -> None:
        subscription = story.subscribe(plan_id=story.add_plan(tiers=TIERS))
        wrong, _ = use_a_month(story, subscription, 600, 900)

        amend(story, wrong, write_event(subscription, stamped=utc(2026, 1, 20), tokens=400))

        story.pass_time(MARCH + HOUR)
        # 400 at a cent, in February; January is 900 instead of 1,500: $9.00 instead of $12.50.
        assert story.list_bills(subscription)[1:] == [
            Bill(
                "INV-000002",
                "PeriodEnd",
                50 * CENT,
                [Line("tokens", "400", 4 * DOLLAR, "400"), Line(OF_JANUARY, "-600", -350 * CENT)],
            )
        ]


class TestEndedSubscription:
    END = utc(2026, 1, 25, 12)

    def end(self, story: Story, at: datetime) -> tuple[Subscribed, Json]:
        subscription = story.subscribe()
        gone = story.use(subscription, at=utc(2026, 1, 20))
        story.use(subscription, at=utc(2026, 1, 21))
        story.pass_time(at)
        story.cancel(subscription, "Now")
        story.pass_time(at + 2 * HOUR)
        return subscription, gone

    def test_has_its_last_period_settled_once_more(self, story: Story) -> None:
        subscription, gone = self.end(story, self.END)
        late = write_event(subscription, stamped=utc(2026, 1, 22), tokens=3 * MILLION)
        assert story.send(late) == "accepted"

        void(story, gone)

        story.pass_time(MARCH)
        # What came late is $6.00, and $2.00 are given back: of one quantity, in one period.
        assert story.list_bills(subscription)[1:] == [
            Bill("INV-000002", "OnDemand", 4 * DOLLAR, [Line("tokens", "2000000", 4 * DOLLAR, "3000000")])
        ]

    def test_has_nothing_left_to_set_it_off_against(self, story: Story) -> None:
        subscription, gone = self.end(story, utc(2026, 2, 20))
        assert preview(story, gone) == (
            [("2026-01-15", False, "2000000", "1000000")],
            [(0, -2 * DOLLAR)],
        )

        void(story, gone)

        story.pass_time(MARCH)
        assert story.list_bills(subscription)[1:] == [
            Bill(
                "INV-000002",
                "PeriodEnd",  # There was none: the last period had come to nothing.
                0,
                [Line("tokens", "0", 0), Line(OF_JANUARY, "-1000000", -2 * DOLLAR), BALANCE],
            )
        ]
