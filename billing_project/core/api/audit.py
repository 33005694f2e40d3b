"""The audit trail over the API: `/admin/v1/audit-log`."""

import django_filters
from rest_framework.mixins import ListModelMixin

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.actors import ActorKind
from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from billing_project.core.api.serializers import OutputSerializer
from billing_project.core.api.views import ApiViewSet
from billing_project.core.models import AuditEntry


class AuditEntrySerializer(OutputSerializer[AuditEntry]):
    """One change: `changes` maps each field to its value before and after."""

    class Meta:
        model = AuditEntry
        fields = [
            "id",
            "action",
            "subject_type",
            "subject_id",
            "customer_id",
            "changes",
            "actor_kind",
            "actor_id",
            "actor_label",
            "reason",
            "request_id",
            "occurred_at",
            "created_at",
        ]


class AuditEntryFilters(StrictFilterSet):
    """Filters of the list."""

    action = django_filters.CharFilter(max_length=64)
    subject_type = django_filters.CharFilter(max_length=64)
    subject_id = django_filters.CharFilter(max_length=64)
    customer_id = django_filters.UUIDFilter()
    actor_kind = django_filters.ChoiceFilter(choices=[(kind.value, kind.value) for kind in ActorKind])
    actor_id = django_filters.CharFilter(max_length=64)
    request_id = django_filters.CharFilter(max_length=128)
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_before = InstantFilter(field_name="created_at", lookup_expr="lt")


class AuditEntryViewSet(ListModelMixin, ApiViewSet):
    """Who changed what, when and why, newest first."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = AuditEntryFilters
    access = Access(read=Scope.AUDIT_READ)
