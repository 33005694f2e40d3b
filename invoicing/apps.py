"""Set-up of the invoicing app."""

from django.apps import AppConfig


class InvoicingConfig(AppConfig):
    """The invoicing app."""

    name = "invoicing"

    def ready(self) -> None:
        """List the handlers of events, and register the app's invariants."""
        from billing_project.core import events
        from invoicing import handlers, invariants

        events.subscribe(
            "subscription.created", handlers.bill_new_subscription, key="invoicing.bill_new_subscription"
        )
        invariants.register()
