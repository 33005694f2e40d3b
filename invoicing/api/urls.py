"""Routes of the invoicing app."""

from billing_project.core.api.routers import ApiRouter
from invoicing.api.bill_runs import BillRunItemViewSet, BillRunViewSet
from invoicing.api.billing import ClockAdvanceViewSet, SubscriptionBillingViewSet, UpcomingInvoiceViewSet
from invoicing.api.corrections import EventsCorrectionViewSet
from invoicing.api.views import FinalInvoiceViewSet, InvoiceViewSet, PaymentViewSet

router = ApiRouter()
router.register("admin/v1/invoices", InvoiceViewSet)
router.register("v1/invoices", FinalInvoiceViewSet)
router.register("admin/v1/payments", PaymentViewSet)
router.register("admin/v1/bill-runs", BillRunViewSet)
router.register("admin/v1/bill-runs/<uuid:run_id>/items", BillRunItemViewSet, basename="bill-run-items")
router.register("admin/v1/subscriptions", SubscriptionBillingViewSet)
router.register("v1/subscriptions", UpcomingInvoiceViewSet)
router.register("admin/v1/test-clocks", ClockAdvanceViewSet)
router.register("admin/v1/events", EventsCorrectionViewSet, basename="admin-v1-events-selected")

urlpatterns = router.urls
