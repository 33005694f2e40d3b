"""Which tax engine a seller uses."""

from django.utils.module_loading import import_string

from billing_project.core.errors import Conflict
from invoicing.conf import read_tax_engines
from invoicing.tax.types import TaxEngine


class UnknownTaxEngine(Conflict):
    """The seller's tax engine is not one that this install has."""

    code = "unknown_tax_engine"


def get_engine(name: str) -> TaxEngine:
    """Build the tax engine of that name.

    Raises: UnknownTaxEngine.
    """
    engines = read_tax_engines()
    if name not in engines:
        raise UnknownTaxEngine(f"There is no tax engine {name!r}; this install has {', '.join(engines)}.")
    engine: TaxEngine = import_string(engines[name])()
    return engine
