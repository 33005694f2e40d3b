"""A row for every page of the domain apps, made the way that the platform makes them."""

from datetime import timedelta

from django.db.models import Model

from catalog.models import BillingTiming, Meter, PlanVersion, Price, PricingModel, Product
from customers.models import Customer, TestClock
from invoicing.models import (
    BillRun,
    BillRunItem,
    BillRunItemStatus,
    BillRunTrigger,
    Invoice,
    InvoiceCoverage,
    InvoiceLine,
    InvoiceTax,
)
from invoicing.payments.operations import record_payment
from invoicing.runs.billing import bill_period
from invoicing.runs.finalization import finalize, prepare_finalization
from metering.models import (
    EventArchive,
    EventImport,
    IngestNote,
    LateUsage,
    MeterFill,
    UsageCorrection,
    UsageEvent,
)
from metering.operations import void_event
from subscriptions.models import Period, PlannedChange, Segment, Subscription, SubscriptionItem
from subscriptions.operations import When, cancel_subscription
from tests.factories.catalog import make_plan, make_product, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.invoicing import DOLLAR, tax_all
from tests.factories.metering import ingest, write_event
from tests.factories.subscriptions import subscribe

TIERS = {
    "tiers": [
        {"up_to": "100", "unit_amount_nanos": "20000000000", "flat_amount_nanos": "0"},
        {"up_to": None, "unit_amount_nanos": "5000000000", "flat_amount_nanos": "1000000000000"},
    ]
}


def make_subscription(name: str = "NeuralWorks Inc") -> Subscription:
    """Subscribe a customer on a test clock, for whom it is noon, to a plan with three kinds of prices."""
    clock = make_test_clock(name=f"Clock of {name}")
    customer = make_customer(display_name=name, test_clock_id=clock.pk, email="finance@example.com")
    tax_all(bps=850)
    plan = make_plan(product_id=make_product().pk)
    make_sku(plan)
    make_sku(plan, name="Calls", meter=None, pricing_model=PricingModel.GRADUATED, params=TIERS)
    fee = {"unit_amount_nanos": str(49 * DOLLAR)}
    make_sku(
        plan,
        name="Support",
        meter=None,
        pricing_model=PricingModel.FLAT,
        params=fee,
        billing_timing=BillingTiming.ADVANCE,
    )
    return subscribe(customer=customer, plan=plan)


def make_usage(subscription: Subscription, input_tokens: int = 4_977_500) -> UsageEvent:
    """Use tokens at $0.000002 each: by default $9.955 worth of them."""
    event = write_event(subscription, properties={"input_tokens": input_tokens, "output_tokens": 1})
    assert ingest(event).accepted == 1
    return UsageEvent.objects.get(customer_id=subscription.customer_id, event_id=event["id"])


def void_usage(event: UsageEvent) -> UsageCorrection:
    """Take an event back."""
    return void_event(
        customer_id=event.customer_id, event_id=event.event_id, reason="A test run", at=NOON, actor=TESTER
    )


def bill(subscription: Subscription) -> Invoice:
    """Make the Draft of the current period."""
    invoice, _ = bill_period(subscription_id=subscription.pk, period_id=None, at=NOON, actor=TESTER)
    return invoice


def bill_finally(subscription: Subscription) -> Invoice:
    """Make the invoice of what was used so far, and make it final."""
    draft = bill(subscription)
    prepare_finalization(invoice_id=draft.pk, at=NOON, actor=TESTER)
    return finalize(invoice_id=draft.pk, at=NOON, actor=TESTER)


def park(subscription: Subscription) -> BillRunItem:
    """Park a subscription, as a bill run does that cannot bill it."""
    run = BillRun.objects.create(trigger=BillRunTrigger.COMMAND, at=NOON)
    return BillRunItem.objects.create(
        run=run,
        subscription=subscription,
        status=BillRunItemStatus.PARKED,
        problem="It could not be billed.",
        finished_at=NOON,
    )


def make_rows() -> dict[str, Model]:
    """Make a row for each page, by app and model."""
    subscription = make_subscription()
    make_usage(subscription)
    invoice = bill_finally(subscription)
    payment = record_payment(
        invoice_id=invoice.pk,
        amount_nanos=DOLLAR,
        reference="SEPA 1",
        received_at=None,
        at=NOON + timedelta(hours=1),
        actor=TESTER,
    )
    cancel_subscription(subscription_id=subscription.pk, when=When.PERIOD_END, at=NOON, actor=TESTER)
    period = Period.objects.get(subscription=subscription, number=0)
    item = park(subscription)
    version = PlanVersion.objects.get()
    line = InvoiceLine.objects.get(invoice=invoice, meter__isnull=False)
    rows: list[Model] = [
        version,
        version.plan,
        Product.objects.get(),
        Price.objects.get(pricing_model="Graduated"),
        Price.objects.get(pricing_model="Graduated").sku,
        Meter.objects.get(),
        Customer.objects.get(),
        TestClock.objects.get(),
        subscription,
        SubscriptionItem.objects.filter(subscription=subscription)[0],
        period,
        Segment.objects.get(period=period),
        PlannedChange.objects.get(),
        void_usage(make_usage(subscription, 1)),
        MeterFill.objects.create(meter=Meter.objects.get()),
        EventArchive.objects.create(
            number=1, format="JsonLines", ended_by=NOON, file_name="1.gz", manifest_name="1", created_at=NOON
        ),
        EventImport.objects.create(
            name="events.csv", format="Csv", content_hash=bytes(32), size_bytes=1, started_at=NOON
        ),
        IngestNote.objects.create(noted_at=NOON, customer_id=subscription.customer_id, code="duplicate"),
        LateUsage.objects.create(subscription_id=subscription.pk, period_id=period.pk, noted_at=NOON),
        invoice,
        line,
        InvoiceTax.objects.get(invoice=invoice),
        InvoiceCoverage.objects.get(invoice=invoice),
        payment,
        item.run,
        item,
    ]
    return {f"{row._meta.app_label}/{row._meta.model_name}": row for row in rows}
