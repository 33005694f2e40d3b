"""Set-up of the subscriptions app."""

from django.apps import AppConfig


class SubscriptionsConfig(AppConfig):
    """The subscriptions app."""

    name = "subscriptions"

    def ready(self) -> None:
        """List the handlers of events, and register the app's invariants."""
        from billing_project.core import events
        from subscriptions import handlers, invariants

        events.subscribe(
            "customer.updated", handlers.move_subscriptions, key="subscriptions.move_subscriptions"
        )
        events.subscribe(
            "plan.migration_requested",
            handlers.migrate_subscriptions,
            key="subscriptions.migrate_subscriptions",
        )
        invariants.register()
