"""What can be licensed of a SKU."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from uuid import UUID

from billing_project.core.errors import FieldError, InvalidInput

MAX_QUANTITY = Decimal(10) ** 30


class InvalidQuantities(InvalidInput):
    """A quantity is given for what takes none, or is not one that can be licensed."""

    code = "invalid_quantities"


def find_quantity_problems(
    quantities: Mapping[UUID, Decimal], *, is_licensed: Mapping[UUID, bool]
) -> list[FieldError]:
    """Find what is wrong with quantities, by SKU, for a plan whose SKUs are licensed or metered."""
    return [
        FieldError(f"quantities.{sku_id}", code, detail)
        for sku_id, quantity in quantities.items()
        for code, detail in _find_problems(sku_id, quantity, is_licensed)
    ]


def _find_problems(
    sku_id: UUID, quantity: Decimal, is_licensed: Mapping[UUID, bool]
) -> Iterator[tuple[str, str]]:
    if sku_id not in is_licensed:
        yield "unknown_sku", "The plan has no such SKU."
    elif not is_licensed[sku_id]:
        yield "metered", "A meter counts this SKU: it takes no quantity."
    elif not (quantity.is_finite() and 0 <= quantity < MAX_QUANTITY):
        yield "out_of_range", "A quantity is at least 0 and has at most 30 digits."
