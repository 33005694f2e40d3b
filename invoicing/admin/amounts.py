"""Amounts of money as people type them."""

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from billing_project.core.admin.columns import write_money
from billing_project.core.currencies import minor_unit_nanos
from billing_project.core.money import EXACT, NANOS_PER_UNIT, InvalidDecimal, parse_decimal

EXAMPLE = "Such as 12.50."


class AmountField(forms.CharField):
    """An amount in units of its currency, such as 12.50: a number with a point and no more than that."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, *, help_text: str = EXAMPLE) -> None:
        super().__init__(max_length=40, help_text=help_text)


def read_amount(text: str, *, currency: str) -> int:
    """Read an amount in units of its currency, which must have it.

    Raises: ValidationError.
    """
    try:
        number = parse_decimal(text.strip())
    except InvalidDecimal:
        raise ValidationError("Enter an amount with digits and a point, such as 12.50.") from None
    amount_nanos = EXACT.multiply(number, NANOS_PER_UNIT)
    step_nanos = minor_unit_nanos(currency)
    if EXACT.remainder(amount_nanos, step_nanos):
        smallest = write_money(step_nanos, currency)
        raise ValidationError(f"The smallest amount of {currency} is {smallest}.")
    return int(amount_nanos)
