"""What the dialogs of an invoice ask for."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from billing_project.core.admin.actions import DialogForm, ReasonForm
from billing_project.core.admin.columns import write_money
from invoicing.admin.amounts import AmountField, read_amount
from invoicing.invoices.queries import get_invoice, list_covered_period_ids
from invoicing.models import VoidOutcome


class RecordPaymentForm(DialogForm):
    """A payment: an amount in the invoice's currency, and where it came from."""

    amount = AmountField()
    reference = forms.CharField(
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="What the bank statement says.",
    )
    received_at = forms.DateTimeField(
        required=False,
        widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}),
        help_text="In UTC; now, if it is left empty.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invoice = get_invoice(kwargs["object_id"])
        due = write_money(self.invoice.amount_due_nanos, self.invoice.currency)
        self.fields["amount"].help_text = f"In {self.invoice.currency}, such as 12.50. {due} is due."

    def clean_amount(self) -> int:
        """Read the amount, which is at most what is due."""
        amount_nanos = read_amount(self.cleaned_data["amount"], currency=self.invoice.currency)
        if amount_nanos <= 0:
            raise ValidationError("A payment is above zero.")
        if amount_nanos > self.invoice.amount_due_nanos:
            due = write_money(self.invoice.amount_due_nanos, self.invoice.currency)
            raise ValidationError(f"Only {due} is due.")
        return amount_nanos


class VoidForm(ReasonForm):
    """Why an invoice is called off, and what becomes of the amounts if it covers a period."""

    then = forms.ChoiceField(
        label="What was on it",
        choices=VoidOutcome.choices,
        widget=UnfoldAdminRadioSelectWidget,
        help_text="Bill again: it comes on the period's next invoice. Forgive: it is never asked for again.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not list_covered_period_ids(kwargs["object_id"]):
            del self.fields["then"]
