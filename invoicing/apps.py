"""Set-up of the invoicing app."""

from django.apps import AppConfig


class InvoicingConfig(AppConfig):
    """The invoicing app."""

    name = "invoicing"

    def ready(self) -> None:
        """Register the app's invariants."""
        from invoicing import invariants

        invariants.register()
