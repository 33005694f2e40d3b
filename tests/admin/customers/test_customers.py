"""Customers on the staff pages: made and changed by the operations that the API calls."""

from typing import Any

import pytest
from django.test import Client

from billing_project.core.models import AuditEntry
from billing_project.core.seller import update_seller
from customers.models import Customer
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import NOON, TESTER, make_seller
from tests.factories.customers import make_customer, make_test_clock

CUSTOMERS = "/admin/customers/customer/"
NEW = {
    "display_name": "Harbour Robotics",
    "legal_name": "",
    "email": "accounts@harbour.example",
    "external_id": "",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "payment_terms_days": "",
    "tax_id": "DE123",
    "address_line1": "Kai 1",
    "address_line2": "",
    "address_city": "Hamburg",
    "address_region": "",
    "address_postal_code": "20457",
    "address_country": "DE",
    "account_type": "Organization",
    "parent": "",
    "consolidation": "Standalone",
    "test_clock": "",
}


def change(client: Client, customer: Customer, **values: str) -> Any:
    """Send the form of a customer, with everything else as it is."""
    address = {
        f"address_{name}": "" for name in ("line1", "line2", "city", "region", "postal_code", "country")
    }
    body = {
        "display_name": customer.display_name,
        "legal_name": customer.legal_name,
        "email": customer.email,
        "external_id": customer.external_id or "",
        "status": customer.status,
        "currency": customer.currency,
        "timezone": customer.timezone,
        "payment_terms_days": str(customer.payment_terms_days),
        "tax_id": customer.tax_id,
        "account_type": customer.account_type,
        "parent": customer.parent_id or "",
        "consolidation": customer.consolidation,
        **address,
        **{f"address_{name}": line for name, line in customer.billing_address.items()},
        **values,
    }
    answer = client.post(f"{CUSTOMERS}{customer.pk}/change/", body)
    customer.refresh_from_db()
    return answer


class TestAdd:
    def test_makes_the_customer(self, staff: Client, db: None) -> None:
        make_seller()
        update_seller(values={"default_payment_terms_days": 14}, at=NOON, actor=TESTER)

        answer = staff.post(f"{CUSTOMERS}add/", NEW)

        assert (answer.status_code, answer["Location"]) == (302, CUSTOMERS)
        customer = Customer.objects.get()
        assert (customer.display_name, customer.currency, customer.external_id) == (
            "Harbour Robotics",
            "EUR",
            None,
        )
        assert customer.billing_address == {
            "line1": "Kai 1",
            "city": "Hamburg",
            "postal_code": "20457",
            "country": "DE",
        }
        assert customer.payment_terms_days == 14
        entry = AuditEntry.objects.get(action="customer.created")
        assert (entry.actor_kind, entry.actor_label) == ("Staff", "ada")

    def test_puts_the_customer_on_a_clock(self, staff: Client, db: None) -> None:
        make_seller()
        clock = make_test_clock()

        staff.post(f"{CUSTOMERS}add/", {**NEW, "test_clock": str(clock.pk), "payment_terms_days": "7"})

        customer = Customer.objects.get()
        assert (customer.test_clock, customer.payment_terms_days) == (clock, 7)
        assert AuditEntry.objects.get(action="customer.created").occurred_at == NOON

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"address_country": "ZZ"}, "is not an ISO 3166 code of a country."),
            ({"consolidation": "ConsolidateToParent"}, "There is no parent to consolidate to."),
            ({"email": "nobody"}, "Enter a valid email address."),
            ({"currency": "XXX"}, "Select a valid choice."),
        ],
    )
    def test_shows_a_refusal_and_keeps_what_was_typed(
        self, staff: Client, db: None, values: dict[str, str], reason: str
    ) -> None:
        make_seller()

        answer = staff.post(f"{CUSTOMERS}add/", {**NEW, **values})

        assert answer.status_code == 200
        assert reason in answer.content.decode()
        assert 'value="Harbour Robotics"' in answer.content.decode()
        assert 'value="Hamburg"' in answer.content.decode()
        assert not Customer.objects.exists()

    def test_is_for_those_who_may(self, make_staff: MakeStaff) -> None:
        make_seller()

        assert make_staff("view_customer", "change_customer").post(f"{CUSTOMERS}add/", NEW).status_code == 403
        assert not Customer.objects.exists()


class TestChange:
    def test_changes_what_was_changed(self, staff: Client, db: None) -> None:
        customer = make_customer(billing_address={"city": "Berlin", "country": "DE"}, external_id="crm-1")

        answer = change(staff, customer, display_name="Neural Works", status="Suspended", address_city="Bonn")

        assert answer.status_code == 302
        assert (customer.display_name, customer.status) == ("Neural Works", "Suspended")
        assert customer.billing_address == {"city": "Bonn", "country": "DE"}
        assert AuditEntry.objects.get(action="customer.updated").changes == {
            "display_name": ["NeuralWorks Inc", "Neural Works"],
            "status": ["Active", "Suspended"],
            "billing_address": [{"city": "Berlin", "country": "DE"}, {"city": "Bonn", "country": "DE"}],
        }

    def test_changes_nothing_where_nothing_was_typed(self, staff: Client, db: None) -> None:
        customer = make_customer(billing_address={"city": "Berlin"})

        change(staff, customer)

        assert not AuditEntry.objects.filter(action="customer.updated").exists()

    def test_takes_lines_of_the_address_away(self, staff: Client, db: None) -> None:
        customer = make_customer(billing_address={"city": "Berlin", "region": "BE"})

        change(staff, customer, address_region="")

        assert customer.billing_address == {"city": "Berlin"}

    def test_gives_a_parent(self, staff: Client, db: None) -> None:
        parent, customer = make_customer(display_name="Parent"), make_customer(account_type="Subsidiary")

        change(staff, customer, parent=str(parent.pk), consolidation="ConsolidateToParent")

        assert (customer.parent, customer.consolidation) == (parent, "ConsolidateToParent")

    def test_shows_a_refusal(self, staff: Client, db: None) -> None:
        make_customer(external_id="crm-1")
        customer = make_customer()

        answer = change(staff, customer, external_id="crm-1")

        assert answer.status_code == 200
        assert "Another customer has the external id" in answer.content.decode()
        assert customer.external_id is None

    def test_leaves_the_customers_time_alone(self, staff: Client, db: None) -> None:
        customer, clock = make_customer(), make_test_clock()

        change(staff, customer, test_clock=str(clock.pk))

        assert customer.test_clock is None


class TestPage:
    def test_shows_the_address_to_those_who_may_only_look(self, make_staff: MakeStaff) -> None:
        customer = make_customer(billing_address={"city": "Berlin", "line1": "Allee 2"})

        content = make_staff("view_customer").get(f"{CUSTOMERS}{customer.pk}/change/").content.decode()

        assert "Allee 2, Berlin" in content

    def test_leads_only_to_lists_that_may_be_seen(self, staff: Client, make_staff: MakeStaff) -> None:
        customer = make_customer()
        invoices = f"/admin/invoicing/invoice/?customer__id__exact={customer.pk}"
        address = f"{CUSTOMERS}{customer.pk}/change/"

        assert f'href="{invoices}"' in staff.get(address).content.decode()
        assert f'href="{invoices}"' not in make_staff("view_customer").get(address).content.decode()

    @pytest.mark.parametrize(
        "query",
        [
            "invoicing/invoice/?customer__id__exact={0}",
            "invoicing/payment/?customer__id__exact={0}",
            "subscriptions/subscription/?customer__id__exact={0}",
            "metering/usageevent/?customer_id={0}",
            "core/auditentry/?customer_id={0}",
            "customers/customer/?parent__id__exact={0}",
        ],
    )
    def test_leads_to_lists_that_open(self, staff: Client, db: None, query: str) -> None:
        customer = make_customer()
        content = staff.get(f"{CUSTOMERS}{customer.pk}/change/").content.decode()

        address = f"/admin/{query.format(customer.pk)}"
        assert f'href="{address}"' in content
        assert staff.get(address).status_code == 200


class TestList:
    def test_finds_by_what_people_know(self, staff: Client, db: None) -> None:
        customer = make_customer(
            display_name="Harbour Robotics", external_id="crm-1", email="a@harbour.example"
        )
        make_customer(display_name="Other")
        address = f"{CUSTOMERS}{customer.pk}/change/"

        for text in ("robot", "A@Harbour.example", "crm-1", str(customer.pk)):
            content = staff.get(CUSTOMERS, {"q": text}).content.decode()
            assert address in content, text
            assert "Other" not in content
