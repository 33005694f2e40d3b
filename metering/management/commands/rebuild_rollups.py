"""`manage.py rebuild_rollups`: make rollups say what the stored events add up to."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.contention import is_contention
from billing_project.core.snapshots import reading_snapshot
from customers.models import Customer
from metering.aggregation.rules import MeterRule
from metering.operations import remove_strays, repair_stretch
from metering.queries.rebuilding import RebuildScope, count_strays, list_active_rules, select_rebuildable
from metering.recounting import Stretch, compare, iterate_stretches
from subscriptions.models import Segment, Subscription

ACTOR = Actor.command("rebuild_rollups")
MAX_TRIES = 20
SEGMENTS_PER_READ = 500
SCOPES: dict[str, Any] = {"customer": Customer, "subscription": Subscription, "segment": Segment}


class Command(BaseCommand):
    """Go through segments, compare their rollups with their events, and put right what differs."""

    help = (
        "Compare rollups with the events that they are made of, and make those anew that differ. Safe at any "
        "time: ingest for a subscription waits while a part of it is counted. What archived meters say is "
        "left as it is. Exit code 1 with --check: something differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        scope = parser.add_mutually_exclusive_group()
        for name in SCOPES:
            scope.add_argument(f"--{name}", type=UUID, metavar="ID", help=f"only the usage of this {name}")
        parser.add_argument("--meter", metavar="CODE", help="only this meter")
        parser.add_argument("--check", action="store_true", help="compare, and change nothing")

    def handle(self, *_: object, meter: str | None, check: bool, **options: Any) -> None:
        """Run the command."""
        scope = _read_scope({name: options[name] for name in SCOPES})
        rules = list_active_rules(code=meter)
        if meter is not None and not rules:
            raise CommandError(f"There is no active meter {meter!r}.")
        wrong_count = self._go_through(scope, rules, is_check=check)
        if meter is None:
            wrong_count += _handle_strays(scope, is_check=check)
        if not wrong_count:
            self.stdout.write("Rollups equal what their events add up to.")
        elif check:
            raise CommandError(f"{wrong_count:,} rollups are wrong.", returncode=1)
        else:
            self.stdout.write(f"{wrong_count:,} rollups were wrong, and are right now.")

    def _go_through(self, scope: RebuildScope, rules: Sequence[MeterRule], *, is_check: bool) -> int:
        """Compare or repair segment after segment; return how many rollups were wrong."""
        wrong_count = 0
        segments = select_rebuildable(scope)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("Segments", total=segments.count())
            for segment in segments.iterator(chunk_size=SEGMENTS_PER_READ):
                found = sum(
                    _count_wrong(segment, stretch, rules) if is_check else _repair(segment, stretch, rules)
                    for stretch in iterate_stretches(segment)
                )
                if found:
                    self.stdout.write(f"Segment {segment.pk}: {found:,} wrong.")
                wrong_count += found
                progress.advance(task)
        return wrong_count


def _read_scope(given: dict[str, UUID | None]) -> RebuildScope:
    for name, row_id in given.items():
        if row_id is not None and not SCOPES[name].objects.filter(pk=row_id).exists():
            raise CommandError(f"There is no {name} {row_id}.")
    return RebuildScope(**{f"{name}_id": row_id for name, row_id in given.items()})


def _handle_strays(scope: RebuildScope, *, is_check: bool) -> int:
    if is_check:
        return sum(count_strays(scope).values())
    return remove_strays(scope=scope, at=clock.now(), actor=ACTOR)


def _count_wrong(segment: Segment, stretch: Stretch, rules: Sequence[MeterRule]) -> int:
    with reading_snapshot():  # Ingest goes on meanwhile.
        return len(compare(segment, stretch=stretch, rules=rules).wrong)


def _repair(segment: Segment, stretch: Stretch, rules: Sequence[MeterRule]) -> int:
    """Repair a stretch, if need be after those who hold its slot for long."""
    try_count = 0
    while True:
        try:
            return repair_stretch(
                segment_id=segment.pk, stretch=stretch, rules=rules, at=clock.now(), actor=ACTOR
            )
        except DatabaseError as error:
            try_count += 1
            if try_count == MAX_TRIES or not is_contention(error):
                raise
