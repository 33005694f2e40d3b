"""Set-up of the metering app."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """The metering app."""

    name = "metering"

    def ready(self) -> None:
        """List the handlers of events, and register the app's invariants."""
        from billing_project.core import events
        from metering import handlers, invariants
        from metering.queries import FILL_HANDLER

        events.subscribe(
            "subscription.created", handlers.match_usage_of, key="metering.match_usage_of_subscription"
        )
        events.subscribe("usage.partly_matched", handlers.match_usage_of, key="metering.match_more_usage")
        for name in ("meter.created", "meter.restored"):
            events.subscribe(name, handlers.fill_meter, key=FILL_HANDLER)
        invariants.register()
