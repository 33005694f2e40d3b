"""Reads of customers and test clocks."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from billing_project.core.errors import InvalidInput, NotFound
from customers.models import ClockStatus, Customer, TestClock


class UnknownTestClock(InvalidInput):
    """There is no test clock of the id that a customer is to live by."""

    code = "unknown_test_clock"


def get_customer(customer_id: UUID) -> Customer:
    """Return a customer.

    Raises: NotFound.
    """
    customer = Customer.objects.filter(pk=customer_id).first()
    if customer is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return customer


def find_by_external_id(external_id: str) -> Customer | None:
    """Find the customer that the seller's own systems know by that id."""
    return Customer.objects.filter(external_id=external_id).first()


def read_customers(customer_ids: Collection[UUID]) -> dict[UUID, Customer]:
    """Read customers, with their test clocks; unknown ids are left out."""
    customers = Customer.objects.select_related("test_clock").filter(pk__in=customer_ids)
    return {customer.pk: customer for customer in customers}


def find_customers(names: Collection[str]) -> dict[str, Customer]:
    """Find customers by their id or their external id, with their test clocks; the id wins."""
    ids = {name: UUID(name) for name in names if _is_id(name)}
    customers = Customer.objects.select_related("test_clock").filter(
        Q(external_id__in=names) | Q(pk__in=ids.values())
    )
    found = {customer.external_id: customer for customer in customers if customer.external_id in names}
    by_id = {customer.pk: customer for customer in customers}
    found |= {name: by_id[customer_id] for name, customer_id in ids.items() if customer_id in by_id}
    return {name: customer for name, customer in found.items() if name is not None}


def now_for(*, customer_id: UUID, real_now: datetime) -> datetime:
    """Tell what time it is for a customer: that of their test clock, or the real one.

    Read anew for each request: a clock may be on its way.

    Raises: NotFound.
    """
    customer = Customer.objects.select_related("test_clock").filter(pk=customer_id).first()
    if customer is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return real_now if customer.test_clock is None else customer.test_clock.now_at


def now_on(*, test_clock_id: UUID | None, real_now: datetime) -> datetime:
    """Tell what time it is for whoever is to live by a test clock, or by the real one if none is named.

    Raises: UnknownTestClock.
    """
    if test_clock_id is None:
        return real_now
    clock = TestClock.objects.filter(pk=test_clock_id).first()
    if clock is None:
        raise UnknownTestClock(f"There is no test clock {test_clock_id}.", field="test_clock_id")
    return clock.now_at


def get_test_clock(test_clock_id: UUID) -> TestClock:
    """Return a test clock.

    Raises: NotFound.
    """
    clock = TestClock.objects.filter(pk=test_clock_id).first()
    if clock is None:
        raise NotFound(f"There is no test clock {test_clock_id}.")
    return clock


def find_advancing_clock_ids() -> list[UUID]:
    """Find the test clocks that are on their way to a later time."""
    clocks = TestClock.objects.filter(status=ClockStatus.ADVANCING).order_by("pk")
    return list(clocks.values_list("pk", flat=True))


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
