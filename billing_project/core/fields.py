"""Model fields of the platform: amounts, quantities, currencies, identifiers and enumerations."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from billing_project.core.ids import make_id

# What may be set and what is got; django-stubs makes both optional for a nullable field.
SetT_contra = TypeVar("SetT_contra", contravariant=True)
GetT_co = TypeVar("GetT_co", covariant=True)


class NanosField(models.Field[SetT_contra, GetT_co]):
    """An amount of money: an `int` count of 10^-12 of the currency's major unit, kept in NUMERIC(38,0).

    A model with such a field has a currency beside it. Nothing but an `int` is accepted: no float, and no
    `Decimal` that somebody would have to round.
    """

    description = "Amount in 10^-12 of the currency's major unit"
    LIMIT = 10**38
    if TYPE_CHECKING:
        _pyi_private_set_type: int
        _pyi_private_get_type: int
        _pyi_lookup_exact_type: int

    def db_type(self, connection: Any) -> str:
        """Return the column type."""
        return "numeric(38, 0)"

    def from_db_value(self, value: Decimal | None, expression: object, connection: object) -> int | None:
        """Turn the database's decimal into an `int`."""
        return None if value is None else int(value)

    def to_python(self, value: object) -> int | None:
        """Accept an `int` or a string of digits; refuse everything else."""
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                pass
        raise ValidationError("Enter a whole number of 10^-12 units.", code="invalid")

    def get_prep_value(self, value: Any) -> Any:
        """Hand the database a decimal, which psycopg sends as NUMERIC whatever its size."""
        value = super().get_prep_value(value)
        if value is None or hasattr(value, "resolve_expression"):
            return value
        if isinstance(value, Decimal) and value == value.to_integral_value():
            return value  # A value that has been read by an aggregate, such as Sum.
        assert isinstance(value, int) and not isinstance(value, bool), (
            f"{self.name} takes an int, not {value!r}"
        )
        assert abs(value) < self.LIMIT, f"{self.name} is beyond NUMERIC(38,0): {value}"
        return Decimal(value)

    def value_to_string(self, obj: models.Model) -> str:
        """Serialise as digits."""
        return str(self.value_from_object(obj))


class QuantityField(models.Field[SetT_contra, GetT_co]):
    """A quantity: an exact decimal of any size, kept in NUMERIC without a limit."""

    description = "Exact decimal quantity"
    if TYPE_CHECKING:
        _pyi_private_set_type: Decimal | int
        _pyi_private_get_type: Decimal
        _pyi_lookup_exact_type: Decimal

    def db_type(self, connection: Any) -> str:
        """Return the column type."""
        return "numeric"

    def to_python(self, value: object) -> Decimal | None:
        """Accept a `Decimal`, an `int` or a decimal string; refuse a float."""
        if value is None or isinstance(value, Decimal):
            return value
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            try:
                number = Decimal(value)
            except ArithmeticError:
                pass
            else:
                if number.is_finite():
                    return number
        raise ValidationError("Enter a decimal number.", code="invalid")

    def get_prep_value(self, value: Any) -> Any:
        """Hand the database a decimal, never a float."""
        value = super().get_prep_value(value)
        if value is None or hasattr(value, "resolve_expression"):
            return value
        assert isinstance(value, (Decimal, int)) and not isinstance(value, bool), f"{self.name}: {value!r}"
        return Decimal(value)

    def value_to_string(self, obj: models.Model) -> str:
        """Serialise without an exponent."""
        return format(self.value_from_object(obj), "f")


def id_field() -> models.UUIDField[Any, Any]:
    """Build the primary key of a model: a UUIDv7."""
    return models.UUIDField(primary_key=True, default=make_id, editable=False)


def currency_field() -> models.CharField[Any, Any]:
    """Build an ISO 4217 currency column."""
    return models.CharField(max_length=3)


def enum_field(
    choices: type[models.TextChoices], *, default: models.TextChoices | None = None
) -> models.CharField[Any, Any]:
    """Build a column for a PascalCase enumeration, the same in database, API and admin."""
    assert all(value.isidentifier() and value[:1].isupper() for value in choices.values)
    fallback: models.TextChoices | Callable[[], object] = models.NOT_PROVIDED if default is None else default
    return models.CharField(max_length=32, choices=choices.choices, default=fallback)


def choice_constraint(*, table: str, field: str, choices: type[models.TextChoices]) -> models.CheckConstraint:
    """Build the database's own check that a column holds one of the enumeration's values."""
    return models.CheckConstraint(
        condition=models.Q(**{f"{field}__in": choices.values}), name=f"{table}_{field}_is_known"
    )
