"""Row locks of customers and test clocks. Every operation that moves money starts at `lock_customer`."""

from collections.abc import Collection
from uuid import UUID

from billing_project.core.errors import NotFound
from customers.models import Customer, TestClock


def lock_customer(customer_id: UUID) -> Customer:
    """Lock a customer.

    Raises: NotFound.
    Locks: customer.
    """
    customer = Customer.objects.select_for_update(of=("self",), no_key=True).filter(pk=customer_id).first()
    if customer is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return customer


def lock_customers(customer_ids: Collection[UUID]) -> dict[UUID, Customer]:
    """Lock several customers in the order of their ids, such as parent and child; leave out unknown ids.

    Locks: customers.
    """
    customers = Customer.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=customer_ids)
    return {customer.pk: customer for customer in customers.order_by("pk")}


def lock_test_clock(test_clock_id: UUID) -> TestClock:
    """Lock a test clock.

    Raises: NotFound.
    Locks: test clock.
    """
    clock = TestClock.objects.select_for_update(of=("self",), no_key=True).filter(pk=test_clock_id).first()
    if clock is None:
        raise NotFound(f"There is no test clock {test_clock_id}.")
    return clock
