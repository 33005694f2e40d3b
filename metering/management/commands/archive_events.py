"""`manage.py archive_events --before DATE`: move the events of old, settled periods into files."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.errors import BillingError
from metering.archiving.operations import NothingToArchive
from metering.archiving.queries import measure_archivable
from metering.archiving.rows import DamagedArchive
from metering.archiving.running import archive_next, archiving_alone
from metering.conf import read_archive_folder
from metering.models import ArchiveFormat
from metering.queries.archives import find_unfinished_archive

ACTOR = Actor.command("archive_events")

# The names of formats on the command line.
FORMATS = {"jsonl": ArchiveFormat.JSON_LINES, "parquet": ArchiveFormat.PARQUET}


class Command(BaseCommand):
    """Archive one file after the other until nothing is left."""

    help = (
        "Move the events of settled periods that ended before a date into files, and verify these before "
        "anything is removed. Usage, invoices and the ids of the events stay. What was stopped goes on where "
        "it was."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--before",
            required=True,
            type=_read_date,
            metavar="DATE",
            help="archive periods that had ended when this day (in UTC) began, as in 2025-01-01",
        )
        parser.add_argument("--format", choices=FORMATS, default="jsonl", help="default: %(default)s")
        parser.add_argument(
            "--to",
            dest="folder",
            type=Path,
            metavar="FOLDER",
            help="where to put the files (default: the setting)",
        )
        parser.add_argument("--dry-run", action="store_true", help="only tell how much there is to archive")

    def handle(self, *_: object, before: datetime, **options: Any) -> None:
        """Run the command."""
        folder = options["folder"] or read_archive_folder()
        if options["dry_run"]:
            found = measure_archivable(ended_by=before)
            self.stdout.write(
                f"{found.event_count} events in {found.segment_count} segments of {found.customer_count} "
                "customers would be archived."
            )
            return
        try:
            with archiving_alone():
                self._archive(before, FORMATS[options["format"]], folder)
        except (BillingError, DamagedArchive, OSError) as error:
            raise CommandError(str(error)) from error

    def _archive(self, ended_by: datetime, archive_format: ArchiveFormat, folder: Path) -> None:
        unfinished = find_unfinished_archive()
        if unfinished is not None:
            self.stdout.write(f"Going on with {unfinished}.")
        while True:
            try:
                archive = archive_next(
                    ended_by=ended_by,
                    archive_format=archive_format,
                    folder=folder,
                    read_now=clock.now,
                    actor=ACTOR,
                )
            except NothingToArchive as nothing:
                self.stdout.write(f"Done. {nothing}")
                return
            self.stdout.write(f"{archive.event_count} events are in {folder / archive.file_name}.")


def _read_date(text: str) -> datetime:
    """Read a day from the command line; argparse shows the sentence of the error."""
    day = datetime.fromisoformat(text)
    if day.time() != datetime.min.time() or day.tzinfo is not None:
        raise ValueError("a day is written as in 2025-01-01")
    return day.replace(tzinfo=UTC)
