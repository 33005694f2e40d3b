"""Makers of what can be archived, and of archives."""

from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from metering.archiving.operations import begin_archive, record_verified
from metering.archiving.role import ArchiverRefused, set_up_archiver
from metering.archiving.running import archive_next, remove_archived, write_archive
from metering.models import ArchiveFormat, EventArchive
from subscriptions.models import Period, Subscription
from subscriptions.operations import settle_period
from tests.factories.core import NOON, TESTER
from tests.factories.metering import close, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe, utc

# When the first period of a monthly subscription that began at noon has ended, and is settled.
LATER = utc(2026, 4, 10)


def make_role() -> None:
    """Make the role that may remove events: one for all test databases of the server."""
    try:
        set_up_archiver()
    except ArchiverRefused:  # Another worker was making it at the same moment.
        set_up_archiver()


def settle(subscription: Subscription, number: int = 0, *, at: datetime = LATER) -> Period:
    """Close a period, and say that all it owes is on final invoices."""
    period = close(subscription, number, at=at)
    with transaction.atomic():
        return settle_period(period_id=period.pk, at=at, actor=TESTER)


def make_settled(*events: dict[str, Any], count: int = 3, **terms: Any) -> Subscription:
    """Make a subscription with some events in its first period, which is settled."""
    subscription = subscribe(plan=make_metered_plan(), **terms)
    owner = {"customer_id": subscription.customer_id, "subscription_id": subscription.pk}
    ingest(*[{**event, **owner} for event in events or [write_event(subscription) for _ in range(count)]])
    settle(subscription)
    return subscription


def begin(*, ended_by: datetime = LATER) -> EventArchive:
    """Begin an archive."""
    return begin_archive(ended_by=ended_by, archive_format=ArchiveFormat.JSON_LINES, at=NOON, actor=TESTER)


def write(archive: EventArchive, folder: Path) -> EventArchive:
    """Write the files of an archive that was begun, and record that they are right."""
    return record_verified(
        archive_id=archive.pk, written=write_archive(archive, folder), at=NOON, actor=TESTER
    )


def remove(archive: EventArchive, folder: Path) -> EventArchive:
    """Remove what an archive holds."""
    return remove_archived(archive, folder=folder, read_now=lambda: NOON, actor=TESTER)


def archive_all(folder: Path, *, ended_by: datetime = LATER) -> EventArchive:
    """Make an archive, from beginning to end."""
    return archive_next(
        ended_by=ended_by,
        archive_format=ArchiveFormat.JSON_LINES,
        folder=folder,
        read_now=lambda: NOON,
        actor=TESTER,
    )


def run(sql: str, *parameters: object) -> int:
    """Run SQL, and tell how many rows it was about."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)
