"""The page of one event: how it was matched, what it adds to which meters, and where that was billed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from billing_project.core.admin.columns import make_badge, write_quantity
from billing_project.core.admin.details import Table, make_link
from customers.models import Customer
from metering.admin.corrections import link_to_event
from metering.ports import BilledLine, BillingState
from metering.queries import EventTrace, MeterTrace
from subscriptions.models import Period

# The states of billing, in words for people.
STATES = {
    BillingState.UNMATCHED: "Unmatched",
    BillingState.NOT_COUNTED: "Not counted",
    BillingState.NOT_CHARGED: "Not charged",
    BillingState.UPCOMING: "Upcoming",
    BillingState.DRAFTED: "On a Draft",
    BillingState.BILLED: "Billed",
    BillingState.NOTHING_DUE: "Nothing due",
    BillingState.FORGIVEN: "Forgiven",
    BillingState.VOIDED: "Void",
    BillingState.CREDIT_DUE: "Credit due",
    BillingState.CREDITED: "Credited",
}
_encoder = msgspec.json.Encoder(decimal_format="number")


def list_facts(trace: EventTrace, *, customer: Customer) -> Sequence[tuple[str, object]]:
    """List what is known of an event of a customer, each with what it is."""
    event, period = trace.event, trace.period
    properties = _encoder.encode(event.properties).decode()
    facts: list[tuple[str, object]] = [
        ("Event", event.event_id),
        ("Type", event.event_type),
        ("Customer", make_link("customers_customer", customer.pk, customer)),
        ("Timestamp", _write_time(event.timestamp)),
        ("Received", _write_time(event.received_at)),
        ("Properties", format_html('<code class="billing-json">{}</code>', properties)),
        ("Billing", format_html("{} {}", make_badge(STATES[trace.billing.state]), trace.billing.detail)),
    ]
    if trace.segment is not None and period is not None:
        subscription = make_link(
            "subscriptions_subscription", trace.segment.subscription_id, str(trace.segment.plan_version)
        )
        facts += [
            ("Subscription", subscription),
            ("Period", _link_to_period(period)),
            ("Counts at", _write_time(event.billed_at)),
        ]
    if trace.missed_period is not None:
        missed = _link_to_period(trace.missed_period)
        facts.append(("Late", format_html("It came after the period of its own time was closed: {}", missed)))
    if trace.replaced_event_id is not None:
        facts.append(("In place of", link_to_event(event.customer_id, trace.replaced_event_id)))
    facts += _list_void(trace)
    query = urlencode({"customer_id": str(event.customer_id), "event_id": event.event_id})
    notes = f"{reverse('admin:metering_ingestnote_changelist')}?{query}"
    facts.append(("Sent again, or refused", make_address(notes, "Notes on this id")))
    return facts


def make_meter_table(trace: EventTrace) -> Table:
    """Make a table of what an event adds to each meter, and how that is billed."""
    return Table(
        title="Meters",
        headers=("Meter", "Adds", "Group", "Billing", "Lines"),
        numeric=("Adds",),
        rows=[_write_meter(meter) for meter in trace.meters],
        empty=trace.billing.detail,
    )


def make_address(address: str, text: str) -> SafeString:
    """Make a link."""
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, text)


def _list_void(trace: EventTrace) -> list[tuple[str, object]]:
    if trace.voided is None:
        return []
    void, entry = trace.voided.void, trace.voided.entry
    correction = void.correction
    who = "" if entry is None else f" by {entry.actor_label or entry.actor_kind}"
    told = format_html(
        "{}{}: {}",
        make_link("metering_usagecorrection", correction.pk, _write_time(correction.created_at)),
        who,
        correction.reason,
    )
    facts: list[tuple[str, object]] = [("Taken back", told)]
    if void.replacement_event_id is not None:
        facts.append(("Replaced by", link_to_event(void.customer_id, void.replacement_event_id)))
    return facts


def _write_meter(trace: MeterTrace) -> tuple[Any, ...]:
    contribution = trace.contribution
    groups = ", ".join(f"{name}: {value or 'none'}" for name, value in (trace.groups or {}).items())
    return (
        make_link("catalog_meter", trace.meter.pk, trace.meter.code),
        None if contribution is None else contribution.member or write_quantity(contribution.value),
        groups,
        format_html("{} {}", make_badge(STATES[trace.billing.state]), trace.billing.detail),
        format_html_join(", ", "{}", ((_link_to_line(line),) for line in trace.billing.lines)),
    )


def _link_to_line(line: BilledLine) -> SafeString:
    name = line.invoice_number or f"{line.invoice_status} {str(line.invoice_id)[:8]}"
    return make_link("invoicing_invoice", line.invoice_id, f"{name}: {line.description}")


def _link_to_period(period: Period) -> SafeString:
    state = "open" if period.closed_at is None else f"closed {_write_time(period.closed_at)}"
    text = f"{period.number}: {_write_time(period.starts_at)} to {_write_time(period.ends_at)}, {state}"
    return make_link("subscriptions_period", period.pk, text)


def _write_time(at: datetime | None) -> str:
    return "" if at is None else date_format(localtime(at), "DATETIME_FORMAT")
