"""Set-up of the subscriptions app."""

from django.apps import AppConfig


class SubscriptionsConfig(AppConfig):
    """The subscriptions app."""

    name = "subscriptions"

    def ready(self) -> None:
        """Register the app's invariants."""
        from subscriptions import invariants

        invariants.register()
