"""No tax: for sellers who owe none, or add it elsewhere."""

from invoicing.tax.types import TaxAssessment, TaxRequest


class NoTax:
    """An engine that taxes nothing."""

    def assess(self, request: TaxRequest) -> TaxAssessment:
        """Answer that no line is taxed."""
        return TaxAssessment.untaxed(request)
