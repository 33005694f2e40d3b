"""Taking many events back, or matching them, after a look at what that would do to usage and bills."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.actors import MAX_REASON_LENGTH
from billing_project.core.api.fields import NanosField, QuantityField, UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer
from billing_project.core.api.views import ApiViewSet
from billing_project.core.errors import NotFound
from customers.queries import now_for
from invoicing.runs.usage_previews import (
    ChargeEffect,
    PricedMatchPreview,
    PricedVoidPreview,
    preview_priced_match,
    preview_priced_void,
)
from metering.api.corrections import CORRECTIONS_ACCESS, UsageCorrectionSerializer
from metering.ingest.decoding import MAX_ID_LENGTH, MAX_TYPE_LENGTH
from metering.models import UsageEvent
from metering.operations import UsageEffect, match_selected_events, void_events
from metering.operations.corrections import VOID_LIMIT, UnknownCustomer
from metering.operations.unmatched import Matched
from metering.queries.corrections import EventSelection

CONDITIONS = (
    "customer_id",
    "event_ids",
    "event_type",
    "stamped_from",
    "stamped_before",
    "received_from",
    "received_before",
    "properties",
)


class SelectEventsInput(InputSerializer):
    """Which events of a customer are meant, and why: those that satisfy all the conditions given."""

    customer_id = serializers.UUIDField()
    event_ids = serializers.ListField(
        child=serializers.CharField(max_length=MAX_ID_LENGTH), max_length=VOID_LIMIT, default=list
    )
    event_type = serializers.CharField(max_length=MAX_TYPE_LENGTH, allow_blank=True, default="")
    stamped_from = UtcDateTimeField(allow_null=True, default=None)
    stamped_before = UtcDateTimeField(allow_null=True, default=None)
    received_from = UtcDateTimeField(allow_null=True, default=None)
    received_before = UtcDateTimeField(allow_null=True, default=None)
    properties = serializers.DictField(
        default=dict, help_text='Values that must be equal, as in a meter\'s filters: 1, 1.0 and "1" are.'
    )
    reason = serializers.CharField(
        max_length=MAX_REASON_LENGTH, allow_blank=True, default="", help_text="Needed unless it is a preview."
    )
    preview = serializers.BooleanField(default=False, help_text="Tell what would change; change nothing.")


class VoidEventsInput(SelectEventsInput):
    """Which events of a customer are taken back, and why."""

    subscription_id = serializers.UUIDField(
        allow_null=True, default=None, help_text="Only those that count for this subscription."
    )


class MatchEventsInput(SelectEventsInput):
    """Which unmatched events of a customer a subscription takes, and why."""

    subscription_id = serializers.UUIDField(help_text="The subscription that takes them.")


class UsageEffectSerializer(serializers.Serializer[UsageEffect]):
    """The usage of a meter in a period, as it is and as it would be."""

    subscription_id = serializers.UUIDField(source="period.subscription_id")
    period_id = serializers.UUIDField(source="period.id")
    period_start = UtcDateTimeField(source="period.starts_at")
    period_end = UtcDateTimeField(source="period.ends_at")
    is_open = serializers.BooleanField(source="period.is_open")
    meter_id = serializers.CharField(source="meter.code")
    before = QuantityField(source="before.quantity")
    after = QuantityField(source="after.quantity")


class ChargeEffectSerializer(serializers.Serializer[ChargeEffect]):
    """What is still to be billed for usage, before tax, as it is and as it would be; below zero, a credit."""

    subscription_id = serializers.UUIDField(source="subscription.id")
    currency = serializers.CharField(source="subscription.currency")
    before_nanos = NanosField()
    after_nanos = NanosField()
    difference_nanos = NanosField()


class VoidPreviewSerializer(serializers.Serializer[PricedVoidPreview]):
    """What taking events back would change. Unmatched ones count nowhere, so they change nothing."""

    event_count = serializers.IntegerField(source="usage.event_count")
    unmatched_count = serializers.IntegerField(source="usage.unmatched_count")
    usage = UsageEffectSerializer(many=True, source="usage.effects")
    charges = ChargeEffectSerializer(many=True)


class MatchPreviewSerializer(serializers.Serializer[PricedMatchPreview]):
    """What it would change if a subscription took unmatched events."""

    event_count = serializers.IntegerField(source="usage.event_count")
    usage = UsageEffectSerializer(many=True, source="usage.effects")
    charges = ChargeEffectSerializer(many=True)


class MatchReportSerializer(serializers.Serializer[Matched]):
    """How many events a subscription has taken."""

    event_count = serializers.IntegerField(source="count")


class EventsCorrectionViewSet(ApiViewSet):
    """Taking many events back, and having a subscription take unmatched ones."""

    queryset = UsageEvent.objects.all()
    serializer_class = UsageCorrectionSerializer
    access = CORRECTIONS_ACCESS
    input_classes = {"void": VoidEventsInput, "match": MatchEventsInput}

    @extend_schema(
        operation_id="admin_events_void_many",
        responses={201: UsageCorrectionSerializer, 200: VoidPreviewSerializer},
    )
    @action(detail=False, methods=["post"])
    def void(self, request: Request) -> Response:
        """Take back the events that satisfy the conditions, up to 10,000; or tell what that would change."""
        values = self.read_input()
        selection, at = self._read_selection(values, subscription_id=values["subscription_id"])
        if values["preview"]:
            preview = preview_priced_void(selection=selection, at=at, actor=self.actor)
            return self.respond(preview, serializer_class=VoidPreviewSerializer)
        correction = void_events(selection=selection, reason=values["reason"], at=at, actor=self.actor)
        return self.respond(correction, status=http.HTTP_201_CREATED)

    @extend_schema(
        operation_id="admin_events_match",
        responses={
            200: PolymorphicProxySerializer(
                component_name="MatchReportOrPreview",
                serializers=[MatchReportSerializer, MatchPreviewSerializer],
                resource_type_field_name=None,
            )
        },
    )
    @action(detail=False, methods=["post"])
    def match(self, request: Request) -> Response:
        """Have a subscription take unmatched events, also older ones; or tell what that would change.

        It takes up to 10,000 of those that satisfy the conditions and are of types that its plan charges for.
        What is older than the subscription is billed with its first open period.
        """
        values = self.read_input()
        selection, at = self._read_selection(values)
        subscription_id = values["subscription_id"]
        if values["preview"]:
            preview = preview_priced_match(
                selection=selection, subscription_id=subscription_id, at=at, actor=self.actor
            )
            return self.respond(preview, serializer_class=MatchPreviewSerializer)
        matched = match_selected_events(
            selection=selection,
            subscription_id=subscription_id,
            reason=values["reason"],
            at=at,
            actor=self.actor,
        )
        return self.respond(matched, serializer_class=MatchReportSerializer)

    def _read_selection(
        self, values: Mapping[str, Any], *, subscription_id: UUID | None = None
    ) -> tuple[EventSelection, datetime]:
        """Read which events are meant, and what time it is for their customer.

        Raises: UnknownCustomer.
        """
        conditions = {name: values[name] for name in CONDITIONS}
        selection = EventSelection(
            **{**conditions, "event_ids": tuple(values["event_ids"])}, subscription_id=subscription_id
        )
        try:
            return selection, now_for(customer_id=selection.customer_id, real_now=self.at)
        except NotFound as error:  # The address is right, the document is not.
            raise UnknownCustomer(error.detail, field="customer_id") from None
