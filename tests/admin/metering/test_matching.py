"""The staff page on which a subscription takes unmatched events."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from subscriptions.models import Subscription
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import make_subscription
from tests.factories.core import NOON
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import INPUT, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def subscription() -> Subscription:
    """A subscription whose customer used $9.955 worth of input tokens the day before, without it."""
    customer = make_customer(display_name="NeuralWorks Inc", test_clock_id=make_test_clock().pk)
    tokens = {"input_tokens": 4_977_500, "output_tokens": 0}
    assert ingest(write_event(customer, timestamp=NOON - DAY, properties=tokens)).accepted == 1
    return subscribe(customer=customer, plan=make_metered_plan())


def address(customer_id: Any) -> str:
    return reverse("admin:metering_usagecorrection_match", args=[customer_id])


def fill(subscription: Subscription, /, **changes: str) -> dict[str, str]:
    return {
        "subscription": str(subscription.pk),
        "stamped_before": "2026-02-28T12:00",
        "reason": "Before the contract",
        **changes,
    }


def read(answer: Any) -> str:
    """Read a page as its words, whatever its spaces."""
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


class TestMatch:
    def test_offers_the_subscriptions_of_the_customer(
        self, staff: Client, subscription: Subscription
    ) -> None:
        other = make_subscription("Harbour Robotics")

        content = read(staff.get(address(subscription.customer_id)))

        assert "NeuralWorks Inc" in content
        assert f'value="{subscription.pk}"' in content
        assert str(other.pk) not in content

    def test_shows_first_what_would_change(self, staff: Client, subscription: Subscription) -> None:
        filled = fill(subscription, reason="", _preview="")

        content = read(staff.post(address(subscription.customer_id), filled))

        assert INPUT in content
        assert "4,977,500" in content
        assert "$9.955" in content
        assert 'value="2026-02-28T12:00"' in content  # What was typed is still there.
        assert read_totals(subscription) == {}
        assert find_breaches() == []

    def test_has_the_subscription_take_them(self, staff: Client, subscription: Subscription) -> None:
        answer = staff.post(address(subscription.customer_id), fill(subscription), follow=True)

        assert answer.redirect_chain[0][0] == f"/admin/subscriptions/subscription/{subscription.pk}/change/"
        assert "The subscription has taken 1 event." in read(answer)
        assert read_totals(subscription)[INPUT] == 4_977_500
        entry = AuditEntry.objects.get(action="usage.matched")
        assert (entry.actor_label, entry.reason) == ("ada", "Before the contract")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"reason": ""}, "Say why the usage is corrected."),
            ({"stamped_before": ""}, "Say which of the customer"),
            ({"stamped_before": "yesterday"}, "Enter a valid date/time."),
            ({"event_type": "other"}, "No event is meant that is unmatched"),
            ({"subscription": str(make_id())}, "Select a valid choice"),
            ({"event_type": "other", "_preview": ""}, "No event is meant that is unmatched"),
        ],
        ids=["reason", "everything", "time", "nothing", "subscription", "preview"],
    )
    def test_says_what_is_wrong(
        self, staff: Client, subscription: Subscription, changes: dict[str, str], message: str
    ) -> None:
        content = read(staff.post(address(subscription.customer_id), fill(subscription, **changes)))

        assert message in content
        assert read_totals(subscription) == {}

    def test_is_for_those_who_may_correct(self, make_staff: MakeStaff, subscription: Subscription) -> None:
        client = make_staff("view_usageevent", "view_usagecorrection")

        assert client.get(address(subscription.customer_id)).status_code == 403
        assert client.post(address(subscription.customer_id), fill(subscription)).status_code == 403
        assert read_totals(subscription) == {}

    def test_finds_no_customer_that_is_not_there(self, staff: Client) -> None:
        assert staff.get(address(make_id())).status_code == 404
