"""The moves that fills and archives may make. Operations check these tables after locking the row."""

from collections.abc import Mapping

from metering.models.archives import ArchiveStatus
from metering.models.fills import FillStatus as Status

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING, Status.COMPLETED}),
    Status.RUNNING: frozenset({Status.COMPLETED}),
    Status.COMPLETED: frozenset(),
}

ARCHIVE_TRANSITIONS: Mapping[ArchiveStatus, frozenset[ArchiveStatus]] = {
    ArchiveStatus.WRITING: frozenset({ArchiveStatus.VERIFIED}),
    ArchiveStatus.VERIFIED: frozenset({ArchiveStatus.REMOVED}),
    ArchiveStatus.REMOVED: frozenset(),
}
