"""Customers."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, OutboxEvent
from billing_project.core.seller import SellerNotSetUp, update_seller
from customers.models import AccountType, Consolidation, Customer, CustomerStatus
from customers.models.customers import MAX_PAYMENT_TERMS_DAYS
from customers.operations import create_customer, update_customer
from customers.operations.clocks import TestClockInLiveMode
from customers.operations.customers import CustomerHasChildren, ExternalIdTaken, InvalidCustomer
from customers.queries import UnknownTestClock
from tests.factories.core import NOON, TESTER, make_seller
from tests.factories.customers import make_customer, make_profile, make_test_clock

pytestmark = pytest.mark.django_db

FAULTS = [
    ({"currency": "XXX"}, "currency", "unknown_currency"),
    ({"currency": "usd"}, "currency", "unknown_currency"),
    ({"timezone": "Mars/Olympus"}, "timezone", "unknown_timezone"),
    ({"timezone": "localtime"}, "timezone", "unknown_timezone"),
    ({"timezone": ""}, "timezone", "unknown_timezone"),
    ({"payment_terms_days": MAX_PAYMENT_TERMS_DAYS + 1}, "payment_terms_days", "payment_terms_too_long"),
    ({"billing_address": {"country": "XX"}}, "billing_address.country", "unknown_country"),
    ({"billing_address": {"country": "de"}}, "billing_address.country", "unknown_country"),
    ({"billing_address": {"country": "EU"}}, "billing_address.country", "unknown_country"),
    ({"billing_address": {"street": "Main St"}}, "billing_address.street", "unknown_field"),
    (
        {"consolidation": Consolidation.CONSOLIDATE_TO_PARENT},
        "consolidation",
        "consolidation_without_parent",
    ),
]


def change(customer: Customer, **changes: Any) -> Customer:
    return update_customer(customer_id=customer.pk, changes=changes, at=NOON, actor=TESTER)  # type: ignore[arg-type]


def find_faults(caught: pytest.ExceptionInfo[InvalidCustomer]) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in caught.value.errors]


class TestCreateCustomer:
    def test_fills_in_what_is_not_said(self) -> None:
        make_seller()
        profile = make_profile(display_name="NeuralWorks Inc", email="a@b.example", currency="USD")
        customer = create_customer(profile=profile, at=NOON, actor=TESTER)

        customer.refresh_from_db()
        assert (customer.display_name, customer.email, customer.currency) == (
            "NeuralWorks Inc",
            "a@b.example",
            "USD",
        )
        assert (customer.legal_name, customer.external_id, customer.tax_id) == ("", None, "")
        assert (customer.account_type, customer.status, customer.consolidation) == (
            "Organization",
            "Active",
            "Standalone",
        )
        assert (customer.timezone, customer.payment_terms_days, customer.billing_address) == ("UTC", 30, {})
        assert (customer.parent, customer.test_clock) == (None, None)

    def test_keeps_all_that_is_said(self) -> None:
        parent = make_customer()
        address = {"line1": "Main St 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}
        customer = make_customer(
            legal_name="NeuralWorks GmbH",
            external_id="nw-1",
            account_type=AccountType.SUBSIDIARY,
            timezone="Europe/Berlin",
            tax_id="DE123456789",
            payment_terms_days=14,
            billing_address=address,
            parent_id=parent.pk,
            consolidation=Consolidation.CONSOLIDATE_TO_PARENT,
        )

        customer.refresh_from_db()
        assert (customer.legal_name, customer.external_id, customer.tax_id) == (
            "NeuralWorks GmbH",
            "nw-1",
            "DE123456789",
        )
        assert (customer.account_type, customer.parent, customer.consolidation) == (
            "Subsidiary",
            parent,
            "ConsolidateToParent",
        )
        assert (customer.timezone, customer.payment_terms_days) == ("Europe/Berlin", 14)
        assert customer.billing_address == address

    def test_takes_the_terms_of_the_seller(self) -> None:
        make_seller()
        update_seller(values={"default_payment_terms_days": 7}, at=NOON, actor=TESTER)

        assert make_customer().payment_terms_days == 7
        assert make_customer(payment_terms_days=0).payment_terms_days == 0

    def test_needs_a_seller_for_the_terms(self) -> None:
        with pytest.raises(SellerNotSetUp):
            create_customer(profile=make_profile(), at=NOON, actor=TESTER)

        assert not Customer.objects.exists()

    def test_lives_by_a_clock(self) -> None:
        clock = make_test_clock()

        assert make_customer(test_clock_id=clock.pk).test_clock == clock

    def test_is_recorded_for_itself(self) -> None:
        customer = make_customer(external_id="nw-1")

        entry = AuditEntry.objects.get(action="customer.created")
        assert (entry.subject_type, entry.subject_id, entry.customer_id) == (
            "customers.Customer",
            str(customer.pk),
            customer.pk,
        )
        assert entry.changes == {
            "display_name": [None, "NeuralWorks Inc"],
            "legal_name": [None, ""],
            "email": [None, "billing@neuralworks.example"],
            "external_id": [None, "nw-1"],
            "currency": [None, "USD"],
            "account_type": [None, "Organization"],
            "timezone": [None, "UTC"],
            "tax_id": [None, ""],
            "payment_terms_days": [None, 30],
            "billing_address": [None, {}],
            "parent_id": [None, None],
            "consolidation": [None, "Standalone"],
            "status": [None, "Active"],
            "test_clock_id": [None, None],
        }

    def test_is_told_without_what_is_personal(self) -> None:
        customer = make_customer(external_id="nw-1")

        event = OutboxEvent.objects.get()
        assert (event.name, event.subject_type, event.subject_id, event.customer_id, event.occurred_at) == (
            "customer.created",
            "customer",
            customer.pk,
            customer.pk,
            NOON,
        )
        assert event.payload == {
            "external_id": "nw-1",
            "account_type": "Organization",
            "status": "Active",
            "currency": "USD",
        }

    @pytest.mark.parametrize(("profile", "field", "code"), FAULTS)
    def test_refuses_what_cannot_be_so(self, profile: dict[str, Any], field: str, code: str) -> None:
        with pytest.raises(InvalidCustomer) as caught:
            make_customer(**profile)

        assert find_faults(caught) == [(field, code)]
        assert not Customer.objects.exists()
        assert not OutboxEvent.objects.exists()

    def test_names_all_faults_at_once(self) -> None:
        with pytest.raises(InvalidCustomer) as caught:
            make_customer(currency="XXX", timezone="Mars", parent_id=make_id())

        assert find_faults(caught) == [
            ("currency", "unknown_currency"),
            ("timezone", "unknown_timezone"),
            ("account_type", "parent_of_subsidiary"),
            ("parent_id", "unknown_parent"),
        ]

    def test_refuses_an_external_id_that_is_taken(self) -> None:
        make_customer(external_id="nw-1")

        with pytest.raises(ExternalIdTaken) as caught:
            make_customer(external_id="nw-1")

        assert [(error.field, error.code) for error in caught.value.errors] == [
            ("external_id", "external_id_taken")
        ]
        assert Customer.objects.count() == OutboxEvent.objects.count() == 1

    def test_lets_any_number_have_no_external_id(self) -> None:
        make_customer()
        make_customer()

        assert Customer.objects.count() == 2

    def test_refuses_an_unknown_clock(self) -> None:
        with pytest.raises(UnknownTestClock) as caught:
            make_customer(test_clock_id=make_id())

        assert [error.field for error in caught.value.errors] == ["test_clock_id"]
        assert not Customer.objects.exists()

    def test_refuses_a_clock_in_live_mode(self, settings: Any) -> None:
        clock = make_test_clock()
        settings.BILLING_MODE = "Live"

        with pytest.raises(TestClockInLiveMode):
            make_customer(test_clock_id=clock.pk)

        assert not Customer.objects.exists()


class TestParent:
    """Who can belong to whom."""

    def test_is_an_organization(self) -> None:
        for account_type in (AccountType.INDIVIDUAL, AccountType.SUBSIDIARY):
            parent = make_customer(account_type=account_type)
            with pytest.raises(InvalidCustomer) as caught:
                make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)
            assert find_faults(caught) == [("parent_id", "parent_not_organization")]

    def test_is_not_closed(self) -> None:
        parent = make_customer()
        change(parent, status=CustomerStatus.CLOSED)

        with pytest.raises(InvalidCustomer) as caught:
            make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)

        assert find_faults(caught) == [("parent_id", "parent_closed")]

    def test_lives_by_the_same_clock(self) -> None:
        clock = make_test_clock()
        parent = make_customer(test_clock_id=clock.pk)
        subsidiary: dict[str, Any] = {"account_type": AccountType.SUBSIDIARY, "parent_id": parent.pk}

        for other in (None, make_test_clock().pk):
            with pytest.raises(InvalidCustomer) as caught:
                make_customer(**subsidiary, test_clock_id=other)
            assert find_faults(caught) == [("parent_id", "parent_on_other_clock")]

        assert make_customer(**subsidiary, test_clock_id=clock.pk).parent == parent

    def test_has_a_subsidiary_and_nothing_else(self) -> None:
        parent = make_customer()

        with pytest.raises(InvalidCustomer) as caught:
            make_customer(account_type=AccountType.ORGANIZATION, parent_id=parent.pk)

        assert find_faults(caught) == [("account_type", "parent_of_subsidiary")]

    def test_is_never_the_customer_itself(self) -> None:
        customer = make_customer(account_type=AccountType.SUBSIDIARY)

        with pytest.raises(InvalidCustomer) as caught:
            change(customer, parent_id=customer.pk)

        assert find_faults(caught) == [("parent_id", "parent_not_organization")]

    def test_can_be_given_and_taken_away_later(self) -> None:
        parent = make_customer()
        customer = make_customer(account_type=AccountType.SUBSIDIARY)

        change(customer, parent_id=parent.pk, consolidation=Consolidation.CONSOLIDATE_TO_PARENT)
        customer.refresh_from_db()
        assert customer.parent == parent

        with pytest.raises(InvalidCustomer) as caught:
            change(customer, parent_id=None)
        assert find_faults(caught) == [("consolidation", "consolidation_without_parent")]

        change(customer, parent_id=None, consolidation=Consolidation.STANDALONE)
        customer.refresh_from_db()
        assert customer.parent is None

    def test_stays_an_organization(self) -> None:
        parent = make_customer()
        make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)

        with pytest.raises(CustomerHasChildren) as caught:
            change(parent, account_type=AccountType.INDIVIDUAL)

        assert [error.field for error in caught.value.errors] == ["account_type"]
        parent.refresh_from_db()
        assert parent.account_type == "Organization"

    def test_of_a_customer_that_changes_otherwise_is_not_judged_again(self) -> None:
        parent = make_customer()
        customer = make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)
        change(parent, status=CustomerStatus.CLOSED)

        change(customer, display_name="Other", parent_id=parent.pk)

        customer.refresh_from_db()
        assert (customer.display_name, customer.parent) == ("Other", parent)


class TestUpdateCustomer:
    def test_changes_what_is_named_and_records_that(self) -> None:
        customer = make_customer(external_id="nw-1", billing_address={"country": "DE"})
        later = datetime(2026, 3, 1, tzinfo=UTC)

        update_customer(
            customer_id=customer.pk,
            changes={
                "display_name": "NeuralWorks",
                "external_id": None,
                "billing_address": {"country": "FR"},
                "currency": "USD",
            },
            at=later,
            actor=TESTER,
        )

        customer.refresh_from_db()
        assert (customer.display_name, customer.external_id, customer.billing_address) == (
            "NeuralWorks",
            None,
            {"country": "FR"},
        )
        entry = AuditEntry.objects.get(action="customer.updated")
        assert (entry.customer_id, entry.occurred_at) == (customer.pk, later)
        assert entry.changes == {
            "display_name": ["NeuralWorks Inc", "NeuralWorks"],
            "external_id": ["nw-1", None],
            "billing_address": [{"country": "DE"}, {"country": "FR"}],
        }
        event = OutboxEvent.objects.get(name="customer.updated")
        assert event.payload == {
            "external_id": None,
            "account_type": "Organization",
            "status": "Active",
            "currency": "USD",
            "changed": ["billing_address", "display_name", "external_id"],
        }

    def test_goes_through_the_states_in_any_order(self) -> None:
        customer = make_customer()

        for status in ("Suspended", "Closed", "Active", "Closed", "Suspended", "Active"):
            change(customer, status=CustomerStatus(status))
            customer.refresh_from_db()
            assert customer.status == status

    def test_says_nothing_where_nothing_changes(self) -> None:
        customer = make_customer()

        change(customer, display_name=customer.display_name, status=CustomerStatus.ACTIVE)

        assert not AuditEntry.objects.filter(action="customer.updated").exists()
        assert not OutboxEvent.objects.filter(name="customer.updated").exists()

    @pytest.mark.parametrize(("changes", "field", "code"), FAULTS)
    def test_refuses_what_cannot_be_so(self, changes: dict[str, Any], field: str, code: str) -> None:
        customer = make_customer()

        with pytest.raises(InvalidCustomer) as caught:
            change(customer, display_name="Other", **changes)

        assert find_faults(caught) == [(field, code)]
        customer.refresh_from_db()
        assert customer.display_name == "NeuralWorks Inc"
        assert not OutboxEvent.objects.filter(name="customer.updated").exists()

    def test_refuses_an_external_id_that_is_taken(self) -> None:
        make_customer(external_id="nw-1")
        customer = make_customer(external_id="nw-2")

        with pytest.raises(ExternalIdTaken):
            change(customer, external_id="nw-1", display_name="Other")

        customer.refresh_from_db()
        assert (customer.external_id, customer.display_name) == ("nw-2", "NeuralWorks Inc")

    def test_refuses_an_unknown_customer(self) -> None:
        with pytest.raises(NotFound):
            update_customer(customer_id=make_id(), changes={"display_name": "X"}, at=NOON, actor=TESTER)


class TestDatabase:
    @pytest.mark.parametrize(
        ("values", "constraint"),
        [
            ({"consolidation": "ConsolidateToParent"}, "customer_consolidates_only_to_a_parent"),
            ({"payment_terms_days": 366}, "customer_payment_terms_are_bounded"),
            ({"status": "Gone"}, "customer_status_is_known"),
        ],
    )
    def test_refuses_what_operations_refuse(self, values: dict[str, Any], constraint: str) -> None:
        customer = make_customer()

        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Customer.objects.filter(pk=customer.pk).update(**values)

    def test_refuses_a_parent_of_what_is_no_subsidiary(self) -> None:
        parent, customer = make_customer(), make_customer()

        with (
            pytest.raises(IntegrityError, match="customer_with_a_parent_is_a_subsidiary"),
            transaction.atomic(),
        ):
            Customer.objects.filter(pk=customer.pk).update(parent=parent)
