"""API keys over the API: `/admin/v1/api-keys`."""

from datetime import timedelta
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.operations import (
    LONGEST_OVERLAP,
    NewApiKey,
    create_api_key,
    revoke_api_key,
    rotate_api_key,
)
from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.fields import EnumField, UtcDateTimeField
from billing_project.core.api.filters import StrictFilterSet
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from billing_project.core.api.views import ApiViewSet, Idempotency
from billing_project.core.models import ApiKey, ApiKeyKind, ApiKeyRole

SECONDS_A_DAY = 86_400


class ApiKeySerializer(OutputSerializer[ApiKey]):
    """A key, without what opens anything."""

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "kind",
            "role",
            "scopes",
            "prefix",
            "hint",
            "test_clock_id",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "created_at",
        ]


class NewApiKeySerializer(ApiKeySerializer):
    """A key that was just made. `key` is null when a repeated request is answered: it is shown once."""

    key = serializers.CharField(allow_null=True)

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Show the row together with its key."""
        assert isinstance(instance, NewApiKey)
        instance.api_key.key = instance.token  # type: ignore[attr-defined]
        return super().to_representation(instance.api_key)


class CreateApiKeyInput(InputSerializer):
    """A secret key has a role (Admin if none is given), a restricted one its scopes."""

    name = serializers.CharField(max_length=200)
    kind = EnumField(ApiKeyKind, default=ApiKeyKind.SECRET)
    role = EnumField(ApiKeyRole, allow_null=True, default=None)
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=len(Scope), default=list
    )
    expires_at = UtcDateTimeField(allow_null=True, default=None)


class RotateApiKeyInput(InputSerializer):
    """How long the old key goes on working."""

    overlap_seconds = serializers.IntegerField(
        min_value=0, max_value=int(LONGEST_OVERLAP.total_seconds()), default=SECONDS_A_DAY
    )


class RevokeApiKeyInput(InputSerializer):
    """Nothing needs to be said."""


class ApiKeyFilters(StrictFilterSet):
    """Filters of the list."""

    kind = django_filters.ChoiceFilter(choices=ApiKeyKind.choices)
    role = django_filters.ChoiceFilter(choices=ApiKeyRole.choices)


class ApiKeyViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """API keys: made, listed, revoked and rotated."""

    queryset = ApiKey.objects.all()
    serializer_class = ApiKeySerializer
    filterset_class = ApiKeyFilters
    access = Access(read=Scope.API_KEYS_READ, write=Scope.API_KEYS_WRITE)
    idempotency = Idempotency(forget=frozenset({"key"}))
    input_classes = {"create": CreateApiKeyInput, "rotate": RotateApiKeyInput, "revoke": RevokeApiKeyInput}

    @extend_schema(responses={201: NewApiKeySerializer})
    def create(self, request: Request) -> Response:
        """Make a key. The answer has it in `key`, this once."""
        given = self.read_input()
        if given["kind"] == ApiKeyKind.SECRET and given["role"] is None:
            given["role"] = ApiKeyRole.ADMIN
        new = create_api_key(**given, within=self.api_key.granted_scopes, at=self.at, actor=self.actor)
        return self.respond(new, status=http.HTTP_201_CREATED, serializer_class=NewApiKeySerializer)

    @extend_schema(responses={201: NewApiKeySerializer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, **_: object) -> Response:
        """Make a key with the same rights; the old one expires after the overlap."""
        new = rotate_api_key(
            api_key_id=self.id_from_path(),
            overlap=timedelta(seconds=self.read_input()["overlap_seconds"]),
            within=self.api_key.granted_scopes,
            at=self.at,
            actor=self.actor,
        )
        return self.respond(new, status=http.HTTP_201_CREATED, serializer_class=NewApiKeySerializer)

    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, **_: object) -> Response:
        """Take a key back at once."""
        self.read_input()
        return self.respond(revoke_api_key(api_key_id=self.id_from_path(), at=self.at, actor=self.actor))
