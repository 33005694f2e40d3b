"""`manage.py verify_archive NUMBER...`: read archives again, and compare them with the usage."""

from argparse import ArgumentParser
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_project.core.errors import NotFound
from billing_project.core.extras import ExtraMissing
from billing_project.core.snapshots import reading_snapshot
from metering.archiving.rows import DamagedArchive
from metering.archiving.verifying import verify_archive
from metering.conf import read_archive_folder
from metering.models import ArchiveStatus, EventArchive
from metering.queries.archives import get_archive

MISMATCH_LIMIT = 100


class Command(BaseCommand):
    """Verify archives one after the other."""

    help = (
        "Read the files of archives again, check their hashes, count their events anew and compare with "
        "the usage that is stored. Reads only. Exit code 1 if anything is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("archives", nargs="+", type=int, metavar="ARCHIVE", help="its number")
        parser.add_argument(
            "--from",
            dest="folder",
            type=Path,
            metavar="FOLDER",
            help="where the files are (default: the setting)",
        )

    def handle(self, *_: object, archives: list[int], folder: Path | None, **__: Any) -> None:
        """Run the command."""
        wrong_count = sum(not self._verify(number, folder or read_archive_folder()) for number in archives)
        if wrong_count:
            raise CommandError(f"{wrong_count} of {len(archives)} archives are wrong.")

    def _verify(self, number: int, folder: Path) -> bool:
        try:
            archive = get_archive(number)
        except NotFound as error:
            raise CommandError(str(error)) from error
        if archive.status == ArchiveStatus.WRITING:
            raise CommandError(f"Archive {number} is not written yet: archive_events goes on with it.")
        with reading_snapshot():  # Late events may be coming in meanwhile.
            problems = _list_problems(archive, folder)
        for problem in problems:
            self.stderr.write(f"Archive {number}: {problem}")
        if not problems:
            removed = "all removed" if archive.status == ArchiveStatus.REMOVED else "not all removed yet"
            self.stdout.write(f"Archive {number} is right: {archive.event_count} events, {removed}.")
        return not problems


def _list_problems(archive: EventArchive, folder: Path) -> list[str]:
    try:
        return list(islice(verify_archive(archive, folder), MISMATCH_LIMIT))
    except DamagedArchive as error:
        return [str(error)]
    except ExtraMissing as error:
        raise CommandError(str(error)) from error
