"""Events of subscriptions that are paused: nothing is lost, and only fees stop. A million tokens cost $2.00."""

from datetime import timedelta

from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import (
    DOLLAR,
    MILLION,
    Bill,
    Line,
    Stored,
    Story,
    Subscribed,
    Usage,
    read_id,
    write_event,
)

START = utc(2026, 1, 15, 10)
PAUSED, RESUMED = utc(2026, 1, 25, 12), utc(2026, 2, 5, 12)
FEBRUARY = utc(2026, 2, 15)
HOUR = timedelta(hours=1)


def move(story: Story, subscription: Subscribed, move: str) -> str:
    """Pause or resume a subscription at once, and return what it is then."""
    answer = story.client.post(f"/v1/subscriptions/{subscription.id}/{move}", {"when": "Now"})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["status"])


class TestPaused:
    def test_takes_usage_in_and_bills_it_but_no_fee(self, story: Story) -> None:
        plan_id = story.add_plan()
        # $31.00 a month: from the 15th of January to the 15th of February, a dollar a day.
        fee = {"pricing_model": "Flat", "unit_amount_nanos": str(31 * DOLLAR), "currency": "USD"}
        read_id(story.client.post("/admin/v1/catalog/skus", {"plan_id": plan_id, "name": "support", **fee}))
        subscription = story.subscribe(plan_id=plan_id)
        story.use(subscription, at=utc(2026, 1, 20))
        story.pass_time(PAUSED)
        assert move(story, subscription, "pause") == "Paused"

        event = story.use(subscription, at=utc(2026, 1, 30), tokens=MILLION // 2)
        unnamed = write_event(subscription.customer_id, stamped=utc(2026, 1, 30), tokens=MILLION // 4)
        assert story.send(unnamed) == "accepted"

        stored = Stored(subscription.id, START, utc(2026, 1, 30), is_late=False)
        assert [story.look_up(each) for each in (event, unnamed)] == [stored] * 2
        assert story.read_tokens(subscription) == Usage("1750000")
        story.pass_time(RESUMED)
        assert move(story, subscription, "resume") == "Active"
        story.pass_time(FEBRUARY + HOUR)
        # The 15th to the 24th of January are ten days, the 5th to the 14th of February are ten more; the days
        # of the moves belong to what begins on them. Usage: 1,000,000 + 750,000 + 0.
        assert story.list_bills(subscription) == [
            Bill(
                "INV-000001",
                "PeriodEnd",
                (2 + 10 + 10) * DOLLAR + 3 * DOLLAR // 2,
                [
                    Line("tokens, 2026-01-15 to 2026-01-25", "1000000", 2 * DOLLAR),
                    Line("support, 2026-01-15 to 2026-01-25", "1", 10 * DOLLAR),
                    Line("tokens, 2026-01-25 to 2026-02-05", "750000", 3 * DOLLAR // 2),
                    Line("tokens, 2026-02-05 to 2026-02-14", "0", 0),
                    Line("support, 2026-02-05 to 2026-02-14", "1", 10 * DOLLAR),
                ],
            )
        ]
