"""Usage over HTTP: `/v1/subscriptions/{id}/usage`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.fields import QuantityField, UtcDateTimeField, format_instant, format_quantity
from billing_project.core.api.serializers import InputSerializer
from billing_project.core.api.views import ApiViewSet
from metering.api.parameters import ListParameter, NumberParameter, PairsParameter, read_query
from metering.queries import (
    Grouping,
    GroupUsage,
    MeterSummary,
    PeriodName,
    UsageChoice,
    UsageSummary,
    get_subscription_now,
    get_usage_period,
    read_usage_summary,
)
from metering.queries.windows import UsageBucket, read_usage_series, read_window_usage
from metering.windows import (
    HOURS_PER_DAY,
    MAX_WINDOW_COUNT,
    MAX_WINDOW_DAYS,
    MAX_WINDOW_HOURS,
    Granularity,
    InvalidWindow,
    Window,
    WindowKind,
)

EVERY_PROPERTY = ("*",)
MAX_GROUP_PROPERTIES = 10
_LENGTHS = ("hours", "days")


class UsageQuery(InputSerializer):
    """Which usage is asked for: of which period, meters and groups, and how it is laid out in time.

    Lists are parted by commas; a comma, colon or backslash within a name or value has a backslash before it.
    """

    period = serializers.CharField(
        default=PeriodName.CURRENT, help_text="`current`, `previous`, or the id of a period."
    )
    meter_id = ListParameter(
        required=False, help_text="Only these meters of the plan: their codes or UUIDs, parted by commas."
    )
    group_by = ListParameter(
        required=False,
        help_text="Show the groups of meters by these properties, parted by commas. A meter that is grouped "
        "by more has its groups merged; one that lacks a property has no `groups`. `*` stands for all "
        "properties that a meter has.",
    )
    filter_group = PairsParameter(
        required=False,
        help_text="Count only groups with these values: `model:small`, or several pairs parted by commas. A "
        "name alone stands for events without the property. Meters that are not grouped by it are left out.",
    )
    granularity = serializers.ChoiceField(
        choices=[granularity.value for granularity in Granularity],
        required=False,
        help_text="Add `series`: the period by local hour or day, in the time zone of the subscription. The "
        "first and the last may be cut off by the period, and a change of the clock makes one longer or "
        "shorter.",
    )
    window = serializers.ChoiceField(
        choices=[kind.value for kind in WindowKind],
        required=False,
        help_text="Add `windows`, which may reach over several periods. `Tumbling`: the last `count` ones "
        "side by side. Those of up to 24 hours begin at local midnight, and the next midnight cuts the last "
        "one off; longer ones are whole local days, counted on from Monday, 5 January 1970. `Sliding`: the "
        "one that ends now. It is exact, unless its first hour has very many events: then it begins on the "
        "full hour.",
    )
    hours = NumberParameter(
        max_value=MAX_WINDOW_HOURS, required=False, help_text="How many hours a window has, up to 168."
    )
    days = NumberParameter(
        max_value=MAX_WINDOW_DAYS, required=False, help_text="Instead of hours: how many days, up to 31."
    )
    count = NumberParameter(
        max_value=MAX_WINDOW_COUNT,
        required=False,
        help_text="How many tumbling windows, up to 100; 1 unless it is given.",
    )

    def validate_period(self, value: str) -> PeriodName | UUID:
        """Read the name or the id of a period."""
        if value in list(PeriodName):
            return PeriodName(value)
        return serializers.UUIDField().to_internal_value(value)

    def validate_group_by(self, value: tuple[str, ...]) -> tuple[str, ...]:
        """Check that there are no more than a meter can have."""
        if len(value) > MAX_GROUP_PROPERTIES:
            raise serializers.ValidationError(f"Group by at most {MAX_GROUP_PROPERTIES} properties.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read the window, and put what chooses meters and groups together."""
        group_by = attrs.get("group_by", ())
        grouping = Grouping(properties=group_by, only=attrs.get("filter_group", {}))
        if group_by == EVERY_PROPERTY:
            grouping = Grouping(properties=None, only=grouping.only)
        return {
            "period": attrs["period"],
            "choice": UsageChoice(meters=attrs.get("meter_id", ()), grouping=grouping),
            "granularity": Granularity(attrs["granularity"]) if "granularity" in attrs else None,
            "window": self._read_window(attrs),
        }

    def _read_window(self, attrs: Mapping[str, Any]) -> Window | None:
        given = [name for name in (*_LENGTHS, "count") if name in attrs]
        if "window" not in attrs:
            if given:
                refuse(given[0], "This goes with a window.")
            return None
        if "granularity" in attrs:
            refuse("granularity", "Ask for a series or for windows, not for both.")
        if attrs["period"] is not PeriodName.CURRENT:
            refuse("period", "Windows lie around now, whatever the period.")
        if len([name for name in _LENGTHS if name in attrs]) != 1:
            refuse("hours", "Say how long a window is: in hours, or in days.")
        hours = attrs["hours"] if "hours" in attrs else attrs["days"] * HOURS_PER_DAY
        try:
            return Window(kind=WindowKind(attrs["window"]), hours=hours, count=attrs.get("count", 1))
        except InvalidWindow as error:
            refuse("window", str(error))


def refuse(field: str, detail: str) -> NoReturn:
    """Refuse a parameter.

    Raises: rest_framework.exceptions.ValidationError.
    """
    raise serializers.ValidationError({field: [detail]})


class GroupUsageSerializer(serializers.Serializer[GroupUsage]):
    """The usage of one group of a meter."""

    group = serializers.DictField(
        child=serializers.CharField(allow_null=True),
        source="values",
        help_text="The value of each property; null for events that do not have it.",
    )
    value = QuantityField(source="usage.quantity")
    late_value = QuantityField(source="usage.late_quantity", required=False)

    def to_representation(self, instance: GroupUsage) -> dict[str, Any]:
        """Write what there is to say."""
        return write_group_usage(instance)


class MeterUsageSerializer(serializers.Serializer[MeterSummary]):
    """The usage of a meter. What there is nothing to say about is left out: a unit, a late part, groups."""

    meter_id = serializers.CharField(source="meter.code")
    value = QuantityField(
        source="usage.quantity",
        help_text="What it comes to so far. A WeightedSum of a period is, as on a bill, the area under the "
        "level up to now over the time of the whole period; that of a bucket or window is the average level.",
    )
    unit = serializers.CharField(source="meter.unit", required=False)
    late_value = QuantityField(
        source="usage.late_quantity",
        required=False,
        help_text="The part that missed its own period.",
    )
    groups = GroupUsageSerializer(many=True, required=False)

    def to_representation(self, instance: MeterSummary) -> dict[str, Any]:
        """Write what there is to say."""
        return write_meter_usage(instance)


class UsageBucketSerializer(serializers.Serializer[UsageBucket]):
    """The usage in an hour, a day or a window, with the same meters."""

    starts_at = UtcDateTimeField()
    ends_at = UtcDateTimeField()
    meters = MeterUsageSerializer(many=True)

    def to_representation(self, instance: UsageBucket) -> dict[str, Any]:
        """Write the bucket; there may be hundreds."""
        return {
            "starts_at": format_instant(instance.starts_at),
            "ends_at": format_instant(instance.ends_at),
            "meters": [write_meter_usage(item) for item in instance.meters],
        }


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    """All that was asked for: the usage of a period, and how it is spread over time."""

    summary: UsageSummary
    series: tuple[UsageBucket, ...] | None
    windows: tuple[UsageBucket, ...] | None


class UsageSerializer(serializers.Serializer[UsageAnswer]):
    """The usage of a subscription in a period, with every meter of its plan."""

    period_id = serializers.UUIDField(source="summary.period.id")
    period_start = UtcDateTimeField(source="summary.period.starts_at")
    period_end = UtcDateTimeField(source="summary.period.ends_at")
    meters = MeterUsageSerializer(many=True, source="summary.meters")
    series = UsageBucketSerializer(
        many=True, required=False, help_text="With `granularity`: the hours or days of the period, in order."
    )
    windows = UsageBucketSerializer(
        many=True, required=False, help_text="With `window`: in order; the last one is that of now."
    )

    def to_representation(self, instance: UsageAnswer) -> dict[str, Any]:
        """Write what was asked for."""
        shown = super().to_representation(instance)
        return {name: value for name, value in shown.items() if value is not None}


class UsageViewSet(ApiViewSet):
    """What a subscription has used."""

    serializer_class = UsageSerializer
    access = Access(read=Scope.METERING_READ)
    query_params = {
        "retrieve": {
            "period",
            "meter_id",
            "group_by",
            "filter_group",
            "granularity",
            "window",
            "hours",
            "days",
            "count",
        }
    }

    @extend_schema(parameters=[UsageQuery])
    def retrieve(self, request: Request, id: UUID) -> Response:  # noqa: A002 (the name in the path)
        """Show what a subscription has used in a period, by meter, up to the last event that was answered.

        Besides, by group; and over time, in the hours or days of the period, or in windows around now.
        """
        query = read_query(UsageQuery, request)
        subscription, at = get_subscription_now(subscription_id=id, real_now=self.at)
        period = get_usage_period(subscription_id=id, which=query["period"], at=at)
        choice, granularity, window = query["choice"], query["granularity"], query["window"]
        series = windows = None
        if granularity is not None:
            series = read_usage_series(
                subscription=subscription, period=period, granularity=granularity, at=at, choice=choice
            )
        if window is not None:
            windows = read_window_usage(subscription=subscription, window=window, at=at, choice=choice)
        summary = read_usage_summary(subscription=subscription, period=period, at=at, choice=choice)
        return self.respond(UsageAnswer(summary, series, windows))


def write_meter_usage(summary: MeterSummary) -> dict[str, Any]:
    """Write the usage of a meter."""
    shown: dict[str, Any] = {
        "meter_id": summary.meter.code,
        "value": format_quantity(summary.usage.quantity),
    }
    if summary.meter.unit:
        shown["unit"] = summary.meter.unit
    if summary.usage.late_quantity:
        shown["late_value"] = format_quantity(summary.usage.late_quantity)
    if summary.groups is not None:
        shown["groups"] = [write_group_usage(group) for group in summary.groups]
    return shown


def write_group_usage(group: GroupUsage) -> dict[str, Any]:
    """Write the usage of a group."""
    shown = {"group": dict(group.values), "value": format_quantity(group.usage.quantity)}
    if group.usage.late_quantity:
        shown["late_value"] = format_quantity(group.usage.late_quantity)
    return shown
