"""Identifiers: UUIDv7, which sort by the time they were made, so that new rows lie together in an index."""

from uuid import UUID

import uuid_utils.compat


def make_id() -> UUID:
    """Make a new UUIDv7 (RFC 9562)."""
    return uuid_utils.compat.uuid7()
