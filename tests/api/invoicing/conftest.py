"""A caller, and a contract to bill, for whose customer it is noon."""

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from tests.factories.core import make_client
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.invoicing import Contract, make_contract


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def customer() -> Customer:
    """A customer for whom it is noon."""
    return make_customer(test_clock_id=make_test_clock().pk, timezone="America/Denver")


@pytest.fixture
def contract(customer: Customer) -> Contract:
    return make_contract(customer=customer)
