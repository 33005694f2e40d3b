"""The audit trail: each operation records here what it has changed, in its own transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import models, transaction

from billing_project.core.actors import Actor
from billing_project.core.models import AuditEntry
from billing_project.core.plain import to_plain

_MAX_LABEL_LENGTH = 200
_BATCH_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one row, for `record_all`."""

    subject: models.Model
    changes: Mapping[str, tuple[object, object]]


def record(
    action: str,
    *,
    subject: models.Model,
    changes: Mapping[str, tuple[object, object]],
    actor: Actor,
    at: datetime,
) -> AuditEntry:
    """Add one entry to the audit trail: `changes` maps each field to its value (before, after)."""
    (entry,) = record_all(action, entries=[Change(subject, changes)], actor=actor, at=at)
    return entry


def record_all(action: str, *, entries: Iterable[Change], actor: Actor, at: datetime) -> list[AuditEntry]:
    """Add an entry for each of many rows, in one statement for each thousand."""
    assert transaction.get_connection().in_atomic_block, (
        "An audit entry shares the transaction of its change."
    )
    rows = [
        AuditEntry(
            action=action,
            subject_type=entry.subject._meta.label,
            subject_id=str(entry.subject.pk),
            customer_id=getattr(entry.subject, "customer_id", None),
            changes={
                name: [to_plain(before, name=name), to_plain(after, name=name)]
                for name, (before, after) in entry.changes.items()
            },
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_label=actor.label[:_MAX_LABEL_LENGTH],
            reason=actor.reason,
            request_id=actor.request_id,
            occurred_at=at,
        )
        for entry in entries
    ]
    return AuditEntry.objects.bulk_create(rows, batch_size=_BATCH_SIZE)


def set_fields(row: models.Model, values: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """Set attributes of a row that are different, without saving it, and return what has changed.

    An operation that edits goes on with `row.save(update_fields=changes)` and `record`.
    """
    changes: dict[str, tuple[object, object]] = {}
    for name, value in values.items():
        before = getattr(row, name)
        if before != value:
            setattr(row, name, value)
            changes[name] = (before, value)
    return changes


def made(row: models.Model, *names: str) -> dict[str, tuple[object, object]]:
    """Describe a new row for `record`: each named field was nothing before."""
    return {name: (None, getattr(row, name)) for name in names}
