"""What the API reads and shows of subscriptions."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from rest_framework import serializers

from billing_project.core.api.fields import EnumField, QuantityField, UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from catalog.models.plans import MAX_TRIAL_DAYS
from subscriptions.models import Period, SubscriptionStatus
from subscriptions.operations import CancelWhen


class QuantitiesField(serializers.DictField):
    """What is licensed of each SKU: an object of quantities, by the id of the SKU."""

    child = QuantityField(min_value=Decimal(0))

    def to_internal_value(self, data: Any) -> dict[UUID, Decimal]:
        """Read the quantities."""
        quantities = super().to_internal_value(data)
        by_sku = {self._read_sku_id(name): quantity for name, quantity in quantities.items()}
        if len(by_sku) < len(quantities):  # The same id can be written in several ways.
            raise serializers.ValidationError("A SKU is named twice.", code="duplicate")
        return by_sku

    def _read_sku_id(self, name: str) -> UUID:
        try:
            return serializers.UUIDField().to_internal_value(name)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({name: error.detail}) from None


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


class CancelSubscriptionInput(InputSerializer):
    """When a subscription is to end."""

    when = EnumField(CancelWhen)


class PeriodSerializer(OutputSerializer[Period]):
    """A billing period, half-open."""

    class Meta:
        model = Period
        fields = ["id", "number", "starts_at", "ends_at", "is_trial"]


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
    created_at = UtcDateTimeField(source="subscription.created_at")
