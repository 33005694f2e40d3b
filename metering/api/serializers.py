"""What the API shows of events, and how they look on their way in.

The inputs only describe: a serializer for each event would cost more than all the rest of ingest, so that is
read by `metering.ingest.decoding`, which keeps to what is written here.
"""

from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from rest_framework import serializers

from billing_project.core.api.fields import UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer
from metering.ingest.decoding import MAX_ID_LENGTH, MAX_PROPERTIES_BYTES, MAX_TYPE_LENGTH
from metering.ingest.incoming import RefusalCode
from metering.queries import EventDetails


class EventInput(InputSerializer):
    """A usage event."""

    id = serializers.CharField(
        min_length=1,
        max_length=MAX_ID_LENGTH,
        help_text="Yours. Sent again, it counts once.",
    )
    event_type = serializers.CharField(min_length=1, max_length=MAX_TYPE_LENGTH)
    customer_id = serializers.UUIDField()
    subscription_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="May be left out if one of the customer's subscriptions charges for such events.",
    )
    timestamp = UtcDateTimeField(help_text="When it happened: not more than an hour from now.")
    properties = serializers.DictField(
        required=False, help_text=f"What it is about; at most {MAX_PROPERTIES_BYTES} bytes of JSON."
    )


class EventBatchInput(InputSerializer):
    """Up to 1,000 events, unless the install allows more."""

    events = EventInput(many=True)


class EventReceiptSerializer(serializers.Serializer[Any]):
    """What became of an event."""

    accepted = serializers.BooleanField(help_text="It is stored; always true here.")
    event_id = serializers.CharField()
    duplicate = serializers.BooleanField(help_text="It was stored before.")


class EventRefusalSerializer(serializers.Serializer[Any]):
    """Why an event was refused."""

    index = serializers.IntegerField(help_text="Its place in the batch, from 0.")
    id = serializers.CharField(allow_null=True, help_text="Null if it could not be read.")
    code = serializers.ChoiceField(choices=[code.value for code in RefusalCode])
    detail = serializers.CharField()


class EventBatchReportSerializer(serializers.Serializer[Any]):
    """What became of a batch: each event is accepted, a duplicate or rejected."""

    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    errors = EventRefusalSerializer(many=True)  # type: ignore[assignment] # A field, not the property.


class EventQuery(InputSerializer):
    """Which customer's event is asked for: ids are theirs."""

    customer_id = serializers.UUIDField()


class UsageEventSerializer(serializers.Serializer[EventDetails]):
    """An event as it was sent, and how it was matched. Without a segment it is not counted."""

    id = serializers.CharField(source="event.event_id")
    event_type = serializers.CharField(source="event.event_type")
    customer_id = serializers.UUIDField(source="event.customer_id")
    subscription_id = serializers.UUIDField(source="event.subscription_id", allow_null=True)
    timestamp = UtcDateTimeField(source="event.timestamp")
    properties = serializers.DictField(source="event.properties")
    received_at = UtcDateTimeField(source="event.received_at")
    segment_id = serializers.UUIDField(source="event.segment_id", allow_null=True)
    period_id = serializers.UUIDField(source="period.id", allow_null=True)
    period_number = serializers.IntegerField(source="period.number", allow_null=True)
    period_start = UtcDateTimeField(source="period.starts_at", allow_null=True)
    period_end = UtcDateTimeField(source="period.ends_at", allow_null=True)
    period_closed_at = UtcDateTimeField(
        source="period.closed_at", allow_null=True, help_text="Null while events can enter it."
    )
    billed_at = UtcDateTimeField(
        source="event.billed_at", allow_null=True, help_text="The instant it counts at, within its period."
    )
    is_late = serializers.BooleanField(
        source="event.is_late", help_text="The period of its own time was closed when it came."
    )
    is_void = serializers.BooleanField(help_text="It was taken back, and counts no more.")
    ingest_notes = serializers.SerializerMethodField(
        help_text="Path and query of the notes on this id: when it was sent again, or refused."
    )

    def get_ingest_notes(self, details: EventDetails) -> str:
        """Write where the notes are on events that were sent under this id and not stored."""
        query = urlencode({"customer_id": str(details.event.customer_id), "event_id": details.event.event_id})
        return f"{reverse('v1-ingest-notes-list')}?{query}"
