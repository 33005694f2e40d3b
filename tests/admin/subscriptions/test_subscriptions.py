"""A subscription on the staff pages: billed now, ended, and the end taken back."""

from typing import Any

import pytest
from django.test import Client

from billing_project.core.models import AuditEntry
from catalog.models import BillingTiming, PricingModel, Sku
from invoicing.models import Invoice
from subscriptions.models import PlannedChange, Subscription
from subscriptions.operations import When, cancel_subscription
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import make_subscription, make_usage
from tests.factories.catalog import make_plan, make_sku
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


def move(client: Client, subscription: Subscription, page: str, **values: str) -> Any:
    """Fill in the page of a move, look at what it comes to, and confirm it."""
    address = f"{SUBSCRIPTIONS}{subscription.pk}/{page}/"
    preview = client.post(address, values)
    assert preview.status_code == 200
    subscription.refresh_from_db()
    return client.post(address, {**values, "seen": preview.context["seen"]}, follow=True)


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
            subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 2, 28, 12), actor=TESTER
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
        move(staff, subscription, "cancel", when="PeriodEnd")

        subscription.refresh_from_db()
        assert (subscription.status, subscription.ends_at) == ("Active", utc(2026, 3, 28))
        entry = AuditEntry.objects.get(action__startswith="subscription.cancel")
        assert (entry.actor_label, entry.occurred_at) == ("ada", NOON)

    def test_ends_it_at_once_by_the_customers_time(self, staff: Client, subscription: Subscription) -> None:
        move(staff, subscription, "cancel", when="Now")

        subscription.refresh_from_db()
        assert (subscription.status, subscription.ends_at) == ("Cancelled", NOON)
        assert find_breaches() == []
        content = staff.get(f"{SUBSCRIPTIONS}{subscription.pk}/change/").content.decode()
        assert f"{subscription.pk}/cancel/" not in content

    def test_shows_the_money_first(self, staff: Client, subscription: Subscription) -> None:
        make_usage(subscription)

        shown = staff.post(f"{SUBSCRIPTIONS}{subscription.pk}/cancel/", {"when": "Now"})

        assert "$9.955" in shown.content.decode()
        subscription.refresh_from_db()
        assert subscription.status == "Active"

    def test_asks_when(self, staff: Client, subscription: Subscription) -> None:
        assert b"At the end of the period" in staff.get(f"{SUBSCRIPTIONS}{subscription.pk}/cancel/").content

        staff.post(f"{SUBSCRIPTIONS}{subscription.pk}/cancel/", {"when": "Perhaps"})

        subscription.refresh_from_db()
        assert (subscription.status, subscription.ends_at) == ("Active", None)

    def test_tells_why_not(self, staff: Client, subscription: Subscription) -> None:
        move(staff, subscription, "cancel", when="Now")

        answer = staff.post(f"{SUBSCRIPTIONS}{subscription.pk}/cancel/", {"when": "Now"})

        assert "ended at 2026-02-28 12:00 UTC." in answer.content.decode()

    def test_is_for_those_who_may(self, make_staff: MakeStaff, subscription: Subscription) -> None:
        client = make_staff("view_subscription", "change_invoice")

        for page in ("cancel", "change_terms", "pause", "resume"):
            assert client.get(f"{SUBSCRIPTIONS}{subscription.pk}/{page}/").status_code == 403


class TestChange:
    @pytest.fixture
    def seats(self, subscription: Subscription) -> Sku:
        """A plan with seats, which the subscription can change to."""
        return make_sku(
            make_plan(name="Team"),
            name="Seats",
            meter=None,
            pricing_model=PricingModel.PER_UNIT,
            params={"unit_amount_nanos": str(28 * 10**12)},
            billing_timing=BillingTiming.ADVANCE,
        )

    def test_shows_the_money_and_does_what_was_shown(
        self, staff: Client, subscription: Subscription, seats: Sku
    ) -> None:
        """Half of the month's 28 days are left: 3 seats for $28 come to $42, and to $84 for the next month."""
        address = f"{SUBSCRIPTIONS}{subscription.pk}/change_terms/"
        values = {
            "plan": str(seats.plan_id),
            "when": "At",
            "instant": "2026-03-14T00:00:00Z",
            f"quantity_{seats.pk}": "3",
        }

        shown = staff.post(address, values)

        content = shown.content.decode()
        for text in ("Seats, 2026-03-14 to 2026-03-27", "$42.00", "$84.00", "Confirm"):
            assert text in content
        assert not PlannedChange.objects.exists()
        other = {**values, f"quantity_{seats.pk}": "4", "seen": shown.context["seen"]}
        assert "$56.00" in staff.post(address, other).content.decode()  # Not what was shown: shown anew.
        assert not PlannedChange.objects.exists()

        staff.post(address, {**values, "seen": shown.context["seen"]})

        planned = PlannedChange.objects.get()
        assert planned.effective_at == utc(2026, 3, 14)
        assert list(planned.quantities.values()) == ["3"]
        page = staff.get(f"{SUBSCRIPTIONS}{subscription.pk}/change/").content.decode()
        assert "Change of plan, quantities or prices" in page

    @pytest.mark.parametrize("instant", ["", "2026-03-14", "2026-03-14T00:00:00"])
    def test_asks_for_a_whole_time(self, staff: Client, subscription: Subscription, instant: str) -> None:
        answer = staff.post(
            f"{SUBSCRIPTIONS}{subscription.pk}/change_terms/", {"when": "At", "instant": instant}
        )

        assert "Write a time with its offset from UTC." in answer.content.decode()

    def test_can_be_withdrawn(self, staff: Client, subscription: Subscription, seats: Sku) -> None:
        move(staff, subscription, "change_terms", plan=str(seats.plan_id), when="PeriodEnd")
        planned = PlannedChange.objects.get()

        staff.post(f"/admin/subscriptions/plannedchange/{planned.pk}/withdraw/", CONFIRM)

        planned.refresh_from_db()
        assert planned.withdrawn_at == NOON


class TestPauseAndResume:
    def test_pauses_and_resumes(self, staff: Client, subscription: Subscription) -> None:
        move(staff, subscription, "pause", when="Now")
        subscription.refresh_from_db()
        assert subscription.status == "Paused"

        move(staff, subscription, "resume", when="Now")

        subscription.refresh_from_db()
        assert subscription.status == "Active"
        assert find_breaches() == []


class TestUncancel:
    def test_takes_the_end_back(self, staff: Client, subscription: Subscription) -> None:
        move(staff, subscription, "cancel", when="PeriodEnd")

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
