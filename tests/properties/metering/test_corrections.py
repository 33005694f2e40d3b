"""Events that were taken back have left nothing, whichever they are, and whatever came in between."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.models import Aggregation
from metering.models import EventVoid, UsageRollup, UsageValue
from subscriptions.models import Subscription
from tests.factories.corrections import void_all
from tests.factories.metering import ingest
from tests.factories.subscriptions import find_breaches
from tests.properties.metering.test_rollups import (
    AT,
    SENT,
    Sent,
    check,
    draw_batches,
    make_subscription,
    write_uploads,
)

pytestmark = pytest.mark.django_db


def turn_stripes(subscription: Subscription, number: int) -> None:
    """Have what is rolled up so far be the stripes of other connections."""
    with connection.cursor() as cursor:
        for table in ("metering_usagerollup", "metering_usagevalue"):
            cursor.execute(
                f"UPDATE {table} SET stripe = stripe + %s WHERE stripe < 8 AND customer_id = %s",
                [8 * (number + 1), subscription.customer_id],
            )


def draw_some(data: st.DataObject, events: Sequence[dict[str, Any]]) -> list[str]:
    """Draw the ids of some events, none perhaps."""
    ids = [event["id"] for event in events]
    return data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []


class TestVoidEvents:
    @settings(max_examples=8, deadline=None)
    @given(
        sent=st.lists(SENT, min_size=1, max_size=25),
        timezone=st.sampled_from(["UTC", "Asia/Kathmandu", "Australia/Lord_Howe"]),
        data=st.data(),
    )
    def test_leave_what_the_others_come_to(
        self, sent: list[Sent], timezone: str, data: st.DataObject
    ) -> None:
        subscription = make_subscription(timezone)
        stored: dict[str, dict[str, Any]] = {}
        voided: set[str] = set()
        for number, batch in enumerate(draw_batches(data, write_uploads(subscription, sent))):
            ingest(*batch, at=AT + timedelta(hours=1))
            turn_stripes(subscription, number)
            stored |= {event["id"]: event for event in batch}
            gone = draw_some(data, [event for key, event in stored.items() if key not in voided])
            if gone:
                assert void_all(subscription, event_ids=tuple(gone)).event_count == len(gone)
                voided |= set(gone)

        found = check(subscription)

        assert EventVoid.objects.filter(customer_id=subscription.customer_id).count() == len(voided)
        assert sum(accumulator.event_count for accumulator in found.values()) == (
            2 * (len(sent) - len(voided)) * len(Aggregation.values)
        )
        assert not UsageRollup.objects.filter(event_count__lt=0).exists()
        assert not UsageValue.objects.filter(event_count__lt=0).exists()
        assert find_breaches() == []
