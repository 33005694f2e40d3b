"""Set-up of what every app stands on."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """What every app stands on: audit trail, outbox, sequences, access, idempotency."""

    name = "billing_project.core"
    label = "core"
