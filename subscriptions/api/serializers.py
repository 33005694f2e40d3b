"""What the API reads and shows of subscriptions."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_project.core.api.fields import EnumField, NanosField, QuantityField, UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from catalog.models import PricingModel
from catalog.models.plans import MAX_TRIAL_DAYS
from subscriptions.models import ChangeKind, Period, SubscriptionStatus
from subscriptions.operations import Phase, PriceOverride, SubscriptionChange, When
from subscriptions.operations.changing import PHASE_LIMIT
from subscriptions.ports import InvoiceEffect, MoveInvoice, MoveLine, MovePreview

ValueT = TypeVar("ValueT")


def read_by_sku(named: Mapping[str, ValueT]) -> dict[UUID, ValueT]:
    """Read an object whose names are ids of SKUs."""
    by_sku = {_read_sku_id(name): value for name, value in named.items()}
    if len(by_sku) < len(named):  # The same id can be written in several ways.
        raise serializers.ValidationError("A SKU is named twice.", code="duplicate")
    return by_sku


def _read_sku_id(name: str) -> UUID:
    try:
        return serializers.UUIDField().to_internal_value(name)
    except serializers.ValidationError as error:
        raise serializers.ValidationError({name: error.detail}) from None


class QuantitiesField(serializers.DictField):
    """What is licensed of each SKU: an object of quantities, by the id of the SKU."""

    child = QuantityField(min_value=Decimal(0))

    def to_internal_value(self, data: Any) -> dict[UUID, Decimal]:
        """Read the quantities."""
        return read_by_sku(super().to_internal_value(data))


class PriceOverrideInput(InputSerializer):
    """A price for one subscription alone."""

    pricing_model = EnumField(PricingModel)
    params = serializers.DictField(help_text="The pricing model's own, as a SKU has them.")

    def to_internal_value(self, data: Any) -> Any:
        """Read the price."""
        return PriceOverride(**super().to_internal_value(data))


class OverridesField(serializers.DictField):
    """Prices of a subscription's own: an object of prices or nulls, by the id of the SKU."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=PriceOverrideInput(allow_null=True), **options)

    def to_internal_value(self, data: Any) -> dict[UUID, PriceOverride | None]:
        """Read the prices."""
        return read_by_sku(super().to_internal_value(data))


class CreateSubscriptionInput(InputSerializer):
    """A new subscription."""

    customer_id = serializers.UUIDField()
    plan_id = serializers.UUIDField()
    currency = serializers.CharField(
        min_length=3, max_length=3, help_text="The currency of the plan's prices; invoices carry it."
    )
    trial_days = serializers.IntegerField(
        min_value=0,
        max_value=MAX_TRIAL_DAYS,
        allow_null=True,
        default=None,
        help_text="Takes the place of the plan's.",
    )
    quantities = QuantitiesField(
        default=dict, help_text="By SKU, for SKUs without a meter; one of each that is not named."
    )
    start_at = UtcDateTimeField(
        allow_null=True,
        default=None,
        help_text="At most ten years ago, and then billed from there at once, or ahead. Now if missing.",
    )


@extend_schema_field(
    {"oneOf": [{"type": "string", "enum": When.values}, {"type": "string", "format": "date-time"}]}
)
class WhenField(UtcDateTimeField):
    """When a change takes effect: Now, PeriodEnd, or an instant."""

    def to_internal_value(self, value: Any) -> Any:
        """Read when it is."""
        return When(value) if value in When.values else super().to_internal_value(value)


class PreviewableInput(InputSerializer):
    """What can be looked at before it is done."""

    preview = serializers.BooleanField(default=False, help_text="Tell what it comes to; change nothing.")


class CancelSubscriptionInput(PreviewableInput):
    """When a subscription is to end."""

    when = EnumField(When)


class MoveSubscriptionInput(PreviewableInput):
    """When a move takes effect."""

    when = WhenField(default=When.NOW)  # type: ignore[arg-type] # It is no instant.


class TermsInput(InputSerializer):
    """What is to be different; what is not named stays."""

    plan_id = serializers.UUIDField(allow_null=True, default=None)
    plan_version = serializers.IntegerField(
        min_value=1, max_value=1_000_000, allow_null=True, default=None, help_text="The latest if missing."
    )
    quantities = QuantitiesField(default=dict, help_text="By SKU, for SKUs without a meter.")
    overrides = OverridesField(
        default=dict, help_text="Prices of its own, by SKU; null gives the plan's price back."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Gather what is to change."""
        if attrs["plan_version"] is not None and attrs["plan_id"] is None:
            raise serializers.ValidationError({"plan_version": "Name its plan, too."})
        names = ("plan_id", "quantities", "overrides")
        change = SubscriptionChange(
            version_number=attrs.pop("plan_version"), **{name: attrs.pop(name) for name in names}
        )
        return {**attrs, "change": change}


class ChangeSubscriptionInput(MoveSubscriptionInput, TermsInput):
    """A change of plan, quantities or prices."""


class PhaseInput(TermsInput):
    """A change that begins at an instant."""

    starts_at = UtcDateTimeField()

    def validate(self, attrs: dict[str, Any]) -> Any:
        """Read the phase."""
        return Phase(**super().validate(attrs))


class SchedulePhasesInput(PreviewableInput):
    """Changes that begin one after the other."""

    phases = serializers.ListField(child=PhaseInput(), min_length=1, max_length=PHASE_LIMIT)


class WithdrawChangeInput(PreviewableInput):
    """Which planned change is taken back."""

    change_id = serializers.UUIDField()


class MigrateSubscriptionsInput(PreviewableInput):
    """From which version of a plan to which, when, and, if not all, which subscriptions."""

    from_version = serializers.IntegerField(min_value=1, max_value=1_000_000)
    to_version = serializers.IntegerField(min_value=1, max_value=1_000_000)
    when = EnumField(When)
    subscription_ids = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=1_000, allow_null=True, default=None
    )


class PeriodSerializer(OutputSerializer[Period]):
    """A billing period, half-open."""

    class Meta:
        model = Period
        fields = ["id", "number", "starts_at", "ends_at", "is_trial"]


class PlannedChangeSerializer(serializers.Serializer[Any]):
    """A change that has yet to come. The plan is null where it stays."""

    id = serializers.UUIDField(source="change.id")
    kind = EnumField(ChangeKind, source="change.kind")
    effective_at = UtcDateTimeField(source="change.effective_at")
    plan_id = serializers.UUIDField(source="change.plan_version.plan_id", allow_null=True, default=None)
    plan_version = serializers.IntegerField(
        source="change.plan_version.number", allow_null=True, default=None
    )
    quantities = serializers.DictField(child=QuantityField(allow_null=True), help_text="By SKU.")
    overrides = serializers.DictField(child=serializers.JSONField(allow_null=True), help_text="By SKU.")
    timezone = serializers.CharField(source="change.timezone")


class SubscriptionItemSerializer(serializers.Serializer[Any]):
    """A SKU of a subscription: with a quantity where one is licensed, with a meter where usage is counted."""

    id = serializers.UUIDField(source="item.id")
    sku_id = serializers.UUIDField(source="item.sku_id")
    name = serializers.CharField(source="item.sku.name")
    quantity = QuantityField(source="item.quantity", allow_null=True)
    meter_id = serializers.CharField(source="meter_code", allow_null=True)


class SubscriptionSerializer(serializers.Serializer[Any]):
    """A subscription, with the period that its customer is in now."""

    id = serializers.UUIDField(source="subscription.id")
    customer_id = serializers.UUIDField(source="subscription.customer_id")
    plan_id = serializers.UUIDField(source="subscription.plan_version.plan_id")
    plan_version = serializers.IntegerField(source="subscription.plan_version.number")
    status = EnumField(SubscriptionStatus, source="subscription.status")
    currency = serializers.CharField(source="subscription.currency")
    timezone = serializers.CharField(source="subscription.timezone")
    trial_days = serializers.IntegerField(source="subscription.trial_days")
    trial_ends_at = UtcDateTimeField(allow_null=True)
    starts_at = UtcDateTimeField(source="subscription.starts_at")
    ends_at = UtcDateTimeField(source="subscription.ends_at", allow_null=True)
    cancelled_at = UtcDateTimeField(source="subscription.cancelled_at", allow_null=True)
    cancel_at_period_end = serializers.BooleanField(source="subscription.is_ending")
    current_period = PeriodSerializer()
    items = SubscriptionItemSerializer(many=True)
    planned_changes = PlannedChangeSerializer(many=True)
    created_at = UtcDateTimeField(source="subscription.created_at")


class MoveLineSerializer(serializers.Serializer[MoveLine]):
    """A line of an invoice to come."""

    description = serializers.CharField()
    quantity = QuantityField(allow_null=True)
    amount_nanos = NanosField()
    period_start = UtcDateTimeField(allow_null=True)
    period_end = UtcDateTimeField(allow_null=True)


class MoveInvoiceSerializer(serializers.Serializer[MoveInvoice]):
    """An invoice to come, were there no further usage."""

    subtotal_nanos = NanosField()
    tax_nanos = NanosField()
    total_nanos = NanosField()
    line_items = MoveLineSerializer(many=True, source="lines")


class InvoiceEffectSerializer(serializers.Serializer[InvoiceEffect]):
    """The invoice of a period's end, without the move and with it; below zero, the difference is a credit."""

    period_id = serializers.UUIDField(source="period.id")
    period_start = UtcDateTimeField(source="period.starts_at")
    period_end = UtcDateTimeField(source="period.ends_at")
    difference_nanos = NanosField()
    before = MoveInvoiceSerializer()
    after = MoveInvoiceSerializer()


class MovePreviewSerializer(serializers.Serializer[MovePreview]):
    """What a move would come to: the invoices to come, and the fees of the whole next period."""

    currency = serializers.CharField(source="subscription.currency")
    status = EnumField(SubscriptionStatus, source="subscription.status")
    ends_at = UtcDateTimeField(source="subscription.ends_at", allow_null=True)
    invoices = InvoiceEffectSerializer(many=True)
    next_fees_before = MoveLineSerializer(many=True, source="fees_before")
    next_fees_after = MoveLineSerializer(many=True, source="fees_after")


class MigratedSubscriptionSerializer(serializers.Serializer[Any]):
    """What a change of version would come to for one subscription, or why it cannot be had."""

    subscription_id = serializers.UUIDField()
    problem = serializers.CharField(allow_null=True)
    preview = MovePreviewSerializer(allow_null=True)


class MigrationSerializer(serializers.Serializer[Any]):
    """How many subscriptions are to be taken over. A preview tells of the first of them what it comes to."""

    subscription_count = serializers.IntegerField()
    previews = MigratedSubscriptionSerializer(many=True)
