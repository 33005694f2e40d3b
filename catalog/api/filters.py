"""Filters of the lists of the catalogue."""

import django_filters
from django.db.models import Exists, OuterRef, QuerySet

from billing_project.core.api.filters import StrictFilterSet
from catalog.models import Aggregation, CatalogStatus, Price, Product, Sku


class ProductFilters(StrictFilterSet):
    """Filters of the list of products."""

    status = django_filters.ChoiceFilter(choices=CatalogStatus.choices)
    tag = django_filters.CharFilter(method="filter_tag", max_length=64)

    def filter_tag(self, queryset: QuerySet[Product], name: str, value: str) -> QuerySet[Product]:
        """Keep the products that have the tag."""
        return queryset.filter(tags__contains=[value])


class PlanFilters(StrictFilterSet):
    """Filters of the list of plans."""

    status = django_filters.ChoiceFilter(choices=CatalogStatus.choices)
    product_id = django_filters.UUIDFilter()


class SkuFilters(StrictFilterSet):
    """Filters of the list of SKUs."""

    plan_id = django_filters.UUIDFilter()
    status = django_filters.ChoiceFilter(choices=CatalogStatus.choices)
    meter_code = django_filters.CharFilter(method="filter_meter_code", max_length=401)

    def filter_meter_code(self, queryset: QuerySet[Sku], name: str, value: str) -> QuerySet[Sku]:
        """Keep the SKUs that charge for what the meter counts, in whichever version of their plan."""
        return queryset.filter(Exists(Price.objects.filter(sku=OuterRef("pk"), meter__code=value)))


class MeterFilters(StrictFilterSet):
    """Filters of the list of meters."""

    code = django_filters.CharFilter(max_length=401)
    event_type = django_filters.CharFilter(max_length=200)
    aggregation = django_filters.ChoiceFilter(choices=Aggregation.choices)
    status = django_filters.ChoiceFilter(choices=CatalogStatus.choices)
