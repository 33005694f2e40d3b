"""Subscriptions over HTTP: `/v1/subscriptions`."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.views import ApiViewSet
from billing_project.core.errors import NotFound
from customers.queries import now_for
from subscriptions.api.filters import SubscriptionFilters
from subscriptions.api.serializers import (
    CancelSubscriptionInput,
    ChangeSubscriptionInput,
    CreateSubscriptionInput,
    MovePreviewSerializer,
    MoveSubscriptionInput,
    SchedulePhasesInput,
    SubscriptionSerializer,
    WithdrawChangeInput,
)
from subscriptions.models import Subscription
from subscriptions.operations import (
    cancel_subscription,
    change_subscription,
    create_subscription,
    pause_subscription,
    resume_subscription,
    schedule_phases,
    uncancel_subscription,
    withdraw_change,
)
from subscriptions.operations.creation import UnknownCustomer
from subscriptions.ports import preview_move
from subscriptions.queries import describe_subscription, get_subscription, read_subscription_details

# What has become of the subscription, or, for a preview, what it would come to.
MOVED = PolymorphicProxySerializer(
    component_name="MovedSubscription",
    serializers=[SubscriptionSerializer, MovePreviewSerializer],
    resource_type_field_name=None,
)


class SubscriptionViewSet(ApiViewSet):
    """Subscriptions: who follows which plan, since when, and until when."""

    queryset = Subscription.objects.select_related("plan_version")
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilters
    access = Access(read=Scope.SUBSCRIPTIONS_READ, write=Scope.SUBSCRIPTIONS_WRITE)
    input_classes = {
        "create": CreateSubscriptionInput,
        "cancel": CancelSubscriptionInput,
        "change": ChangeSubscriptionInput,
        "pause": MoveSubscriptionInput,
        "resume": MoveSubscriptionInput,
        "phases": SchedulePhasesInput,
        "withdraw_change": WithdrawChangeInput,
    }

    def list(self, request: Request) -> Response:
        """List subscriptions, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        assert page is not None
        details = read_subscription_details(page, real_now=self.at)
        return self.get_paginated_response(SubscriptionSerializer(details, many=True).data)

    def retrieve(self, request: Request, **_: object) -> Response:
        """Show a subscription."""
        return self._show(get_subscription(self.id_from_path()))

    def create(self, request: Request) -> Response:
        """Subscribe a customer to a plan."""
        values = self.read_input()
        subscription = create_subscription(
            **values, at=self._read_customer_time(values["customer_id"]), actor=self.actor
        )
        return self._show(subscription, status=http.HTTP_201_CREATED)

    @extend_schema(responses=MOVED)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_: object) -> Response:
        """End a subscription at once, or with its current period; what was billed in advance is credited."""
        return self._move(cancel_subscription)

    @action(detail=True, methods=["post"])
    def uncancel(self, request: Request, **_: object) -> Response:
        """Take back an end that is planned and has not come."""
        subscription = uncancel_subscription(
            subscription_id=self.id_from_path(), at=self._read_time(), actor=self.actor
        )
        return self._show(subscription)

    @extend_schema(responses=MOVED)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, **_: object) -> Response:
        """Change plan, quantities or prices: at once, at the end of the period, or at an instant."""
        return self._move(change_subscription)

    @extend_schema(responses=MOVED)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, **_: object) -> Response:
        """Pause a subscription: no fees are due until it is resumed. Usage is billed as ever."""
        return self._move(pause_subscription)

    @extend_schema(responses=MOVED)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **_: object) -> Response:
        """Let a paused subscription go on."""
        return self._move(resume_subscription)

    @extend_schema(responses=MOVED)
    @action(detail=True, methods=["post"])
    def phases(self, request: Request, **_: object) -> Response:
        """Plan several changes, each for an instant of its own."""
        return self._move(schedule_phases)

    @extend_schema(responses=MOVED)
    @action(detail=True, methods=["post"], url_path="withdraw-change")
    def withdraw_change(self, request: Request, **_: object) -> Response:
        """Take back a planned change that has not come."""
        return self._move(withdraw_change)

    def _move(self, operation: Callable[..., Subscription]) -> Response:
        """Move the subscription, or tell what it would come to."""
        values = self.read_input()
        is_preview = values.pop("preview")
        subscription_id, at = self.id_from_path(), self._read_time()
        move = partial(operation, subscription_id=subscription_id, **values, at=at, actor=self.actor)
        if is_preview:
            preview = preview_move(move, subscription_id=subscription_id, at=at)
            return self.respond(preview, serializer_class=MovePreviewSerializer)
        return self._show(move())

    def _show(self, subscription: Subscription, *, status: int = http.HTTP_200_OK) -> Response:
        return self.respond(describe_subscription(subscription, real_now=self.at), status=status)

    def _read_time(self) -> datetime:
        return now_for(customer_id=get_subscription(self.id_from_path()).customer_id, real_now=self.at)

    def _read_customer_time(self, customer_id: UUID) -> datetime:
        try:
            return now_for(customer_id=customer_id, real_now=self.at)
        except NotFound as error:
            raise UnknownCustomer(error.detail, field="customer_id") from None
