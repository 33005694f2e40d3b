"""Set-up of the invoicing app."""

from django.apps import AppConfig


class InvoicingConfig(AppConfig):
    """The invoicing app."""

    name = "invoicing"

    def ready(self) -> None:
        """List handlers of events, supply what the apps below ask for, and register the app's invariants."""
        from billing_project.core import events
        from invoicing import handlers, invariants
        from invoicing.invoices.billed_events import explain_billing
        from invoicing.runs.move_previews import preview_move
        from metering import ports
        from subscriptions.ports import supply_move_preview

        events.subscribe(
            "subscription.created", handlers.bill_new_subscription, key="invoicing.bill_new_subscription"
        )
        ports.supply_billing(explain_billing)
        supply_move_preview(preview_move)
        invariants.register()
