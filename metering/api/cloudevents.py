"""CloudEvents over HTTP: which requests carry them, and whom they are about."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rest_framework import serializers
from rest_framework.request import Request

from billing_project.core.api.fields import UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer
from customers.queries import find_customers
from metering.api.formats import read_body
from metering.conf import read_batch_limit
from metering.ingest.cloudevents import (
    BATCH_TYPE,
    SPEC_VERSION,
    STRUCTURED_TYPE,
    VERSION_HEADER,
    Addressee,
    CloudEvent,
    decode_binary,
    decode_cloud_batch,
    decode_structured,
    list_subjects,
    make_usage_events,
)
from metering.ingest.decoding import MAX_TYPE_LENGTH
from metering.ingest.incoming import IncomingEvent, Refusal, RefusalCode

# Which attribute a refusal is about, where it is about one.
CLOUD_FIELDS: Mapping[RefusalCode, str] = {
    RefusalCode.UNKNOWN_CUSTOMER: "subject",
    RefusalCode.CUSTOMER_CLOSED: "subject",
    RefusalCode.TIMESTAMP_IN_FUTURE: "time",
    RefusalCode.UNKNOWN_SUBSCRIPTION: "subscriptionid",
    RefusalCode.AMBIGUOUS_SUBSCRIPTION: "subscriptionid",
    RefusalCode.SUBSCRIPTION_ENDED: "time",
    RefusalCode.INVALID_VALUE: "data",
    RefusalCode.CONFLICT: "id",
}


class CloudEventInput(InputSerializer):
    """A CloudEvent 1.0. Other attributes are allowed, and not kept."""

    specversion = serializers.ChoiceField(choices=[SPEC_VERSION])
    id = serializers.CharField(help_text="With the source, what counts once: the event's id is `source#id`.")
    source = serializers.CharField()  # type: ignore[assignment] # A field, not the property.
    type = serializers.CharField(max_length=MAX_TYPE_LENGTH, help_text="The event type.")
    subject = serializers.CharField(help_text="The customer, by id or external id.")
    time = UtcDateTimeField(required=False, help_text="The timestamp; without one, when it comes.")
    subscriptionid = serializers.UUIDField(required=False, help_text="An extension: the subscription.")
    datacontenttype = serializers.CharField(required=False, help_text="JSON.")
    data = serializers.DictField(  # type: ignore[assignment] # A field, not the property.
        required=False, help_text="The properties."
    )


def read_cloud_events(request: Request) -> list[CloudEvent | Refusal] | None:
    """Read the CloudEvents of a request, in whichever mode; None if it carries something else.

    Raises: NotJson; NotABatch; TooManyEvents.
    """
    content_type = content_type_of(request)
    if content_type == BATCH_TYPE:
        return decode_cloud_batch(read_body(request), limit=read_batch_limit())
    if content_type == STRUCTURED_TYPE:
        return [decode_structured(read_body(request))]
    if VERSION_HEADER in request.headers:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return [decode_binary(headers, read_body(request))]
    return None


def address_cloud_events(
    events: Sequence[CloudEvent | Refusal], *, at: datetime
) -> list[IncomingEvent | Refusal]:
    """Find the customers whom CloudEvents are about, in one query, and make usage events of them."""
    addressees = {
        subject: Addressee(customer.pk, at if customer.test_clock is None else customer.test_clock.now_at)
        for subject, customer in find_customers(list_subjects(events)).items()
    }
    return make_usage_events(events, addressees=addressees)


def content_type_of(request: Request) -> str:
    """Return the type of the body, without its parameters."""
    return (request.content_type or "").partition(";")[0].strip().lower()
