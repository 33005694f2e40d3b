"""Makers of what the catalogue holds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from catalog.models import BillingCadence, Plan, PlanVersion, Price, PricingModel, Product, Sku
from catalog.operations import (
    MeterDefinition,
    PlanTerms,
    PriceTerms,
    add_sku,
    create_plan,
    create_product,
    publish_version,
)
from catalog.queries import get_latest_version
from tests.factories.core import NOON, TESTER

INPUT_TOKENS = MeterDefinition.read(event_type="llm.completion", property="input_tokens")


def make_product(*, name: str = "LLM API") -> Product:
    """Make a product."""
    return create_product(name=name, at=NOON, actor=TESTER)


def make_plan(
    *,
    name: str = "Pay-As-You-Go",
    billing_cadence: BillingCadence = BillingCadence.MONTHLY,
    product_id: UUID | None = None,
    **terms: Any,
) -> Plan:
    """Make a plan without SKUs; `terms` are those of `PlanTerms`."""
    return create_plan(
        name=name,
        product_id=product_id,
        terms=PlanTerms(billing_cadence=billing_cadence, **terms),
        at=NOON,
        actor=TESTER,
    )


def make_terms(
    *,
    pricing_model: PricingModel = PricingModel.PER_UNIT,
    params: Mapping[str, object] | None = None,
    currency: str = "USD",
    **rest: Any,
) -> PriceTerms:
    """Make the terms of a price: $0.000002 a unit, unless something else is asked for."""
    return PriceTerms(
        pricing_model=pricing_model,
        params={"unit_amount_nanos": "2000000"} if params is None else params,
        currency=currency,
        **rest,
    )


def make_sku(
    plan: Plan,
    *,
    name: str = "Input Tokens",
    meter: MeterDefinition | None = INPUT_TOKENS,
    meter_code: str = "",
    **terms: Any,
) -> Sku:
    """Add a SKU to a plan, metered unless `meter` is None; `terms` are those of `make_terms`."""
    return add_sku(
        plan_id=plan.pk,
        name=name,
        meter=meter,
        meter_code=meter_code,
        terms=make_terms(**terms),
        at=NOON,
        actor=TESTER,
    )


def publish(plan: Plan, *, at: datetime = NOON) -> PlanVersion:
    """Publish the latest version of a plan, as its first subscription does."""
    return publish_version(plan_version_id=get_latest_version(plan.pk).pk, at=at, actor=TESTER)


def get_price(sku: Sku, *, version: int) -> Price:
    """Return the price of a SKU in a version of its plan."""
    return Price.objects.select_related("meter").get(sku=sku, plan_version__number=version)
