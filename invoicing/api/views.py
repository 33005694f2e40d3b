"""Invoices and payments over HTTP: `/admin/v1/invoices`, `/v1/invoices`, `/admin/v1/payments`."""

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.views import ApiViewSet
from billing_project.core.errors import InvalidInput, NotFound
from customers.queries import now_for
from invoicing.api.filters import InvoiceFilters, PaymentFilters
from invoicing.api.serializers import (
    CreateInvoiceInput,
    EmptyInput,
    InvoiceSerializer,
    ManualLineInput,
    PaymentSerializer,
    RecordPaymentInput,
    TaxedInvoiceSerializer,
    VoidInvoiceInput,
)
from invoicing.invoices.operations import ManualLine, add_line, create_one_off, remove_line
from invoicing.invoices.queries import get_document, get_invoice, select_documents
from invoicing.invoices.taxation import assess_tax
from invoicing.models import Invoice, Payment
from invoicing.payments.operations import record_payment
from invoicing.runs.finalization import finalize, prepare_finalization
from invoicing.runs.voiding import void


class UnknownCustomer(InvalidInput):
    """There is no customer of the id that the invoice is to be for."""

    code = "unknown_customer"


class InvoiceViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Invoices, as those who send them see them."""

    queryset = Invoice.objects.none()
    serializer_class = InvoiceSerializer
    filterset_class = InvoiceFilters
    access = Access(
        read=Scope.INVOICES_READ,
        write=Scope.INVOICES_WRITE,
        actions={"payments": Scope.PAYMENTS_WRITE},
    )
    input_classes = {
        "create": CreateInvoiceInput,
        "lines": ManualLineInput,
        "calculate_tax": EmptyInput,
        "finalize": EmptyInput,
        "void": VoidInvoiceInput,
        "payments": RecordPaymentInput,
    }

    def get_queryset(self) -> QuerySet[Invoice]:
        """Select invoices with their lines and tax rows."""
        return select_documents()

    def prepare(self) -> None:
        """Do what the action cannot do inside a transaction: ask the tax engine, close the period."""
        if self.action == "calculate_tax":
            self.read_input()
            assess_tax(invoice_id=self.id_from_path(), at=self._read_time(), actor=self.actor)
        elif self.action == "finalize":
            self.read_input()
            prepare_finalization(invoice_id=self.id_from_path(), at=self._read_time(), actor=self.actor)

    @extend_schema(responses={201: InvoiceSerializer})
    def create(self, request: Request) -> Response:
        """Make a Draft that belongs to no subscription."""
        values = self.read_input()
        invoice = create_one_off(
            customer_id=values["customer_id"],
            currency=values["currency"],
            lines=[ManualLine(**line) for line in values["lines"]],
            at=self._read_customer_time(values["customer_id"]),
            actor=self.actor,
        )
        return self.respond(get_document(invoice.pk), status=http.HTTP_201_CREATED)

    @extend_schema(responses={201: InvoiceSerializer})
    @action(detail=True, methods=["post"])
    def lines(self, request: Request, **_: object) -> Response:
        """Add a manual line to a Draft."""
        add_line(
            invoice_id=self.id_from_path(),
            line=ManualLine(**self.read_input()),
            at=self._read_time(),
            actor=self.actor,
        )
        return self._show(status=http.HTTP_201_CREATED)

    @extend_schema(responses=InvoiceSerializer)
    @action(detail=True, methods=["delete"], url_path="lines/<uuid:line_id>")
    def remove_line(self, request: Request, line_id: UUID, **_: object) -> Response:
        """Remove a manual line from a Draft."""
        remove_line(invoice_id=self.id_from_path(), line_id=line_id, at=self._read_time(), actor=self.actor)
        return self._show()

    @extend_schema(responses=TaxedInvoiceSerializer)
    @action(detail=True, methods=["post"], url_path="calculate-tax")
    def calculate_tax(self, request: Request, **_: object) -> Response:
        """Calculate the tax of a Draft, in place of what was calculated before."""
        invoice = get_document(self.id_from_path())
        taxes = list(invoice.taxes.all())
        answer: dict[str, object] = {"tax_applied": bool(taxes), "invoice": invoice}
        if taxes:
            answer["tax_line_item"] = {
                "description": ", ".join(tax.description for tax in taxes),
                "amount_nanos": invoice.tax_nanos,
                "is_tax": True,
            }
        return self.respond(answer, serializer_class=TaxedInvoiceSerializer)

    @action(detail=True, methods=["post"])
    def finalize(self, request: Request, **_: object) -> Response:
        """Make a Draft final: it gets its number and asks for money."""
        finalize(invoice_id=self.id_from_path(), at=self._read_time(), actor=self.actor)
        return self._show()

    @action(detail=True, methods=["post"])
    def void(self, request: Request, **_: object) -> Response:
        """Call off a final invoice that nothing was paid on."""
        void(invoice_id=self.id_from_path(), **self.read_input(), at=self._read_time(), actor=self.actor)
        return self._show()

    @extend_schema(responses={201: PaymentSerializer})
    @action(detail=True, methods=["post"])
    def payments(self, request: Request, **_: object) -> Response:
        """Record a payment that has come in."""
        payment = record_payment(
            invoice_id=self.id_from_path(), **self.read_input(), at=self._read_time(), actor=self.actor
        )
        return self.respond(payment, status=http.HTTP_201_CREATED, serializer_class=PaymentSerializer)

    def _show(self, *, status: int = http.HTTP_200_OK) -> Response:
        return self.respond(get_document(self.id_from_path()), status=status)

    def _read_time(self) -> datetime:
        return now_for(customer_id=get_invoice(self.id_from_path()).customer_id, real_now=self.at)

    def _read_customer_time(self, customer_id: UUID) -> datetime:
        try:
            return now_for(customer_id=customer_id, real_now=self.at)
        except NotFound as error:
            raise UnknownCustomer(error.detail, field="customer_id") from None


class FinalInvoiceViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Invoices, as customers see them: without Drafts."""

    queryset = Invoice.objects.none()
    serializer_class = InvoiceSerializer
    filterset_class = InvoiceFilters
    access = Access(read=Scope.INVOICES_READ)

    def get_queryset(self) -> QuerySet[Invoice]:
        """Select final invoices with their lines and tax rows."""
        return select_documents().filter(finalized_at__isnull=False)


class PaymentViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Money that has come in."""

    queryset = Payment.objects.all()
    serializer_class = PaymentSerializer
    filterset_class = PaymentFilters
    access = Access(read=Scope.PAYMENTS_READ)
