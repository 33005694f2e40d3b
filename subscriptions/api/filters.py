"""Filters of the list of subscriptions."""

import django_filters

from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from subscriptions.models import SubscriptionStatus


class SubscriptionFilters(StrictFilterSet):
    """Filters of the list."""

    customer_id = django_filters.UUIDFilter()
    plan_id = django_filters.UUIDFilter(field_name="plan_version__plan_id")
    status = django_filters.ChoiceFilter(choices=SubscriptionStatus.choices)
    currency = django_filters.CharFilter(min_length=3, max_length=3)
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_before = InstantFilter(field_name="created_at", lookup_expr="lt")
