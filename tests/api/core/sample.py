"""A small API on core's own rows, to test what every `ApiViewSet` does."""

from typing import Any, NoReturn

import django_filters
from django.db import connection, transaction
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.fields import NanosField
from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from billing_project.core.api.problems import handler400, handler403, handler404, handler500
from billing_project.core.api.routers import ApiRouter, fallback_urlpatterns
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from billing_project.core.api.views import ApiViewSet, Idempotency
from billing_project.core.errors import Busy, Conflict, LimitReached, UpstreamFailed
from billing_project.core.models import ApiKey, ApiKeyKind, IdempotencyRecord
from billing_project.core.sequences import take_number

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class KeyOutput(OutputSerializer[ApiKey]):
    class Meta:
        model = ApiKey
        fields = ["id", "name", "kind"]


class NumberOutput(serializers.Serializer[Any]):
    number = serializers.IntegerField()


class CreateInput(InputSerializer):
    name = serializers.CharField(max_length=20)
    amount_nanos = NanosField(min_value=0, required=False)


class NothingInput(InputSerializer):
    pass


class FailInput(InputSerializer):
    how = serializers.CharField()


class KeyFilters(StrictFilterSet):
    name = django_filters.CharFilter()
    kind = django_filters.ChoiceFilter(choices=ApiKeyKind.choices)
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    customer_id = django_filters.UUIDFilter(field_name="test_clock_id", required=False)


FAILURES: dict[str, Exception] = {
    "conflict": Conflict("Not now."),
    "limit": LimitReached("That is enough."),
    "busy": Busy("Somebody else is at it."),
    "upstream": UpstreamFailed("They did not answer."),
    "bug": ZeroDivisionError("with bsk_test_secret inside"),
}


class ThingViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Things."""

    queryset = ApiKey.objects.all()
    serializer_class = KeyOutput
    filterset_class = KeyFilters
    access = Access(read=Scope.CATALOG_READ, write=Scope.CATALOG_WRITE, actions={"peek": Scope.METERING_READ})
    input_classes = {"create": CreateInput, "fail": FailInput, "bump": NothingInput}
    query_params = {"peek": {"colour"}}

    def create(self, request: Request) -> Response:
        """Take a number."""
        with transaction.atomic():
            given = self.read_input()
            return Response({"number": take_number(given["name"])}, status=201)

    @action(detail=False, methods=["post"])
    def bump(self, request: Request) -> Response:
        """Take a number, without a word."""
        self.read_input()
        with transaction.atomic():
            return Response({"number": take_number("bump"), "secret": "s"})

    @action(detail=False, methods=["post"])
    def fail(self, request: Request) -> Response:
        """Take a number, then fail as asked."""
        how = self.read_input()["how"]
        with transaction.atomic():
            take_number("fail")
            self._fail(how)

    @action(detail=False, methods=["post"])
    def page(self, request: Request) -> HttpResponse:
        """Answer with something that is no JSON."""
        return HttpResponse("number", content_type="text/plain", status=202)

    @action(detail=True, methods=["get"])
    def peek(self, request: Request, **_: object) -> Response:
        """Tell who asks, and when."""
        return Response(
            {
                "id": str(self.id_from_path()),
                "actor": self.actor.label,
                "kind": self.actor.kind,
                "reason": self.actor.reason,
                "request_id": self.actor.request_id,
                "at": self.at.isoformat(),
                "key": str(self.api_key.id),
            }
        )

    @staticmethod
    def _fail(how: str) -> NoReturn:
        with connection.cursor() as cursor:
            match how:
                case "out_of_range":
                    cursor.execute("SELECT 100000::int2")
                case "lock_timeout":
                    cursor.execute("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$")
                case "deadlock":
                    cursor.execute("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")
                case "gone":
                    cursor.execute("DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$")
                case "constraint":
                    cursor.execute("DO $$ BEGIN RAISE SQLSTATE '23505'; END $$")
        raise FAILURES[how]


class PreparedViewSet(ApiViewSet):
    """Something that needs a transaction of its own first, and keeps a secret out of its record."""

    access = Access(read=Scope.CATALOG_READ, write=Scope.CATALOG_WRITE)
    idempotency = Idempotency(forget=frozenset({"secret"}))
    serializer_class = NumberOutput

    def prepare(self) -> None:
        """Take a number and commit it."""
        with transaction.atomic(durable=True):
            take_number("prepared")

    def create(self, request: Request) -> Response:
        """Take a number together with the record."""
        with transaction.atomic():
            return Response({"number": take_number("done"), "secret": "s"}, status=201)


class FreeViewSet(ApiViewSet):
    """Something that is idempotent by itself."""

    access = Access(read=Scope.CATALOG_READ, write=Scope.EVENTS_WRITE)
    idempotency = None
    serializer_class = NumberOutput

    def create(self, request: Request) -> Response:
        """Take a number."""
        with transaction.atomic():
            return Response({"number": take_number("free")}, status=201)


class ClosedViewSet(ListModelMixin, ApiViewSet):
    """A view that forgot to say who may use it."""

    queryset = IdempotencyRecord.objects.all()
    serializer_class: Any = KeyOutput


router = ApiRouter()
router.register("admin/v1/things", ThingViewSet)
router.register("v1/things", ThingViewSet)
router.register("v1/prepared", PreparedViewSet)
router.register("v1/free", FreeViewSet)
router.register("v1/closed", ClosedViewSet)

urlpatterns = [*router.urls, *fallback_urlpatterns]
