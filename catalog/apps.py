"""Set-up of the catalog app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """The catalog app."""

    name = "catalog"

    def ready(self) -> None:
        """Register what must be true of the catalogue."""
        from billing_project.core import invariants
        from catalog.invariants import check_meters, check_prices, check_skus, check_versions

        invariants.register("plan versions follow each other", check_versions)
        invariants.register("prices can be charged", check_prices)
        invariants.register("meters can count", check_meters)
        invariants.register("the latest plan versions have the active SKUs", check_skus)
