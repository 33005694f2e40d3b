"""One rate for everything, from the seller's settings, in basis points; a tax id exempts a customer."""

from decimal import Decimal

from billing_project.core.money import EXACT, format_quantity
from invoicing.tax.types import TaxAssessment, TaxRate, TaxRequest


class FlatRate:
    """An engine that taxes every line alike."""

    def assess(self, request: TaxRequest) -> TaxAssessment:
        """Answer the seller's rate for each line, or none to a customer with a tax id."""
        if not request.lines or not request.flat_rate_bps or request.customer.tax_id:
            return TaxAssessment.untaxed(request)
        percent = Decimal(request.flat_rate_bps).scaleb(-2, EXACT)
        rate = TaxRate(
            code="flat",
            description=f"Tax {format_quantity(percent)}%",
            rate=percent.scaleb(-2, EXACT),
            jurisdiction=request.seller.address.get("country", ""),
        )
        return TaxAssessment(rates=(rate,), rate_numbers=(0,) * len(request.lines))
