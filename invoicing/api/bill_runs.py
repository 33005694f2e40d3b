"""Bill runs over HTTP: `/admin/v1/bill-runs` and the items of each."""

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.views import ApiViewSet
from invoicing.api.filters import BillRunFilters, BillRunItemFilters
from invoicing.api.serializers import BillRunDetailSerializer, BillRunItemSerializer, BillRunSerializer
from invoicing.models import BillRun, BillRunItem, BillRunItemStatus


class BillRunViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Passes over the subscriptions that were due."""

    queryset = BillRun.objects.all()
    serializer_class = BillRunSerializer
    filterset_class = BillRunFilters
    access = Access(read=Scope.BILL_RUNS_READ)

    def get_queryset(self) -> QuerySet[BillRun]:
        """Select bill runs; a single one with what became of its items."""
        runs = BillRun.objects.all()
        if self.action != "retrieve":
            return runs
        counts = {
            f"{status.lower()}_count": Count("items", filter=Q(items__status=status))
            for status in BillRunItemStatus
        }
        return runs.annotate(**counts, invoice_count=Coalesce(Sum("items__invoice_count"), 0))

    @extend_schema(responses=BillRunDetailSerializer)
    def retrieve(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Show a bill run, with what became of its subscriptions."""
        return self.respond(self.get_object(), serializer_class=BillRunDetailSerializer)


class BillRunItemViewSet(ListModelMixin, ApiViewSet):
    """What became of each subscription in a bill run."""

    queryset = BillRunItem.objects.all()
    serializer_class = BillRunItemSerializer
    filterset_class = BillRunItemFilters
    access = Access(read=Scope.BILL_RUNS_READ)

    def get_queryset(self) -> QuerySet[BillRunItem]:
        """Select the items of one run."""
        return BillRunItem.objects.filter(run_id=self.kwargs.get("run_id"))
