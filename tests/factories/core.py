"""Makers of what core's tests, and everybody's API tests, need."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core import events
from billing_project.core.access.operations import NewApiKey, create_api_key
from billing_project.core.actors import Actor
from billing_project.core.events import Handler
from billing_project.core.models import ApiKeyKind, ApiKeyRole, Seller
from billing_project.core.outbox import deliver_due
from billing_project.core.seller import set_up_seller

NOON = datetime(2026, 2, 28, 12, 0, tzinfo=UTC)
LONG_AFTER = datetime(2100, 1, 1, tzinfo=UTC)
TESTER = Actor.system("tests")


def make_api_key(
    *,
    name: str = "A key",
    kind: ApiKeyKind = ApiKeyKind.SECRET,
    role: ApiKeyRole | None = ApiKeyRole.ADMIN,
    **rest: Any,
) -> NewApiKey:
    """Make an API key; an Admin's, unless something else is asked for."""
    role = role if kind == ApiKeyKind.SECRET else None
    return create_api_key(name=name, kind=kind, role=role, at=NOON, actor=TESTER, **rest)


def make_client(**key: Any) -> APIClient:
    """Make a client of the API that sends a new key; the arguments are those of `make_api_key`."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_api_key(**key).token}")
    return client


def make_seller(*, legal_name: str = "Seller Ltd", currency: str = "USD") -> Seller:
    """Set up the seller."""
    return set_up_seller(legal_name=legal_name, currency=currency, at=NOON, actor=TESTER)


@contextmanager
def subscribed(name: str, handler: Handler, *, key: str) -> Iterator[None]:
    """Subscribe a handler to an event for the length of a test."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(events, "_subscriptions", {**events._subscriptions, name: {}})
        events.subscribe(name, handler, key=key)
        yield


def drain_outbox(*, at: datetime = LONG_AFTER) -> int:
    """Hand over every event that waits, and return how many deliveries were claimed."""
    total = 0
    while claimed := deliver_due(at=at):
        total += claimed
    return total
