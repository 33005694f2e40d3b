"""Set-up of what every app stands on."""

from django.apps import AppConfig
from django.core import checks


class CoreConfig(AppConfig):
    """What every app stands on: audit trail, outbox, sequences, access, idempotency."""

    name = "billing_project.core"
    label = "core"

    def ready(self) -> None:
        """Register what Django checks before it migrates."""
        from billing_project.core.checks import check_mode_is_kept

        checks.register(check_mode_is_kept, checks.Tags.database)
