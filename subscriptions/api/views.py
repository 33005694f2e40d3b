"""Subscriptions over HTTP: `/v1/subscriptions`."""

from datetime import datetime
from uuid import UUID

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
    CreateSubscriptionInput,
    SubscriptionSerializer,
)
from subscriptions.models import Subscription
from subscriptions.operations import cancel_subscription, create_subscription, uncancel_subscription
from subscriptions.operations.creation import UnknownCustomer
from subscriptions.queries import describe_subscription, get_subscription, read_subscription_details


class SubscriptionViewSet(ApiViewSet):
    """Subscriptions: who follows which plan, since when, and until when."""

    queryset = Subscription.objects.select_related("plan_version")
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilters
    access = Access(read=Scope.SUBSCRIPTIONS_READ, write=Scope.SUBSCRIPTIONS_WRITE)
    input_classes = {"create": CreateSubscriptionInput, "cancel": CancelSubscriptionInput}

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

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_: object) -> Response:
        """End a subscription at once, or with its current period."""
        subscription = cancel_subscription(
            subscription_id=self.id_from_path(), **self.read_input(), at=self._read_time(), actor=self.actor
        )
        return self._show(subscription)

    @action(detail=True, methods=["post"])
    def uncancel(self, request: Request, **_: object) -> Response:
        """Take back an end that is planned and has not come."""
        subscription = uncancel_subscription(
            subscription_id=self.id_from_path(), at=self._read_time(), actor=self.actor
        )
        return self._show(subscription)

    def _show(self, subscription: Subscription, *, status: int = http.HTTP_200_OK) -> Response:
        return self.respond(describe_subscription(subscription, real_now=self.at), status=status)

    def _read_time(self) -> datetime:
        return now_for(customer_id=get_subscription(self.id_from_path()).customer_id, real_now=self.at)

    def _read_customer_time(self, customer_id: UUID) -> datetime:
        try:
            return now_for(customer_id=customer_id, real_now=self.at)
        except NotFound as error:
            raise UnknownCustomer(error.detail, field="customer_id") from None
