"""Filters of the lists of the customers app."""

import django_filters

from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from customers.models import AccountType, ClockStatus, CustomerStatus


class CustomerFilters(StrictFilterSet):
    """Filters of the list of customers."""

    email = django_filters.CharFilter(lookup_expr="iexact", max_length=254)
    external_id = django_filters.CharFilter(max_length=200)
    status = django_filters.ChoiceFilter(choices=CustomerStatus.choices)
    account_type = django_filters.ChoiceFilter(choices=AccountType.choices)
    currency = django_filters.CharFilter(max_length=3)
    parent_id = django_filters.UUIDFilter()
    test_clock_id = django_filters.UUIDFilter()
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_before = InstantFilter(field_name="created_at", lookup_expr="lt")


class TestClockFilters(StrictFilterSet):
    """Filters of the list of test clocks."""

    __test__ = False  # Its name begins like a test class; pytest must not collect it.

    status = django_filters.ChoiceFilter(choices=ClockStatus.choices)
