"""What the API shows of a single event: how it was matched, what it adds, and where that was billed."""

from rest_framework import serializers

from billing_project.core.access.scopes import Scope
from billing_project.core.api.fields import QuantityField, UtcDateTimeField
from metering.api.serializers import UsageEventSerializer
from metering.ports import BilledLine, BillingState, LineRole
from metering.queries import MeterTrace, VoidTrace
from subscriptions.models import Period

_STATES = [state.value for state in BillingState]
_STATE_HELP = (
    "Unmatched: it counts for no subscription. NotCounted: it adds nothing. NotCharged: the plan charges for "
    "nothing of that. Upcoming: on the next invoice. Drafted: on a Draft. Billed: on a final invoice. "
    "NothingDue: the period is settled, and nothing was to be paid or given back. Forgiven: its invoice was "
    "called off for good. Voided: taken back before it was billed. CreditDue: taken back after that, and to "
    "be credited. Credited: that has been done."
)


class MissedPeriodSerializer(serializers.Serializer[Period]):
    """The period of an event's own time, which was closed when the event came."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    period_start = UtcDateTimeField(source="starts_at")
    period_end = UtcDateTimeField(source="ends_at")
    closed_at = UtcDateTimeField()


class VoidTraceSerializer(serializers.Serializer[VoidTrace]):
    """That an event was taken back: when, by the customer's clock, why, by whom, and what took its place."""

    correction_id = serializers.UUIDField(source="void.correction_id")
    kind = serializers.CharField(source="void.correction.kind")
    reason = serializers.CharField(source="void.correction.reason")
    voided_at = UtcDateTimeField(source="void.correction.created_at")
    voided_by = serializers.SerializerMethodField(
        help_text="Who it was; null unless the API key may read the audit trail."
    )
    replacement_event_id = serializers.CharField(source="void.replacement_event_id", allow_null=True)

    def get_voided_by(self, trace: VoidTrace) -> str | None:
        """Name whoever it was to those who may know."""
        if trace.entry is None or Scope.AUDIT_READ not in self.context["view"].api_key.granted_scopes:
            return None
        return trace.entry.actor_label or trace.entry.actor_kind


class BilledLineSerializer(serializers.Serializer[BilledLine]):
    """An invoice line that an event is on: it asks for it, or gives back what was asked for."""

    role = serializers.ChoiceField(choices=[role.value for role in LineRole])
    invoice_id = serializers.UUIDField()
    invoice_number = serializers.CharField(allow_null=True, help_text="Null for a Draft.")
    invoice_status = serializers.CharField()
    line_id = serializers.UUIDField()
    description = serializers.CharField()


class MeterTraceSerializer(serializers.Serializer[MeterTrace]):
    """What an event adds to a meter, or has added until it was taken back, and how that is billed."""

    meter_id = serializers.CharField(source="meter.code")
    aggregation = serializers.CharField(source="meter.aggregation")
    unit = serializers.CharField(source="meter.unit")
    is_charged = serializers.BooleanField(help_text="A SKU of the plan version charges for this meter.")
    value = QuantityField(
        source="contribution.value", allow_null=True, help_text="Null where it adds nothing."
    )
    counted_value = serializers.CharField(
        source="contribution.member",
        allow_null=True,
        help_text="Where the meter looks at which values occur.",
    )
    groups = serializers.DictField(
        child=serializers.CharField(allow_null=True),
        allow_null=True,
        help_text="Values of what it groups by.",
    )
    billing_state = serializers.ChoiceField(source="billing.state", choices=_STATES, help_text=_STATE_HELP)
    billing_detail = serializers.CharField(source="billing.detail", help_text="The same in words, with why.")
    lines = BilledLineSerializer(source="billing.lines", many=True)


class UsageEventTraceSerializer(UsageEventSerializer):
    """An event, and what became of it: how it was matched and counted, and where it was billed or why not."""

    missed_period = MissedPeriodSerializer(
        allow_null=True,
        help_text="Why it is late: null unless it is. It is billed in another period, or later.",
    )
    void = VoidTraceSerializer(source="voided", allow_null=True, help_text="Null while it counts.")
    replaces_event_id = serializers.CharField(
        source="replaced_event_id", allow_null=True, help_text="The event that it was put in the place of."
    )
    billing_state = serializers.ChoiceField(
        source="billing.state",
        choices=_STATES,
        help_text=f"Of all meters, what is still to come first. {_STATE_HELP}",
    )
    billing_detail = serializers.CharField(source="billing.detail", help_text="The same in words, with why.")
    meters = MeterTraceSerializer(many=True, help_text="Those of its type; none while it is unmatched.")
