"""Operations on customers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from typing import TypedDict
from uuid import UUID

from babel import Locale
from django.conf import settings
from django.db import IntegrityError, transaction
from psycopg.errors import UniqueViolation

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.currencies import is_currency
from billing_project.core.errors import Conflict, FieldError, InvalidInput, NotFound
from billing_project.core.events import emit
from billing_project.core.models import Mode
from billing_project.core.periods import is_timezone
from billing_project.core.seller import ADDRESS_KEYS, get_seller
from customers.events import CustomerCreated, CustomerUpdated
from customers.locks import lock_customers
from customers.models import AccountType, Consolidation, Customer, CustomerStatus
from customers.models.customers import MAX_PAYMENT_TERMS_DAYS
from customers.operations.clocks import TestClockInLiveMode
from customers.queries import now_on

_PROFILE_FIELDS = (
    "display_name",
    "legal_name",
    "email",
    "external_id",
    "currency",
    "account_type",
    "timezone",
    "tax_id",
    "payment_terms_days",
    "billing_address",
    "parent_id",
    "consolidation",
)
# Regions that CLDR names and ISO 3166 does not list as countries: unions, islands of others, test data.
# Kosovo's XK is no part of the standard either, but it is what everybody uses.
_NO_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}


class InvalidCustomer(InvalidInput):
    """What is said about the customer cannot be so."""

    code = "invalid_customer"


class ExternalIdTaken(Conflict):
    """Two customers cannot have the same id in the seller's own systems."""

    code = "external_id_taken"


class CustomerHasChildren(Conflict):
    """A customer that others belong to stays an Organization."""

    code = "customer_has_children"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerProfile:
    """What is known about a new customer. `payment_terms_days` are the seller's if they are not given."""

    display_name: str
    email: str
    currency: str
    account_type: AccountType = AccountType.ORGANIZATION
    legal_name: str = ""
    external_id: str | None = None
    timezone: str = "UTC"
    tax_id: str = ""
    payment_terms_days: int | None = None
    billing_address: Mapping[str, str] = field(default_factory=dict)
    parent_id: UUID | None = None
    consolidation: Consolidation = Consolidation.STANDALONE


class CustomerChanges(TypedDict, total=False):
    """What can be changed on a customer; a key that is missing stays as it is. Their time cannot."""

    display_name: str
    legal_name: str
    email: str
    external_id: str | None
    currency: str
    account_type: AccountType
    status: CustomerStatus
    timezone: str
    tax_id: str
    payment_terms_days: int
    billing_address: Mapping[str, str]
    parent_id: UUID | None
    consolidation: Consolidation


@transaction.atomic
def create_customer(
    *, profile: CustomerProfile, test_clock_id: UUID | None = None, at: datetime, actor: Actor
) -> Customer:
    """Add a customer, who lives by a test clock if one is named.

    Raises: InvalidCustomer; ExternalIdTaken; UnknownTestClock; TestClockInLiveMode.
    Locks: the parent.
    Emits: customer.created.
    """
    if test_clock_id is not None and settings.BILLING_MODE == Mode.LIVE:
        raise TestClockInLiveMode("Test clocks exist in Test mode only.", field="test_clock_id")
    now_on(test_clock_id=test_clock_id, real_now=at)  # Refuses a clock that does not exist.
    customer = Customer(**asdict(profile), test_clock_id=test_clock_id)
    if profile.payment_terms_days is None:
        customer.payment_terms_days = get_seller().default_payment_terms_days
    faults = [*_find_faults(customer)]
    if customer.parent_id is not None:
        faults += _find_parent_faults(customer, lock_customers([customer.parent_id]).get(customer.parent_id))
    _refuse(faults)
    _save(customer)
    changes = audit.made(customer, *_PROFILE_FIELDS, "status", "test_clock_id")
    audit.record("customer.created", subject=customer, changes=changes, actor=actor, at=at)
    emit(CustomerCreated(customer), at=at)
    return customer


@transaction.atomic
def update_customer(*, customer_id: UUID, changes: CustomerChanges, at: datetime, actor: Actor) -> Customer:
    """Change what is known about a customer, or their status. Invoices that are final keep their copies.

    Raises: NotFound; InvalidCustomer; ExternalIdTaken; CustomerHasChildren.
    Locks: the customer, and the parent if that changes.
    Emits: customer.updated.
    """
    parent_id = changes.get("parent_id")
    locked = lock_customers([customer_id] if parent_id is None else [customer_id, parent_id])
    customer = locked.get(customer_id)
    if customer is None:
        raise NotFound(f"There is no customer {customer_id}.")
    changed = audit.set_fields(customer, changes)
    if not changed:
        return customer
    faults = [*_find_faults(customer)]
    if "parent_id" in changed and parent_id is not None:
        faults += _find_parent_faults(customer, locked.get(parent_id))
    _refuse(faults)
    if "account_type" in changed and customer.children.exists():
        raise CustomerHasChildren(f"{customer} has subsidiaries.", field="account_type")
    _save(customer)
    audit.record("customer.updated", subject=customer, changes=changed, actor=actor, at=at)
    emit(CustomerUpdated(customer, changed=tuple(sorted(changed))), at=at)
    return customer


def _find_faults(customer: Customer) -> Iterator[FieldError]:
    """Find what is wrong with what a customer says about itself."""
    if not is_currency(customer.currency):
        yield FieldError(
            "currency", "unknown_currency", f"{customer.currency!r} is not the code of a currency."
        )
    if not is_timezone(customer.timezone):
        yield FieldError("timezone", "unknown_timezone", f"{customer.timezone!r} is not an IANA time zone.")
    if customer.payment_terms_days > MAX_PAYMENT_TERMS_DAYS:
        detail = f"Payment terms are at most {MAX_PAYMENT_TERMS_DAYS} days."
        yield FieldError("payment_terms_days", "payment_terms_too_long", detail)
    for name in sorted(customer.billing_address.keys() - ADDRESS_KEYS):
        yield FieldError(f"billing_address.{name}", "unknown_field", "An address has no such field.")
    country = customer.billing_address.get("country")
    if country is not None and country not in _read_countries():
        detail = f"{country!r} is not an ISO 3166 code of a country."
        yield FieldError("billing_address.country", "unknown_country", detail)
    if customer.parent_id is not None and customer.account_type != AccountType.SUBSIDIARY:
        yield FieldError("account_type", "parent_of_subsidiary", "Only a Subsidiary has a parent.")
    if customer.parent_id is None and customer.consolidation != Consolidation.STANDALONE:
        yield FieldError(
            "consolidation", "consolidation_without_parent", "There is no parent to consolidate to."
        )


def _find_parent_faults(customer: Customer, parent: Customer | None) -> Iterator[FieldError]:
    """Find what is wrong with a customer's belonging to another."""
    if parent is None:
        yield FieldError("parent_id", "unknown_parent", f"There is no customer {customer.parent_id}.")
    elif parent.account_type != AccountType.ORGANIZATION:
        yield FieldError("parent_id", "parent_not_organization", "A parent is an Organization.")
    elif parent.status == CustomerStatus.CLOSED:
        yield FieldError("parent_id", "parent_closed", "The parent is closed.")
    elif parent.test_clock_id != customer.test_clock_id:
        yield FieldError(
            "parent_id", "parent_on_other_clock", "Parent and subsidiary live by the same clock."
        )


def _refuse(faults: Sequence[FieldError]) -> None:
    if faults:
        raise InvalidCustomer("The customer cannot be saved like this.", errors=faults)


def _save(customer: Customer) -> None:
    """Save a customer; the database decides whether the external id is taken, also between two at once.

    Raises: ExternalIdTaken.
    """
    try:
        with transaction.atomic():
            customer.save()
    except IntegrityError as error:
        cause = error.__cause__
        if (
            not isinstance(cause, UniqueViolation)
            or cause.diag.constraint_name != "customer_external_id_is_unique"
        ):
            raise
        detail = f"Another customer has the external id {customer.external_id!r}."
        raise ExternalIdTaken(detail, field="external_id") from None


@cache
def _read_countries() -> frozenset[str]:
    regions = (str(region) for region in Locale("en").territories)
    return frozenset(region for region in regions if re.fullmatch("[A-Z]{2}", region)) - _NO_COUNTRIES
