"""Usage events, as they came, with what was decided about them when they came."""

import json
from decimal import Decimal
from typing import Any

from django.db import models

from billing_project.core.ids import make_id


class ExactDecoder(json.JSONDecoder):
    """A reader of JSON in which no number becomes a float."""

    def __init__(self, **options: Any) -> None:
        super().__init__(parse_float=Decimal, **options)


class UsageEvent(models.Model):
    """One usage event. Never edited; only an unmatched event gets its segment later, once.

    The table is hash-partitioned by `customer_id`, its key is (customer_id, event_id), and it has no foreign
    keys: the migration makes it by hand. `uid` is Django's primary key, made in Python; the database knows it
    as a second, non-unique index with the customer, so look events up by (customer_id, uid) or by
    (customer_id, event_id).

    `billed_at` is the later of `timestamp` and its period's start: the instant it counts at. Unmatched events
    have neither segment nor `billed_at`. `is_late` says that the event missed the period it belongs to, which
    was closed. One that is older than its subscription belongs to the first period, and is late only if that
    one is closed. `content_hash` tells a repeat from a conflict.
    """

    uid = models.UUIDField(primary_key=True, default=make_id, editable=False)
    customer_id = models.UUIDField()
    event_id = models.CharField(max_length=255)
    event_type = models.CharField(max_length=200)
    subscription_id = models.UUIDField(null=True)
    segment_id = models.UUIDField(null=True)
    timestamp = models.DateTimeField()
    billed_at = models.DateTimeField(null=True)
    is_late = models.BooleanField(default=False)
    received_at = models.DateTimeField()
    properties = models.JSONField(decoder=ExactDecoder)
    content_hash = models.BinaryField(max_length=16)

    class Meta:
        managed = False
        db_table = "metering_usageevent"

    def __str__(self) -> str:
        return self.event_id

    @property
    def is_matched(self) -> bool:
        """Whether it counts towards a segment, and so can be billed."""
        return self.segment_id is not None
