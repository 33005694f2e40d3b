"""Taking the subscriptions of one version of a plan to another: `/admin/v1/catalog/plans/{id}/migrate`."""

from functools import partial
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.views import ApiViewSet
from billing_project.core.errors import BillingError
from catalog.models import Plan
from catalog.queries import get_numbered_version
from customers.queries import now_for
from subscriptions.api.serializers import MigrateSubscriptionsInput, MigrationSerializer
from subscriptions.models import Subscription
from subscriptions.operations import SubscriptionChange, change_subscription, start_migration
from subscriptions.ports import preview_move
from subscriptions.queries import select_on_version

PREVIEWS_SHOWN = 20


class PlanMigrationViewSet(ApiViewSet):
    """Taking subscriptions to another version of their plan."""

    queryset = Plan.objects.all()
    serializer_class = MigrationSerializer
    access = Access(read=Scope.SUBSCRIPTIONS_READ, write=Scope.SUBSCRIPTIONS_WRITE)
    input_classes = {"migrate": MigrateSubscriptionsInput}

    @extend_schema(responses={200: MigrationSerializer, 202: MigrationSerializer})
    @action(detail=True, methods=["post"])
    def migrate(self, request: Request, **_: object) -> Response:
        """Take subscriptions to another version, in the background; or tell what that would come to.

        Asked again, it takes over those that are left.
        """
        asked = self.read_input()
        if asked["preview"]:
            return self.respond(self._preview(asked))
        count = start_migration(
            plan_id=self.id_from_path(),
            from_number=asked["from_version"],
            to_number=asked["to_version"],
            when=asked["when"],
            subscription_ids=asked["subscription_ids"],
            at=self.at,
            actor=self.actor,
        )
        answer = {"subscription_count": count, "previews": []}
        return self.respond(answer, status=http.HTTP_202_ACCEPTED)

    def _preview(self, asked: dict[str, Any]) -> dict[str, Any]:
        plan_id = self.id_from_path()
        source = get_numbered_version(plan_id=plan_id, number=asked["from_version"])
        get_numbered_version(plan_id=plan_id, number=asked["to_version"])
        waiting = select_on_version(source, subscription_ids=asked["subscription_ids"])
        change = SubscriptionChange(plan_id=plan_id, version_number=asked["to_version"])
        return {
            "subscription_count": waiting.count(),
            "previews": [
                self._preview_one(subscription, change, when=asked["when"])
                for subscription in waiting.order_by("pk")[:PREVIEWS_SHOWN]
            ],
        }

    def _preview_one(
        self, subscription: Subscription, change: SubscriptionChange, *, when: Any
    ) -> dict[str, Any]:
        at = now_for(customer_id=subscription.customer_id, real_now=self.at)
        move = partial(
            change_subscription,
            subscription_id=subscription.pk,
            change=change,
            when=when,
            at=at,
            actor=self.actor,
        )
        shown: dict[str, Any] = {"subscription_id": subscription.pk, "problem": None, "preview": None}
        try:
            shown["preview"] = preview_move(move, subscription_id=subscription.pk, at=at)
        except BillingError as error:
            shown["problem"] = error.detail
        return shown
