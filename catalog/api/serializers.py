"""Inputs and outputs of the catalogue."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_project.core.api.fields import EnumField, NanosField, QuantityField, UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from catalog.api.pricing import make_input_fields, make_output_fields
from catalog.models import (
    Aggregation,
    Anchor,
    BillingCadence,
    BillingTiming,
    CatalogStatus,
    Meter,
    PricingModel,
    Product,
    TaxBehavior,
    TrialUsage,
)
from catalog.models.plans import MAX_TRIAL_DAYS
from catalog.operations.meters import MAX_GROUPS
from catalog.pricing.matrix import MAX_CELLS, MAX_DIMENSIONS, MAX_VALUE_LENGTH
from catalog.property_filters import MAX_FILTERS, MAX_NAME_LENGTH, MAX_VALUES, FilterOperator
from catalog.queries import PlanDetails, Quote, SkuDetails, VersionComparison

MAX_TAGS = 50
COUNTING_FIELDS = ("aggregation", "percentile", "carries_over", "filters", "group_by")


class ProductSerializer(OutputSerializer[Product]):
    """A product."""

    class Meta:
        model = Product
        fields = ["id", "name", "description", "tags", "status", "created_at"]


class ProductInput(InputSerializer):
    """What can be said about a product at any time."""

    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, max_length=MAX_TAGS
    )


class CreateProductInput(ProductInput):
    """A new product."""

    name = serializers.CharField(max_length=200)


class UpdateProductInput(ProductInput):
    """What is to change on a product."""

    name = serializers.CharField(required=False, max_length=200)
    status = EnumField(CatalogStatus, required=False)


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]})
class ScalarField(serializers.Field[Any, Any, Any, Any]):
    """A text, a number or a boolean, taken as it is: the filter reads it, and says what is wrong with it."""

    def to_internal_value(self, data: Any) -> Any:
        """Take the value as it is."""
        return data

    def to_representation(self, value: Any) -> Any:
        """Show the value as it is stored."""
        return value


class PropertyFilterInput(InputSerializer):
    """A condition on a property of an event. A single value may be given as `value`."""

    property = serializers.CharField(max_length=MAX_NAME_LENGTH)
    operator = serializers.ChoiceField(choices=[operator.value for operator in FilterOperator])
    value = ScalarField(required=False)
    values = serializers.ListField(child=ScalarField(), required=False, max_length=MAX_VALUES)


class PropertyFilterSerializer(serializers.Serializer[Any]):
    """A condition on a property of an event, with its values as texts."""

    property = serializers.CharField()
    operator = serializers.ChoiceField(choices=[operator.value for operator in FilterOperator])
    values = serializers.ListField(child=serializers.CharField())


class MeterSerializer(OutputSerializer[Meter]):
    """A meter."""

    filters = PropertyFilterSerializer(many=True)

    class Meta:
        model = Meter
        fields = [
            "id",
            "code",
            "display_name",
            "event_type",
            "property",
            "aggregation",
            "percentile",
            "carries_over",
            "filters",
            "group_by",
            "unit",
            "status",
            "created_at",
        ]


class MeterInput(InputSerializer):
    """What can be said about a meter at any time."""

    display_name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    unit = serializers.CharField(required=False, allow_blank=True, max_length=64)


class CountingInput(InputSerializer):
    """How a new meter counts. Unless told otherwise, it sums up the property; without one, it counts."""

    aggregation = EnumField(Aggregation, required=False)
    percentile = QuantityField(required=False)
    carries_over = serializers.BooleanField(required=False)
    filters = serializers.ListField(child=PropertyFilterInput(), required=False, max_length=MAX_FILTERS)
    group_by = serializers.ListField(
        child=serializers.CharField(max_length=MAX_NAME_LENGTH), required=False, max_length=MAX_GROUPS
    )


class CreateMeterInput(MeterInput, CountingInput):
    """A new meter. What is not a plain sum or number of events needs a code."""

    code = serializers.CharField(required=False, max_length=401)
    event_type = serializers.CharField(max_length=200)
    property = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH)


class UpdateMeterInput(MeterInput):
    """What is to change on a meter. What it counts cannot."""

    status = EnumField(CatalogStatus, required=False)


class SkuSerializer(serializers.Serializer[SkuDetails]):
    """A SKU with its price: the parameters of its pricing model stand beside the rest."""

    id = serializers.UUIDField(source="sku.id")
    plan_id = serializers.UUIDField(source="sku.plan_id")
    plan_version = serializers.IntegerField(source="price.plan_version.number", allow_null=True)
    name = serializers.CharField(source="sku.name")
    status = EnumField(CatalogStatus, source="sku.status")
    pricing_model = EnumField(PricingModel, source="price.pricing_model", allow_null=True)
    currency = serializers.CharField(source="price.currency", allow_null=True)
    meter_code = serializers.CharField(source="price.meter.code", allow_null=True)
    meter_event_type = serializers.CharField(source="price.meter.event_type", allow_null=True)
    meter_property = serializers.CharField(source="price.meter.property", allow_null=True)
    aggregation = EnumField(Aggregation, source="price.meter.aggregation", allow_null=True)
    percentile = QuantityField(source="price.meter.percentile", allow_null=True)
    carries_over = serializers.BooleanField(source="price.meter.carries_over", allow_null=True)
    filters = PropertyFilterSerializer(source="price.meter.filters", many=True, allow_null=True)
    group_by = serializers.ListField(
        source="price.meter.group_by", child=serializers.CharField(), allow_null=True
    )
    billing_timing = EnumField(BillingTiming, source="price.billing_timing", allow_null=True)
    tax_behavior = EnumField(TaxBehavior, source="price.tax_behavior", allow_null=True)
    tax_category = serializers.CharField(source="price.tax_category", allow_null=True)
    created_at = UtcDateTimeField(source="sku.created_at")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with the pricing parameters after the name of their model."""
        shown = list(super().get_fields().items())
        place = [name for name, _ in shown].index("pricing_model") + 1
        return dict([*shown[:place], *make_output_fields().items(), *shown[place:]])


class SkuInput(InputSerializer):
    """What can be said about a SKU at any time, the pricing parameters included."""

    billing_timing = EnumField(BillingTiming, required=False)
    tax_behavior = EnumField(TaxBehavior, required=False)
    tax_category = serializers.CharField(required=False, allow_blank=True, max_length=64)

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with the pricing parameters among them."""
        return {**super().get_fields(), **make_input_fields()}


class CreateSkuInput(SkuInput, CountingInput):
    """A new SKU, metered if it names a meter by its code or by what it counts, and licensed if not."""

    plan_id = serializers.UUIDField()
    name = serializers.CharField(max_length=200)
    pricing_model = EnumField(PricingModel)
    currency = serializers.CharField(max_length=3)
    meter_code = serializers.CharField(required=False, max_length=401)
    meter_event_type = serializers.CharField(required=False, max_length=200)
    meter_property = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse half a meter."""
        if "meter_event_type" not in attrs and attrs.keys() & {"meter_property", *COUNTING_FIELDS}:
            raise serializers.ValidationError(
                {"meter_event_type": ["This says which events the meter counts."]}, code="required"
            )
        return attrs


class UpdateSkuInput(SkuInput):
    """What is to change on a SKU: of the pricing parameters, those that are given; null takes one away."""

    name = serializers.CharField(required=False, max_length=200)
    status = EnumField(CatalogStatus, required=False)
    pricing_model = EnumField(PricingModel, required=False)


class PlanSerializer(serializers.Serializer[PlanDetails]):
    """A plan, with the terms of one version of it and the SKUs in that."""

    id = serializers.UUIDField(source="plan.id")
    name = serializers.CharField(source="plan.name")
    description = serializers.CharField(source="plan.description")
    product_id = serializers.UUIDField(source="plan.product_id", allow_null=True)
    status = EnumField(CatalogStatus, source="plan.status")
    version = serializers.IntegerField(source="version.number")
    published_at = UtcDateTimeField(source="version.published_at", allow_null=True)
    billing_cadence = EnumField(BillingCadence, source="version.billing_cadence")
    anchor = EnumField(Anchor, source="version.anchor")
    trial_days = serializers.IntegerField(source="version.trial_days")
    trial_usage = EnumField(TrialUsage, source="version.trial_usage")
    skus = SkuSerializer(many=True)
    created_at = UtcDateTimeField(source="plan.created_at")


class PlanInput(InputSerializer):
    """What can be said about a plan at any time."""

    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    product_id = serializers.UUIDField(required=False, allow_null=True)
    anchor = EnumField(Anchor, required=False)
    trial_days = serializers.IntegerField(required=False, min_value=0, max_value=MAX_TRIAL_DAYS)
    trial_usage = EnumField(TrialUsage, required=False)


class CreatePlanInput(PlanInput):
    """A new plan, which charges nothing until SKUs are added."""

    name = serializers.CharField(max_length=200)
    billing_cadence = EnumField(BillingCadence)


class UpdatePlanInput(PlanInput):
    """What is to change on a plan."""

    name = serializers.CharField(required=False, max_length=200)
    billing_cadence = EnumField(BillingCadence, required=False)
    status = EnumField(CatalogStatus, required=False)


class DifferenceSerializer(serializers.Serializer[Any]):
    """One thing that two versions of a plan have different; null where one of them does not have it."""

    field = serializers.CharField()
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)


class SkuComparisonSerializer(serializers.Serializer[Any]):
    """A SKU that costs something else in the later version."""

    sku_id = serializers.UUIDField(source="sku.id")
    name = serializers.CharField(source="sku.name")
    differences = DifferenceSerializer(many=True)


class VersionComparisonSerializer(serializers.Serializer[VersionComparison]):
    """In what two versions of a plan differ."""

    plan_id = serializers.UUIDField(source="before.plan_id")
    from_version = serializers.IntegerField(source="before.number")
    to_version = serializers.IntegerField(source="after.number")
    terms = DifferenceSerializer(many=True)
    added = SkuSerializer(many=True)
    removed = SkuSerializer(many=True)
    changed = SkuComparisonSerializer(many=True)


class QuotedQuantityInput(InputSerializer):
    """How much is used with certain values of the properties that a price tells apart; null is any other."""

    values = serializers.ListField(
        child=serializers.CharField(max_length=MAX_VALUE_LENGTH, allow_null=True),
        min_length=1,
        max_length=MAX_DIMENSIONS,
    )
    quantity = QuantityField(min_value=Decimal(0))


class QuoteInput(InputSerializer):
    """How much is used in a whole period: in all, or by the values that a price tells apart."""

    quantity = QuantityField(required=False, min_value=Decimal(0))
    quantities = serializers.ListField(
        child=QuotedQuantityInput(), required=False, min_length=1, max_length=MAX_CELLS
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one of the two."""
        if not attrs:
            raise serializers.ValidationError(
                {"quantity": ["Enter a quantity, or quantities by values."]}, code="required"
            )
        if len(attrs) > 1:
            raise serializers.ValidationError(
                {"quantities": ["Enter either a quantity, or quantities by values."]}, code="invalid"
            )
        return attrs


class ChargeStepSerializer(serializers.Serializer[Any]):
    """One part of a charge: so many units at such a price."""

    key = serializers.CharField()
    description = serializers.CharField()
    quantity = QuantityField()
    unit_amount_nanos = NanosField()
    amount_nanos = NanosField()


class QuoteSerializer(serializers.Serializer[Quote]):
    """What a quantity costs, step by step."""

    sku_id = serializers.UUIDField(source="price.sku_id")
    plan_version = serializers.IntegerField(source="price.plan_version.number")
    currency = serializers.CharField(source="price.currency")
    quantity = QuantityField()
    amount_nanos = NanosField(source="charge.amount_nanos")
    steps = ChargeStepSerializer(source="charge.steps", many=True)
