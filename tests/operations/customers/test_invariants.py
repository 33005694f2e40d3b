"""The invariants of customers see each breach."""

import pytest

from customers.invariants import check_families
from customers.models import AccountType, Customer
from tests.factories.customers import make_customer, make_test_clock

pytestmark = pytest.mark.django_db


class TestCheckFamilies:
    def test_finds_nothing_where_all_is_well(self) -> None:
        parent = make_customer()
        make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)

        assert list(check_families()) == []

    def test_finds_a_parent_that_is_no_organization(self) -> None:
        parent = make_customer()
        child = make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)
        Customer.objects.filter(pk=parent.pk).update(account_type=AccountType.INDIVIDUAL)

        assert list(check_families()) == [
            f"The parent {parent.pk} of customer {child.pk} is not an Organization."
        ]

    def test_finds_a_family_on_two_clocks(self) -> None:
        parent = make_customer()
        child = make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)
        Customer.objects.filter(pk=child.pk).update(test_clock=make_test_clock())

        assert list(check_families()) == [
            f"Customer {child.pk} and its parent {parent.pk} do not live by the same clock."
        ]
