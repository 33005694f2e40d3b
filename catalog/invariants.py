"""What is true of the catalogue at any moment."""

from collections.abc import Iterator

from django.db.models import Count, F, Max, Min, Q

from catalog.models import CatalogStatus, Meter, PlanVersion, Price, Sku
from catalog.pricing.registry import build_model
from catalog.pricing.types import InvalidPricingParams
from catalog.property_filters import InvalidFilter, read_filters

_BATCH_SIZE = 1_000


def check_versions() -> Iterator[str]:
    """Find plans whose versions are not numbered from 1 without a gap, or are open before the last."""
    plans = PlanVersion.objects.values("plan_id").annotate(
        first=Min("number"),
        last=Max("number"),
        count=Count("pk"),
        last_open=Max("number", filter=Q(published_at__isnull=True)),
        first_open=Min("number", filter=Q(published_at__isnull=True)),
    )
    for plan in plans.order_by("plan_id").iterator(chunk_size=_BATCH_SIZE):
        if plan["first"] != 1 or plan["last"] != plan["count"]:
            yield f"The versions of plan {plan['plan_id']} are not numbered 1 to {plan['count']}."
        if plan["first_open"] is not None and plan["first_open"] != plan["last"]:
            yield f"Plan {plan['plan_id']} has a version after its unpublished version {plan['first_open']}."


def check_prices() -> Iterator[str]:
    """Find prices that are not of their version's plan, or whose parameters are not in the stored form."""
    strays = Price.objects.exclude(sku__plan_id=F("plan_version__plan_id")).order_by("pk")
    for price in strays.iterator(chunk_size=_BATCH_SIZE):
        yield f"Price {price.pk} is in a version of another plan than its SKU {price.sku_id}."
    for price in Price.objects.select_related("meter").order_by("pk").iterator(chunk_size=_BATCH_SIZE):
        try:
            model = build_model(price.pricing_model, price.params)
        except InvalidPricingParams:
            model = None
        if model is None or model.to_params() != price.params:
            yield f"Price {price.pk} has parameters that are not those of a {price.pricing_model} price."
            continue
        names = [dimension.name for dimension in model.grouping]
        meter = price.meter
        if names and (meter is None or not meter.adds_up() or meter.list_lacking(names)):
            yield f"Price {price.pk} tells usage apart by {' and '.join(names)}, which its meter does not."


def check_meters() -> Iterator[str]:
    """Find meters whose filters are not in the stored form, so that they could not count."""
    for meter in Meter.objects.exclude(filters=[]).order_by("pk").iterator(chunk_size=_BATCH_SIZE):
        try:
            is_stored_form = [each.to_params() for each in read_filters(meter.filters)] == meter.filters
        except InvalidFilter:
            is_stored_form = False
        if not is_stored_form:
            yield f"Meter {meter.pk} has filters that are not in the form in which they are stored."


def check_skus() -> Iterator[str]:
    """Find SKUs that are sold though archived, or not sold though active."""
    latest = PlanVersion.objects.order_by("plan_id", "-number").distinct("plan_id")
    priced = Price.objects.filter(plan_version__in=latest.values("pk")).values("sku_id")
    for sku in Sku.objects.filter(status=CatalogStatus.ARCHIVED, pk__in=priced).order_by("pk"):
        yield f"SKU {sku.pk} is archived, and the latest version of its plan charges for it."
    for sku in Sku.objects.filter(status=CatalogStatus.ACTIVE).exclude(pk__in=priced).order_by("pk"):
        yield f"SKU {sku.pk} is active, and the latest version of its plan has no price for it."
