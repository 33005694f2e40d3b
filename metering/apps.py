"""Set-up of the metering app."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """The metering app."""

    name = "metering"

    def ready(self) -> None:
        """List the handlers of events, and register the app's invariants."""
        from billing_project.core import events
        from metering import handlers, invariants

        events.subscribe(
            "subscription.created", handlers.match_usage_of, key="metering.match_usage_of_subscription"
        )
        events.subscribe("usage.partly_matched", handlers.match_usage_of, key="metering.match_more_usage")
        invariants.register()
