"""`manage.py check_invariants`: verify on the live database what must always be true."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_project.core.invariants import BREACH_LIMIT, run_checks
from billing_project.core.snapshots import reading_snapshot


class Command(BaseCommand):
    """Run every check on one consistent snapshot; list what is broken."""

    help = (
        "Verify what must always be true of the stored data. Reads only. Exit code 1 if anything is broken."
    )

    def handle(self, *_: object, **__: Any) -> None:
        """Run the command."""
        broken = 0
        with reading_snapshot():  # A bill run that goes on meanwhile must not look like a breach.
            for finding in run_checks():
                mark = "broken" if finding.breaches else "ok"
                self.stdout.write(f"{mark:>6}  {finding.name}")
                for breach in finding.breaches:
                    self.stdout.write(f"        {breach}")
                if len(finding.breaches) == BREACH_LIMIT:
                    self.stdout.write(f"        (the first {BREACH_LIMIT} only)")
                broken += bool(finding.breaches)
        if broken:
            raise CommandError(f"{broken} of the invariants are broken.", returncode=1)
