"""Makers of corrections: events that are taken back or replaced."""

from collections.abc import Mapping
from typing import Any

from metering.ingest.incoming import IncomingEvent
from metering.models import UsageCorrection
from metering.operations import amend_event, void_event, void_events
from metering.queries.corrections import EventSelection
from subscriptions.models import Subscription
from tests.factories.core import NOON, TESTER
from tests.factories.metering import decode


def void(event: Mapping[str, Any], **options: Any) -> UsageCorrection:
    """Take an event back."""
    named = {"customer_id": event["customer_id"], "event_id": event["id"], "reason": "Sent by a test run"}
    return void_event(**{**named, "at": NOON, "actor": TESTER, **options})


def void_all(owner: Subscription, **conditions: Any) -> UsageCorrection:
    """Take a customer's events back that satisfy conditions."""
    selection = EventSelection(**{"customer_id": owner.customer_id, **conditions})
    return void_events(selection=selection, reason="Sent by a test run", at=NOON, actor=TESTER)


def amend(event: Mapping[str, Any], replacement: Mapping[str, Any], **options: Any) -> UsageCorrection:
    """Put another event in the place of one."""
    (decoded,) = decode(replacement)
    assert isinstance(decoded, IncomingEvent)
    named = {"customer_id": event["customer_id"], "event_id": event["id"], "reason": "Counted twice"}
    times = {"received_at": NOON, "at": NOON}
    return amend_event(**{**named, **times, "replacement": decoded, "actor": TESTER, **options})
