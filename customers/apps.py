"""Set-up of the customers app."""

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    """The customers app."""

    name = "customers"

    def ready(self) -> None:
        """Register what must be true of customers."""
        from billing_project.core import invariants
        from customers.invariants import check_families

        invariants.register("subsidiaries belong to organizations", check_families)
