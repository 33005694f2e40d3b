"""What the tax on a Draft follows from: its lines, the two parties, and the rounding it carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing_project.core.models import Seller
from catalog.models import TaxBehavior
from invoicing.invoices.queries import list_lines, read_carried_nanos
from invoicing.models import Invoice, InvoiceLine, TaxStatus
from invoicing.tax.selection import get_engine
from invoicing.tax.types import TaxableLine, TaxableParty, TaxAssessment, TaxRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxBasis:
    """A question to the seller's tax engine, with what else decides the amounts."""

    engine: str
    request: TaxRequest
    carried_nanos: int

    @property
    def fingerprint(self) -> str:
        """Return what identifies it: tax is current as long as this is the same."""
        return self.request.fingerprint(engine=self.engine, carried_nanos=self.carried_nanos)

    def assess(self) -> TaxAssessment:
        """Ask the engine. May take a while: call it with nothing locked.

        Raises: UnknownTaxEngine; TaxUnavailable.
        """
        return get_engine(self.engine).assess(self.request)


def read_tax_basis(
    invoice: Invoice, *, lines: Sequence[InvoiceLine], seller: Seller, at: datetime
) -> TaxBasis:
    """Read what the tax on a Draft follows from, apart from its lines, which the caller has."""
    customer = invoice.customer
    return TaxBasis(
        engine=seller.tax_engine,
        carried_nanos=read_carried_nanos(period_id=invoice.period_id),
        request=TaxRequest(
            at=at,
            currency=invoice.currency,
            seller=TaxableParty(tax_id=seller.tax_id, address=seller.address),
            customer=TaxableParty(tax_id=customer.tax_id, address=customer.billing_address),
            flat_rate_bps=seller.tax_flat_rate_bps,
            lines=tuple(
                TaxableLine(
                    charge_nanos=line.charge_nanos,
                    is_inclusive=line.tax_behavior == TaxBehavior.INCLUSIVE,
                    tax_category=line.tax_category,
                )
                for line in lines
            ),
        ),
    )


def is_tax_current(invoice: Invoice, *, seller: Seller, at: datetime) -> bool:
    """Tell whether the tax rows of a Draft belong to exactly its lines and parties as they are now."""
    if invoice.tax_status != TaxStatus.CURRENT:
        return False
    basis = read_tax_basis(invoice, lines=list_lines(invoice.pk), seller=seller, at=at)
    return basis.fingerprint == invoice.tax_fingerprint
