"""Taking events back, and replacing them. Events are never edited: what does not count is noted beside them.

What a correction does to money follows from the usage alone: rating is cumulative, so the next bill of a
subscription takes the difference into account, also that of a period which is closed.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Busy, Conflict, FieldError, InvalidInput
from customers.models import Customer
from metering.events import UsageCorrected
from metering.ingest.incoming import IncomingEvent, Refusal
from metering.models import (
    CorrectionKind,
    EventVoid,
    LateUsage,
    UsageCorrection,
    UsageEvent,
)
from metering.models.corrections import leave_out_voided
from metering.operations.ingestion import ingest_events
from metering.operations.undoing import undo_events
from metering.queries.archives import check_events_not_archived, check_not_archived
from metering.queries.corrections import (
    EventSelection,
    is_voided,
    list_unknown,
    select_events,
)
from metering.queries.events import get_event
from metering.reasons import check_reason
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Period, Segment, Subscription

# Ingest for the subscriptions concerned waits while they are corrected.
VOID_LIMIT = 10_000


class UnknownCustomer(InvalidInput):
    """Events are meant of a customer who is not there."""

    code = "unknown_customer"


class UnknownEvents(InvalidInput):
    """Events are named that the customer does not have."""

    code = "unknown_events"


class TooManyEventsSelected(InvalidInput):
    """More events are meant than one call takes back. None of them was."""

    code = "too_many_events"


class NothingToVoid(Conflict):
    """No event is meant that is not void already."""

    code = "nothing_to_void"


class EventAlreadyVoided(Conflict):
    """An event is taken back once."""

    code = "event_already_voided"


class ReplacementRefused(InvalidInput):
    """The event that is to take the place of another cannot be accepted."""

    code = "replacement_refused"


class ReplacementNotNew(Conflict):
    """The event that is to take the place of another has an id of its own."""

    code = "replacement_not_new"


@transaction.atomic
def void_event(
    *, customer_id: UUID, event_id: str, reason: str, at: datetime, actor: Actor
) -> UsageCorrection:
    """Take one event back: it does not count any more, and counts no more when it is sent again.

    Raises: NotFound; EventAlreadyVoided; UsageArchived; CorrectionReasonMissing; Busy if it is being matched
    at this moment.
    Locks: slots (exclusive).
    Emits: usage.corrected.
    """
    check_reason(reason)
    event = _lock_event(customer_id=customer_id, event_id=event_id)
    return _correct([event], kind=CorrectionKind.VOID, replacement_id=None, reason=reason, at=at, actor=actor)


@transaction.atomic
def void_events(*, selection: EventSelection, reason: str, at: datetime, actor: Actor) -> UsageCorrection:
    """Take back all the events that are meant and are not void already.

    Raises: UnknownCustomer; UnknownEvents; SelectionTooWide; InvalidPropertyValue; TooManyEventsSelected;
    NothingToVoid; UsageArchived; CorrectionReasonMissing; Busy if some are being matched at this moment.
    Locks: slots (exclusive).
    Emits: usage.corrected.
    """
    check_reason(reason)
    if not Customer.objects.filter(pk=selection.customer_id).exists():
        raise UnknownCustomer(f"There is no customer {selection.customer_id}.", field="customer_id")
    found = list(select_events(selection).values_list("event_id", "subscription_id")[: VOID_LIMIT + 1])
    if len(found) > VOID_LIMIT:
        detail = f"More than {VOID_LIMIT:,} events are meant. Narrow it down, and do it in parts."
        raise TooManyEventsSelected(detail)
    _check_known(selection)
    event_ids = [event_id for event_id, _ in found]
    locked = _lock_events(
        customer_id=selection.customer_id,
        event_ids=event_ids,
        subscription_ids={subscription_id for _, subscription_id in found},
    )
    if not locked:
        raise NothingToVoid("No event is meant that is not void already.")
    return _correct(locked, kind=CorrectionKind.VOID, replacement_id=None, reason=reason, at=at, actor=actor)


@transaction.atomic
def amend_event(
    *,
    customer_id: UUID,
    event_id: str,
    replacement: IncomingEvent | Refusal,
    reason: str,
    received_at: datetime,
    at: datetime,
    actor: Actor,
) -> UsageCorrection:
    """Take an event back and another one in, which has a new id and is billed by the rules of ingest.

    `received_at` is the real time, by which ingest goes; `at` is the customer's. A replacement that could not
    be read comes as a refusal, as events do.

    Raises: NotFound; EventAlreadyVoided; UsageArchived; CorrectionReasonMissing; ReplacementRefused;
    ReplacementNotNew; Busy if the customer subscribes at this moment.
    Locks: slots (exclusive).
    Emits: usage.corrected.
    """
    check_reason(reason)
    if isinstance(replacement, Refusal):
        raise _refuse_replacement(replacement)
    if replacement.customer_id != customer_id:
        detail = "The replacement is an event of the same customer."
        raise ReplacementRefused(detail, field="event.customer_id")
    others = Subscription.objects.filter(customer_id=customer_id).values_list("pk", flat=True)
    event = _lock_event(
        customer_id=customer_id, event_id=event_id, also={*others, customer_id}
    )  # Ingest takes some of these slots, shared: all are taken at once, so that nobody waits in a circle.
    correction = _correct(
        [event],
        kind=CorrectionKind.AMEND,
        replacement_id=replacement.event_id,
        reason=reason,
        at=at,
        actor=actor,
    )
    report = ingest_events(events=[replacement], at=received_at)
    if report.refusals:
        raise _refuse_replacement(report.refusals[0])
    if report.duplicates:
        raise ReplacementNotNew(f"The customer has an event {replacement.event_id!r}: choose another id.")
    return correction


def _refuse_replacement(refusal: Refusal) -> ReplacementRefused:
    return ReplacementRefused(
        f"The replacement was refused: {refusal.detail}",
        errors=[FieldError("event", refusal.code, refusal.detail)],
    )


def _check_known(selection: EventSelection) -> None:
    check_events_not_archived(customer_id=selection.customer_id, event_ids=selection.event_ids)
    unknown = list_unknown(customer_id=selection.customer_id, event_ids=selection.event_ids)
    if unknown:
        named = ", ".join(map(repr, unknown[:10]))
        detail = f"The customer has no event {named}{', and more' if len(unknown) > 10 else ''}."
        raise UnknownEvents(detail, field="event_ids")


def _lock_event(*, customer_id: UUID, event_id: str, also: Collection[UUID] = ()) -> UsageEvent:
    """Lock the slots of an event that is not void, and read it.

    Raises: NotFound; EventAlreadyVoided; UsageArchived; Busy.
    """
    check_events_not_archived(customer_id=customer_id, event_ids=[event_id])
    found = get_event(customer_id=customer_id, event_id=event_id)
    locked = _lock_events(
        customer_id=customer_id, event_ids=[event_id], subscription_ids={found.subscription_id}, also=also
    )
    if not locked:
        assert is_voided(customer_id=customer_id, event_id=event_id)
        raise EventAlreadyVoided(f"Event {event_id!r} is void already.")
    return locked[0]


def _lock_events(
    *,
    customer_id: UUID,
    event_ids: Sequence[str],
    subscription_ids: Collection[UUID | None],
    also: Collection[UUID] = (),
) -> list[UsageEvent]:
    """Lock the slots that events count under, and read those that are not void by then.

    Unmatched ones are under the slot of their customer, which keeps them from being matched meanwhile.

    Raises: UsageArchived; Busy if some were matched before that.
    Locks: slots (exclusive).
    """
    if not event_ids:
        return []
    owners = {customer_id if owner is None else owner for owner in subscription_ids}
    lock_slots_exclusive(owners | set(also))
    # Read in a statement of its own, which sees what was committed while this one waited for the slots.
    events = leave_out_voided(UsageEvent.objects.filter(customer_id=customer_id, event_id__in=event_ids))
    locked = list(events.order_by("event_id"))
    if not {event.subscription_id or customer_id for event in locked} <= owners | set(also):
        raise Busy("The customer has just subscribed, and events are being matched. Try again.")
    check_not_archived({event.segment_id for event in locked if event.segment_id is not None})
    return locked


def _correct(
    voided: Sequence[UsageEvent],
    *,
    kind: CorrectionKind,
    replacement_id: str | None,
    reason: str,
    at: datetime,
    actor: Actor,
) -> UsageCorrection:
    """Take events back whose slots are held, and record it."""
    subscription_ids = {event.subscription_id for event in voided}
    correction = UsageCorrection.objects.create(
        customer_id=voided[0].customer_id,
        subscription_id=subscription_ids.pop() if len(subscription_ids) == 1 else None,
        kind=kind,
        reason=reason.strip(),
        event_count=len(voided),
        created_at=at,
    )
    EventVoid.objects.bulk_create(
        [
            EventVoid(
                correction=correction,
                customer_id=event.customer_id,
                event_id=event.event_id,
                event_uid=event.uid,
                segment_id=event.segment_id,
                replacement_event_id=replacement_id,
            )
            for event in voided
        ],
        batch_size=1_000,
    )
    matched = [event for event in voided if event.is_matched]
    undo_events(customer_id=correction.customer_id, events=matched)
    _mark_ended({event.segment_id for event in matched if event.segment_id is not None}, at=at)
    changes = audit.made(correction, "kind", "subscription_id", "event_count", "reason")
    audit.record("usage.voided", subject=correction, changes=changes, actor=actor, at=at)
    events.emit(UsageCorrected(correction), at=at)
    return correction


def _mark_ended(segment_ids: Collection[UUID], *, at: datetime) -> None:
    """Mark subscriptions that have ended and have no period left that a bill run comes to by itself.

    The mark is on the last period. Whether it is closed cannot change while the slot is held.
    """
    closed = Segment.objects.filter(pk__in=segment_ids, period__closed_at__isnull=False)
    ended = closed.filter(subscription__ends_at__isnull=False).values("subscription_id")
    last = (
        Period.objects.filter(subscription_id__in=ended)
        .order_by("subscription_id", F("number").desc())
        .distinct("subscription_id")
    )
    marks = [
        LateUsage(subscription_id=period.subscription_id, period_id=period.pk, noted_at=at)
        for period in last
        if not period.is_open
    ]
    LateUsage.objects.bulk_create(marks, ignore_conflicts=True)
