"""Billing a subscription on demand, the invoice to come, and advancing a test clock."""

from datetime import datetime

from drf_spectacular.utils import extend_schema
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.views import ApiViewSet
from customers.api.serializers import TestClockSerializer
from customers.models import TestClock
from customers.queries import now_for
from invoicing.api.serializers import (
    AdvanceClockInput,
    BillSubscriptionInput,
    InvoiceSerializer,
    UpcomingInvoiceSerializer,
)
from invoicing.invoices.queries import get_document
from invoicing.runs.billing import bill_period
from invoicing.runs.clocks import advance_clock
from invoicing.runs.previews import preview_invoice
from subscriptions.models import Subscription
from subscriptions.queries import get_subscription


class SubscriptionBillingViewSet(ApiViewSet):
    """Billing a subscription on demand."""

    queryset = Subscription.objects.all()
    serializer_class = InvoiceSerializer
    access = Access(read=Scope.INVOICES_READ, write=Scope.INVOICES_WRITE)
    input_classes = {"bill": BillSubscriptionInput}

    @extend_schema(responses={200: InvoiceSerializer, 201: InvoiceSerializer})
    @action(detail=True, methods=["post"])
    def bill(self, request: Request, **_: object) -> Response:
        """Make the Draft of the current period, or of an earlier open one, or refresh the one there is."""
        invoice, is_new = bill_period(
            subscription_id=self.id_from_path(),
            period_id=self.read_input()["period"],
            at=_read_time(self),
            actor=self.actor,
        )
        status = http.HTTP_201_CREATED if is_new else http.HTTP_200_OK
        return self.respond(get_document(invoice.pk), status=status)


class UpcomingInvoiceViewSet(ApiViewSet):
    """The invoice that a subscription's current period would end with."""

    queryset = Subscription.objects.all()
    serializer_class = UpcomingInvoiceSerializer
    access = Access(read=Scope.INVOICES_READ)

    @extend_schema(responses=UpcomingInvoiceSerializer)
    @action(detail=True, methods=["get"], url_path="upcoming-invoice")
    def upcoming_invoice(self, request: Request, **_: object) -> Response:
        """Show the invoice that the current period would end with, were there no further usage."""
        return self.respond(preview_invoice(subscription_id=self.id_from_path(), at=_read_time(self)))


class ClockAdvanceViewSet(ApiViewSet):
    """Letting time pass for the customers of a test clock."""

    queryset = TestClock.objects.all()
    serializer_class = TestClockSerializer
    access = Access(read=Scope.TEST_CLOCKS_READ, write=Scope.TEST_CLOCKS_WRITE)
    input_classes = {"advance": AdvanceClockInput}

    @extend_schema(responses={202: TestClockSerializer})
    @action(detail=True, methods=["post"])
    def advance(self, request: Request, **_: object) -> Response:
        """Set a test clock on its way: Advancing until a worker has billed all that is due, then Ready."""
        clock = advance_clock(
            test_clock_id=self.id_from_path(), to=self.read_input()["to"], at=self.at, actor=self.actor
        )
        return self.respond(clock, status=http.HTTP_202_ACCEPTED)


def _read_time(view: ApiViewSet) -> datetime:
    customer_id = get_subscription(view.id_from_path()).customer_id
    return now_for(customer_id=customer_id, real_now=view.at)
