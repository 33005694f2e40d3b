"""Staff pages of invoicing, and of what lower apps have whose actions make or need bills.

Owns: invoices with all that belongs to them, payments, bill runs, the first page; billing a subscription now,
advancing a test clock.
Does not own: how a page calls an operation (`core.admin`), the pages of what is sold and to whom.
Always true: an action is the operation that the API calls, at the customer's time.
"""

from invoicing.admin.bill_runs import BillRunAdmin, BillRunItemAdmin
from invoicing.admin.clocks import DrivenTestClockAdmin
from invoicing.admin.corrections import PricedUsageCorrectionAdmin
from invoicing.admin.invoices import InvoiceAdmin
from invoicing.admin.lines import InvoiceCoverageAdmin, InvoiceLineAdmin, InvoiceTaxAdmin
from invoicing.admin.payments import PaymentAdmin
from invoicing.admin.subscriptions import BilledSubscriptionAdmin

__all__ = [
    "BillRunAdmin",
    "BillRunItemAdmin",
    "BilledSubscriptionAdmin",
    "DrivenTestClockAdmin",
    "InvoiceAdmin",
    "InvoiceCoverageAdmin",
    "InvoiceLineAdmin",
    "InvoiceTaxAdmin",
    "PaymentAdmin",
    "PricedUsageCorrectionAdmin",
]
