"""Makers of customers and test clocks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from customers.models import Customer, TestClock
from customers.operations import CustomerProfile, create_customer, create_test_clock
from tests.factories.core import NOON, TESTER, make_seller


def make_profile(
    *,
    display_name: str = "NeuralWorks Inc",
    email: str = "billing@neuralworks.example",
    currency: str = "USD",
    **rest: Any,
) -> CustomerProfile:
    """Make what is known about a new customer."""
    return CustomerProfile(display_name=display_name, email=email, currency=currency, **rest)


def make_customer(*, test_clock_id: UUID | None = None, **profile: Any) -> Customer:
    """Make a customer, and the seller if there is none; `profile` is that of `make_profile`."""
    make_seller()
    return create_customer(
        profile=make_profile(**profile), test_clock_id=test_clock_id, at=NOON, actor=TESTER
    )


def make_test_clock(*, name: str = "A clock", now_at: datetime = NOON) -> TestClock:
    """Make a test clock."""
    return create_test_clock(name=name, now_at=now_at, at=NOON, actor=TESTER)
