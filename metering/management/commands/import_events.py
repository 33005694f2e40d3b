"""`manage.py import_events FILE...`: take usage events in from files, by the rules of ingest."""

import sys
import time
from argparse import ArgumentParser
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.errors import BillingError
from metering.conf import MAX_IMPORT_CHUNK, MAX_IMPORT_PROCESSES, read_import_chunk, read_import_processes
from metering.importing.formats import UnusableFile
from metering.importing.locks import holding_file
from metering.importing.operations import finish_import, start_import
from metering.importing.progress import is_line_reached
from metering.importing.queries import find_import, get_import, read_progress
from metering.importing.records import DamagedStream
from metering.importing.refusals import find_report, prepare_report, remove_if_empty
from metering.importing.running import ChunkImport, list_open_lines, run_import
from metering.importing.sources import (
    STANDARD_INPUT,
    FileIdentity,
    Source,
    identify,
    identify_stream,
    opening_source,
)
from metering.importing.workers import WorkFailed
from metering.models import EventImport, ImportFormat

ACTOR = Actor.command("import_events")
EXIT_REFUSED, EXIT_UNUSABLE, EXIT_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

# The names of formats on the command line.
FORMATS = {
    "jsonl": ImportFormat.JSON_LINES,
    "csv": ImportFormat.CSV,
    "parquet": ImportFormat.PARQUET,
}


class Command(BaseCommand):
    """Import files of events, one after the other; each goes on where it stopped before."""

    help = (
        "Import usage events from files of JSON lines, CSV (both also gzipped) or Parquet. The rules are "
        "those of the API: an id counts once, and each line is accepted, a duplicate or refused by itself. "
        "A file that was stopped goes on where it was; one that is done is not read again. Exit code 1: some "
        "lines were refused, and are in the report; 2: a file is not usable, or not to its end; 3: it failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or - for standard input")
        parser.add_argument(
            "--format",
            choices=FORMATS,
            help="what the files hold, if their names do not tell (default: jsonl)",
        )
        parser.add_argument(
            "--refused",
            type=Path,
            metavar="REPORT",
            help="where to write what is refused, as JSON lines (default: next to the file)",
        )
        parser.add_argument(
            "--restart", action="store_true", help="begin anew: what was stored is a duplicate"
        )
        parser.add_argument(
            "--processes",
            type=int,
            default=read_import_processes(),
            help="how many work (default: %(default)s)",
        )
        parser.add_argument(
            "--chunk",
            type=int,
            default=read_import_chunk(),
            help="how many events are stored at a time (default: %(default)s)",
        )

    def handle(self, *_: object, files: list[str], **options: Any) -> None:
        """Run the command."""
        if options["refused"] is not None and len(files) > 1:
            raise CommandError("--refused is for one file; of several, each has its own report.")
        if not 1 <= options["chunk"] <= MAX_IMPORT_CHUNK:
            raise CommandError(f"--chunk takes 1 to {MAX_IMPORT_CHUNK}.")
        if not 1 <= options["processes"] <= MAX_IMPORT_PROCESSES:
            raise CommandError(f"--processes takes 1 to {MAX_IMPORT_PROCESSES}.")
        rejected_count, problems = 0, []
        for name in files:
            try:
                rejected_count += self._import(name, **options)
            except (BillingError, DamagedStream) as error:
                problems.append(str(error))
                self.stderr.write(f"{name}: {error}")
            except WorkFailed as error:
                raise CommandError(
                    f"{name}: the import has failed.\n{error}", returncode=EXIT_FAILED
                ) from None
            except KeyboardInterrupt:
                message = f"{name}: stopped. Run the same command again, and it goes on from there."
                raise CommandError(message, returncode=EXIT_INTERRUPTED) from None
        if problems:
            raise CommandError(f"{len(problems)} of {len(files)} files not done.", returncode=EXIT_UNUSABLE)
        if rejected_count:
            raise CommandError(f"{rejected_count} events were refused.", returncode=EXIT_REFUSED)

    def _import(self, name: str, **options: Any) -> int:
        """Import a file; return how many of its events were refused.

        Raises: UnusableFile; ImportUnderWay; DamagedStream; WorkFailed.
        """
        path = None if name == STANDARD_INPUT else Path(name)
        file_format = FORMATS.get(options["format"] or "")
        with opening_source(path, standard_input=sys.stdin.buffer, file_format=file_format) as source:
            file = identify_stream(source.format) if path is None else identify(path, source.format)
            with holding_file(file):
                row = self._take_up(file, is_restart=options["restart"])
                if row.is_finished:
                    self.stdout.write(f"{name}: imported before; --restart would do it again.")
                    return row.rejected_count
                report_path = options["refused"] or find_report(path)
                try:
                    self._work(row, source, report_path, **options)
                    finish_import(import_id=row.pk, at=clock.now(), actor=ACTOR)
                finally:
                    row = get_import(row.pk)
                    self._sum_up(name, row, report_path)
                return row.rejected_count

    def _take_up(self, file: FileIdentity, *, is_restart: bool) -> EventImport:
        """Find the import of a file to go on with, or begin one."""
        row = None if is_restart else find_import(file)
        if row is None:
            return start_import(file=file, at=clock.now(), actor=ACTOR)
        count = row.accepted_count + row.duplicate_count + row.rejected_count
        if count and not row.is_finished:
            self.stdout.write(f"{file.name}: going on, {count:,} events are done.")
        return row

    def _work(self, row: EventImport, source: Source, report_path: Path, **options: Any) -> None:
        """Import what is left of a file.

        Raises: UnusableFile if the report cannot be written; DamagedStream; WorkFailed.
        """
        progress = read_progress(row)
        open_lines = list_open_lines(source, progress)
        try:
            prepare_report(
                report_path,
                is_kept=lambda line: line not in open_lines and is_line_reached(progress, line),
            )
        except OSError as error:
            raise UnusableFile(
                f"{report_path} cannot be written, so name another --refused: {error}."
            ) from None
        outcomes = run_import(
            source=source,
            progress=progress,
            chunk_import=ChunkImport(row.pk, source.decoder, report_path, clock.now),
            chunk_size=options["chunk"],
            process_count=options["processes"],
        )
        started, count = time.monotonic(), 0
        with closing(outcomes), _make_bar() as bar:
            task = bar.add_task(source.name, total=source.size_bytes, rate="")
            for outcome in outcomes:
                count += outcome.accepted + outcome.duplicates + outcome.rejected
                rate = count / (time.monotonic() - started)
                bar.update(task, completed=source.count_read_bytes(), rate=f"{rate:,.0f} events/s")
        seconds = time.monotonic() - started
        self.stdout.write(
            f"{source.name}: {count:,} events in {seconds:,.1f} s, {count / seconds:,.0f} a second."
        )

    def _sum_up(self, name: str, row: EventImport, report_path: Path) -> None:
        """Say what has come of a file, all its runs together."""
        self.stdout.write(
            f"{name}: {row.accepted_count:,} accepted, {row.duplicate_count:,} duplicates, "
            f"{row.rejected_count:,} refused."
        )
        if not remove_if_empty(report_path):
            self.stdout.write(f"{name}: what was refused is in {report_path}")


def _make_bar() -> Progress:
    """Make a progress bar, which is not shown where nobody looks."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
