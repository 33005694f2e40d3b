"""A subscription on the staff pages: billed now, ended, and the end taken back."""

from typing import Any

import pytest
from django.test import Client

from billing_project.core.models import AuditEntry
from invoicing.models import Invoice
from subscriptions.models import Subscription
from subscriptions.operations import CancelWhen, cancel_subscription
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import make_subscription, make_usage
from tests.factories.core import NOON, TESTER
from tests.factories.subscriptions import find_breaches, utc

CONFIRM = {"_form_submitted": "true"}
SUBSCRIPTIONS = "/admin/subscriptions/subscription/"


@pytest.fixture
def subscription(db: None) -> Subscription:
    """A subscription of a customer for whom it is noon."""
    return make_subscription()


def act(client: Client, subscription: Subscription, action: str, **values: str) -> Any:
    """Send a dialog, and follow it to the page that it leads to."""
    address = f"{SUBSCRIPTIONS}{subscription.pk}/{action}/"
    answer = client.post(address, {**CONFIRM, **values}, follow=True)
    subscription.refresh_from_db()
    return answer


class TestBillNow:
    def test_makes_the_draft_and_shows_it(self, staff: Client, subscription: Subscription) -> None:
        make_usage(subscription)

        answer = act(staff, subscription, "bill_now")

        invoice = Invoice.objects.get()
        assert (invoice.status, invoice.reason, invoice.subtotal_nanos) == (
            "Draft",
            "OnDemand",
            9960000000000,
        )
        assert answer.redirect_chain == [(f"/admin/invoicing/invoice/{invoice.pk}/change/", 302)]
        assert "The Draft was made." in answer.content.decode()
        assert "$9.955" in answer.content.decode()
        assert invoice.computed_at == NOON

    def test_refreshes_the_draft_that_there_is(self, staff: Client, subscription: Subscription) -> None:
        make_usage(subscription)
        act(staff, subscription, "bill_now")
        make_usage(subscription, 22_500)

        answer = act(staff, subscription, "bill_now")

        assert Invoice.objects.get().subtotal_nanos == 10000000000000
        assert "The Draft was refreshed." in answer.content.decode()

    def test_tells_why_not(self, staff: Client, subscription: Subscription) -> None:
        cancel_subscription(
            subscription_id=subscription.pk, when=CancelWhen.NOW, at=utc(2026, 2, 28, 12), actor=TESTER
        )

        answer = act(staff, subscription, "bill_now")

        assert "The subscription has no period now" in answer.content.decode()
        assert not Invoice.objects.exists()

    @pytest.mark.parametrize("rights", [["change_subscription"], ["add_invoice"], ["change_invoice"]])
    def test_is_for_those_who_may(
        self, make_staff: MakeStaff, subscription: Subscription, rights: list[str]
    ) -> None:
        client = make_staff("view_subscription", *rights)

        assert act(client, subscription, "bill_now").status_code == 403
        assert not Invoice.objects.exists()


class TestCancel:
    def test_plans_the_end_for_the_periods_end(self, staff: Client, subscription: Subscription) -> None:
        act(staff, subscription, "cancel", when="PeriodEnd")

        assert (subscription.status, subscription.ends_at) == ("Active", utc(2026, 3, 28))
        entry = AuditEntry.objects.get(action__startswith="subscription.cancel")
        assert (entry.actor_label, entry.occurred_at) == ("ada", NOON)

    def test_ends_it_at_once_by_the_customers_time(self, staff: Client, subscription: Subscription) -> None:
        answer = act(staff, subscription, "cancel", when="Now")

        assert (subscription.status, subscription.ends_at) == ("Cancelled", NOON)
        assert find_breaches() == []
        content = staff.get(f"{SUBSCRIPTIONS}{subscription.pk}/change/").content.decode()
        assert answer.status_code == 200
        assert f"{subscription.pk}/cancel/" not in content

    def test_asks_when(self, staff: Client, subscription: Subscription) -> None:
        assert b"At the end of the period" in staff.get(f"{SUBSCRIPTIONS}{subscription.pk}/cancel/").content

        act(staff, subscription, "cancel", when="Perhaps")

        assert (subscription.status, subscription.ends_at) == ("Active", None)

    def test_tells_why_not(self, staff: Client, subscription: Subscription) -> None:
        act(staff, subscription, "cancel", when="Now")

        staff.post(f"{SUBSCRIPTIONS}{subscription.pk}/cancel/", {**CONFIRM, "when": "Now"})

        content = staff.get(f"{SUBSCRIPTIONS}{subscription.pk}/change/").content.decode()
        assert "ended at 2026-02-28 12:00 UTC." in content

    def test_is_for_those_who_may(self, make_staff: MakeStaff, subscription: Subscription) -> None:
        client = make_staff("view_subscription", "change_invoice")

        assert act(client, subscription, "cancel", when="Now").status_code == 403
        assert subscription.status == "Active"


class TestUncancel:
    def test_takes_the_end_back(self, staff: Client, subscription: Subscription) -> None:
        act(staff, subscription, "cancel", when="PeriodEnd")

        act(staff, subscription, "uncancel")

        assert subscription.ends_at is None
        assert find_breaches() == []

    def test_tells_why_not(self, staff: Client, subscription: Subscription) -> None:
        answer = act(staff, subscription, "uncancel")

        assert "has no planned end." in answer.content.decode()

    def test_is_for_those_who_may(self, make_staff: MakeStaff, subscription: Subscription) -> None:
        act(make_staff("view_subscription"), subscription, "uncancel")

        assert not AuditEntry.objects.filter(action="subscription.uncancelled").exists()


class TestPage:
    def test_shows_items_invoices_periods_and_history(
        self, staff: Client, subscription: Subscription
    ) -> None:
        act(staff, subscription, "bill_now")

        content = staff.get(f"{SUBSCRIPTIONS}{subscription.pk}/change/").content.decode()

        for text in ("Input Tokens", "as metered", "Latest invoices", "Periods", "subscription.created"):
            assert text in content

    def test_shows_no_invoices_to_those_who_may_not_see_them(
        self, make_staff: MakeStaff, subscription: Subscription
    ) -> None:
        client = make_staff("view_subscription")

        content = client.get(f"{SUBSCRIPTIONS}{subscription.pk}/change/").content.decode()

        assert "Latest invoices" not in content
        assert "/admin/invoicing/invoice/" not in content
