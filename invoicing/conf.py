"""Settings of the invoicing app."""

from collections.abc import Mapping

from django.conf import settings


def read_tax_engines() -> Mapping[str, str]:
    """Read the tax engines by name: the path of a class for each."""
    engines: Mapping[str, str] = settings.TAX_ENGINES
    return engines
