"""Filters of the list of events."""

import django_filters

from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from metering.models import UsageEvent


class EventFilters(StrictFilterSet):
    """Events are listed by customer: their ids, and how they are stored, are the customer's."""

    customer_id = django_filters.UUIDFilter(required=True)
    subscription_id = django_filters.UUIDFilter()
    event_type = django_filters.CharFilter()
    stamped_after = InstantFilter(field_name="timestamp", lookup_expr="gte")
    stamped_before = InstantFilter(field_name="timestamp", lookup_expr="lt")

    class Meta:
        model = UsageEvent
        fields: list[str] = []
