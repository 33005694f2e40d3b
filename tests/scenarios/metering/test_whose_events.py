"""Whose an event is: the customer and the subscription that it names. A million tokens cost $2.00."""

from datetime import timedelta

from billing_project.core.ids import make_id
from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import DOLLAR, Bill, Line, Stored, Story, Usage, write_event

START = utc(2026, 1, 15, 10)
FEBRUARY = utc(2026, 2, 15)
HOUR = timedelta(hours=1)
ONE_BILL = Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])


class TestCustomer:
    def test_who_is_suspended_goes_on_being_metered_and_billed(self, story: Story) -> None:
        subscription = story.subscribe()
        story.set_status(subscription.customer_id, "Suspended")
        event = write_event(subscription, stamped=START)

        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, START, is_late=False)
        assert story.read_tokens(subscription) == Usage("1000000")
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [ONE_BILL]

    def test_who_is_closed_sends_nothing_more_and_pays_for_what_was_before(self, story: Story) -> None:
        subscription = story.subscribe()
        before = write_event(subscription, stamped=START)
        assert story.send(before) == "accepted"
        story.set_status(subscription.customer_id, "Closed")
        named = write_event(subscription, stamped=START)
        unnamed = write_event(subscription.customer_id, stamped=START)

        assert story.send(named) == story.send(unnamed) == "422 customer_closed"
        assert story.send(before) == "duplicate"

        assert story.find_event(named) is story.find_event(unnamed) is None
        assert story.read_tokens(subscription) == Usage("1000000")
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [ONE_BILL]

    def test_who_does_not_exist_has_no_events(self, story: Story) -> None:
        event = write_event(str(make_id()), stamped=START)

        assert story.send(event) == "422 unknown_customer"

        assert story.find_event(event) is None


class TestSubscription:
    def test_of_another_customer_or_of_nobody_takes_nothing(self, story: Story) -> None:
        ours, theirs = story.subscribe(), story.subscribe()
        event = write_event(theirs, stamped=START, customer_id=ours.customer_id)
        astray = write_event(ours, stamped=START, subscription_id=str(make_id()))

        assert story.send(event) == story.send(astray) == "422 unknown_subscription"

        assert story.find_event(event) is story.find_event(astray) is None
        assert story.find_event({**event, "customer_id": theirs.customer_id}) is None
        assert story.read_tokens(ours) == story.read_tokens(theirs) == Usage("0")
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(ours) == story.list_bills(theirs) == []
