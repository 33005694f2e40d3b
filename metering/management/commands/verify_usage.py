"""`manage.py verify_usage SUBSCRIPTION PERIOD`: explain the usage of a period down to its events."""

import csv
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.core.management.base import BaseCommand, CommandError

from billing_project.core import clock
from billing_project.core.errors import BillingError
from billing_project.core.money import format_quantity
from billing_project.core.snapshots import reading_snapshot
from customers.queries import now_for
from metering.queries import MeterUsage, PeriodName, get_usage_period
from metering.queries.contributions import write_filter
from metering.verification import ExplainedEvent, VerifiedUsage, explain_events, verify_usage
from subscriptions.models import Period
from subscriptions.queries import get_subscription

COLUMNS = (
    "event_id",
    "event_type",
    "timestamp",
    "billed_at",
    "received_at",
    "is_late",
    "segment_id",
    "meter",
    "groups",
    "value",
    "counted_value",
    "reason",
)
SHOWN_GROUPS = 50
SHOWN_ROLLUPS = 20

Row = Mapping[str, object]
Write = Callable[[Row], object]

_JSON = msgspec.json.Encoder(decimal_format="string")


class Command(BaseCommand):
    """Compute each number of a period from rollups and from events, and compare the two."""

    help = (
        "Show how each number of a period comes about: the rule of each meter, how many events count, what "
        "the rollups say, and what the stored events add up to. Reads only. Exit code 1 if the two differ."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("subscription", type=UUID, metavar="SUBSCRIPTION", help="its id")
        parser.add_argument(
            "period", type=_read_period, metavar="PERIOD", help="its id or number, current or previous"
        )
        parser.add_argument(
            "--events",
            type=Path,
            metavar="FILE",
            help="write each event with what it adds, or why not, as CSV, or as JSON lines if called .jsonl",
        )

    def handle(
        self,
        *_: object,
        subscription: UUID,
        period: PeriodName | UUID | int,
        events: Path | None,
        **__: Any,
    ) -> None:
        """Run the command."""
        try:
            with reading_snapshot():  # Ingest goes on meanwhile.
                found = self._verify(subscription, period, events)
        except BillingError as error:
            raise CommandError(error.detail, returncode=2) from None
        except OSError as error:
            raise CommandError(f"{events} cannot be written: {error.strerror}.", returncode=2) from None
        wrong_count = sum(not usage.is_right for usage in found)
        if wrong_count:
            message = f"{wrong_count} of {len(found)} numbers are not what the events add up to."
            raise CommandError(f"{message} `rebuild_rollups` makes them right.", returncode=1)
        self.stdout.write(f"All {len(found)} numbers are what the events add up to.")

    def _verify(
        self, subscription_id: UUID, which: PeriodName | UUID | int, events: Path | None
    ) -> tuple[VerifiedUsage, ...]:
        subscription = get_subscription(subscription_id)
        at = now_for(customer_id=subscription.customer_id, real_now=clock.now())
        period = get_usage_period(subscription_id=subscription_id, which=which, at=at)
        self.stdout.write(f"Subscription {subscription}, {_describe_period(period)}")
        found = verify_usage(subscription=subscription, period=period, at=at)
        segment_id = None
        for usage in found:
            if usage.segment.pk != segment_id:
                segment_id = usage.segment.pk
                times = f"{usage.segment.starts_at:%F %H:%M} to {usage.segment.ends_at:%F %H:%M} UTC"
                self.stdout.write(f"\nSegment {segment_id}: {times}, {usage.segment.plan_version}")
            self._describe(usage)
        self.stdout.write("")
        if events is not None:
            count = _write_events(explain_events(subscription=subscription, period=period), events)
            self.stdout.write(f"{count:,} rows about events are in {events}.")
        return found

    def _describe(self, usage: VerifiedUsage) -> None:
        """Write how a number comes about."""
        mark = self.style.SUCCESS("equal") if usage.is_right else self.style.ERROR("DIFFERENT")
        lines = [
            f"  {usage.meter.code}: {_describe_rule(usage)}",
            *(f"    only if {write_filter(condition)}" for condition in usage.rule.filters),
            f"    rollups: {_describe_usage(usage.rolled_up)}",
            f"    events:  {_describe_usage(usage.recounted)}  {mark}",
        ]
        for group in usage.groups[:SHOWN_GROUPS]:
            named = ", ".join(f"{name}={value or '(none)'}" for name, value in group.values.items())
            lines.append(f"      {named}: {_describe_usage(group.usage)}")
        if len(usage.groups) > SHOWN_GROUPS:
            lines.append(f"      and {len(usage.groups) - SHOWN_GROUPS:,} more groups")
        for key in usage.wrong[:SHOWN_ROLLUPS]:
            group_name = f", group {key.group_key}" if key.group_key else ""
            lines.append(f"    wrong: the rollup of {key.hour_at:%F %H:%M} UTC{group_name}")
        if len(usage.wrong) > SHOWN_ROLLUPS:
            lines.append(f"    and {len(usage.wrong) - SHOWN_ROLLUPS:,} more rollups")
        self.stdout.write("\n".join(lines))


def _read_period(text: str) -> PeriodName | UUID | int:
    """Read which period is meant."""
    if text in list(PeriodName):
        return PeriodName(text)
    if text.isdecimal() and len(text) < 10:
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"not a period: {text!r}") from None


def _describe_period(period: Period) -> str:
    state = "open" if period.is_open else f"closed at {period.closed_at:%F %H:%M} UTC"
    times = f"{period.starts_at:%F %H:%M} to {period.ends_at:%F %H:%M} UTC"
    return f"period {period.number} ({period.pk}): {times}, {period.timezone}, {state}"


def _describe_rule(usage: VerifiedUsage) -> str:
    meter = usage.meter
    aggregation = f"{meter.aggregation} {meter.percentile:f}" if meter.percentile else meter.aggregation
    of = f" of {meter.property}" if meter.property else ""
    by = f", by {', '.join(meter.group_by)}" if meter.group_by else ""
    over = ", carried over" if meter.carries_over else ""
    return f"{aggregation}{of} in {meter.event_type}{by}{over}"


def _describe_usage(usage: MeterUsage) -> str:
    late = f", of it late {format_quantity(usage.late_quantity)}" if usage.late_quantity else ""
    return f"{format_quantity(usage.quantity)} from {usage.event_count:,} events{late}"


def _write_events(explained: Iterable[ExplainedEvent], path: Path) -> int:
    """Write events with what they add; return how many rows."""
    count = 0
    with _opening(path) as write:
        for item in explained:
            write(_make_row(item))
            count += 1
    return count


@contextmanager
def _opening(path: Path) -> Iterator[Write]:
    """Open a file for rows, in the format that its name tells."""
    if path.suffix == ".jsonl":
        with path.open("wb") as lines:
            yield lambda row: lines.write(_JSON.encode(row) + b"\n")
    else:
        with path.open("w", newline="", encoding="utf-8") as sheet:
            writer = csv.DictWriter(sheet, COLUMNS)
            writer.writeheader()
            yield lambda row: writer.writerow({name: _write_cell(value) for name, value in row.items()})


def _make_row(item: ExplainedEvent) -> Row:
    event, contribution = item.event, item.contribution
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "timestamp": event.timestamp,
        "billed_at": event.billed_at,
        "received_at": event.received_at,
        "is_late": event.is_late,
        "segment_id": event.segment_id,
        "meter": None if item.meter is None else item.meter.code,
        "groups": item.groups,
        "value": None if contribution is None else contribution.value,
        "counted_value": None if contribution is None else contribution.member,
        "reason": item.reason,
    }


def _write_cell(value: object) -> object:
    """Write a value for a table: numbers, times and nested values as in JSON, but for their quotes."""
    if value is None or isinstance(value, str):
        return value
    return _JSON.encode(value).decode().strip('"')
