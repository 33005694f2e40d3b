"""Filters on the properties of usage events: which of them a meter counts.

Texts, booleans and numbers are compared by their canonical text, so that 1, 1.0 and "1" are equal, and so
are true and "true". A null is no value: the property counts as missing. A list or an object is there, but is
equal to nothing, and neither above nor below anything.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Self

from billing_project.core.money import InvalidDecimal, format_quantity, parse_decimal

MAX_FILTERS = 10
MAX_VALUES = 100
MAX_NAME_LENGTH = 200
MAX_VALUE_LENGTH = 500
MAX_NUMBER_EXPONENT = 400  # That of events: a short text must not be able to name a huge number.

# The grammar of a JSON number. Events may carry longer ones than a filter's limit.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_PARAMS = ("property", "operator", "value", "values")


class FilterOperator(StrEnum):
    """How a property is compared with the values of a filter."""

    EQUALS = "Equals"
    NOT_EQUALS = "NotEquals"
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    MISSING = "Missing"
    GREATER_THAN = "GreaterThan"
    GREATER_OR_EQUAL = "GreaterOrEqual"
    LESS_THAN = "LessThan"
    LESS_OR_EQUAL = "LessOrEqual"


_LISTS = frozenset({FilterOperator.IN, FilterOperator.NOT_IN})
_PRESENCES = frozenset({FilterOperator.EXISTS, FilterOperator.MISSING})
COMPARISONS = frozenset(
    {
        FilterOperator.GREATER_THAN,
        FilterOperator.GREATER_OR_EQUAL,
        FilterOperator.LESS_THAN,
        FilterOperator.LESS_OR_EQUAL,
    }
)


class InvalidFilter(ValueError):
    """The parameters do not describe a filter; `field` is the wrong one, such as `values.0`."""

    def __init__(self, detail: str, *, field: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


@dataclass(frozen=True, slots=True)
class PropertyFilter:
    """A condition on one property. `values` are canonical texts: sorted, each once.

    One value, but 1 to `MAX_VALUES` for In and NotIn, and none for Exists and Missing.
    """

    property_name: str
    operator: FilterOperator
    values: tuple[str, ...] = ()

    @classmethod
    def from_params(cls, params: object) -> Self:
        """Build a filter from JSON: `property`, `operator`, and `values` or, for a single one, `value`.

        Raises: InvalidFilter.
        """
        if not isinstance(params, Mapping):
            raise InvalidFilter("Enter an object with a property, an operator and values.", field="")
        for name in params:
            if name not in _PARAMS:
                raise InvalidFilter(f"Unknown field; known here: {', '.join(_PARAMS)}.", field=str(name))
        property_name = read_property_name(params.get("property"), field="property")
        operator = _read_operator(params.get("operator"))
        return cls(property_name, operator, _read_values(params, operator))

    def to_params(self) -> dict[str, object]:
        """Write the filter in the one form in which it is stored."""
        return {
            "property": self.property_name,
            "operator": self.operator.value,
            "values": list(self.values),
        }

    def matches(self, properties: Mapping[str, object]) -> bool:
        """Tell whether an event with these properties passes.

        What is equal to nothing, such as a missing property, passes NotEquals and NotIn.
        """
        value = properties.get(self.property_name)
        operator = self.operator
        if operator is FilterOperator.EXISTS:
            return value is not None
        if operator is FilterOperator.MISSING:
            return value is None
        text = write_scalar(value)
        if operator in COMPARISONS:
            return text is not None and self._compares(text)
        is_negated = operator is FilterOperator.NOT_EQUALS or operator is FilterOperator.NOT_IN
        return (text in self.values) is not is_negated

    def _compares(self, text: str) -> bool:
        """Compare a number with the filter's; a text that is no number passes no comparison."""
        if _NUMBER.fullmatch(text) is None:
            return False
        number, bound = Decimal(text), Decimal(self.values[0])
        match self.operator:
            case FilterOperator.GREATER_THAN:
                return number > bound
            case FilterOperator.GREATER_OR_EQUAL:
                return number >= bound
            case FilterOperator.LESS_THAN:
                return number < bound
            case _:
                return number <= bound


def write_scalar(value: object) -> str | None:
    """Write a JSON scalar as its canonical text; None for a null, a list and an object.

    A text stays as it is. A number is written in digits, without an exponent and without trailing zeros.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format_quantity(value)
    assert not isinstance(value, float), f"A number of an event is exact, not {value!r}"
    return None


def read_filters(stored: Sequence[object]) -> tuple[PropertyFilter, ...]:
    """Read the filters of a meter, all of which have to pass: in one order, and each once.

    Raises: InvalidFilter, whose field begins with the number of the filter, such as `0.operator`.
    """
    if len(stored) > MAX_FILTERS:
        raise InvalidFilter(f"Enter at most {MAX_FILTERS} filters.", field="")
    filters: set[PropertyFilter] = set()
    for number, params in enumerate(stored):
        try:
            filters.add(PropertyFilter.from_params(params))
        except InvalidFilter as error:
            field = f"{number}.{error.field}" if error.field else str(number)
            raise InvalidFilter(error.detail, field=field) from None
    return tuple(sorted(filters, key=lambda it: (it.property_name, it.operator, it.values)))


def read_property_name(value: object, *, field: str) -> str:
    """Read the name of a property.

    Raises: InvalidFilter.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_LENGTH or not is_storable(value):
        raise InvalidFilter(
            f"Enter the name of a property, of at most {MAX_NAME_LENGTH} characters and without NUL.",
            field=field,
        )
    return value


def is_storable(text: str) -> bool:
    """Tell whether the database can hold a text: it has no NUL, and no half of a surrogate pair."""
    return not any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in text)


def _read_operator(value: object) -> FilterOperator:
    """Read an operator.

    Raises: InvalidFilter.
    """
    try:
        return FilterOperator(value)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidFilter(f"Choose one of {', '.join(FilterOperator)}.", field="operator") from None


def _read_values(params: Mapping[object, object], operator: FilterOperator) -> tuple[str, ...]:
    """Read the values that go with an operator, in their canonical form.

    Raises: InvalidFilter.
    """
    if "value" in params and "values" in params:
        raise InvalidFilter("Enter either one value or a list of values.", field="value")
    given = [params["value"]] if "value" in params else params.get("values", [])
    if not isinstance(given, list):
        raise InvalidFilter("Enter a list of values.", field="values")
    _check_number_of_values(given, operator)
    field = "value" if "value" in params else "values.{}"
    texts = {_read_value(value, operator, field=field.format(index)) for index, value in enumerate(given)}
    return tuple(sorted(texts))


def _check_number_of_values(given: Sequence[object], operator: FilterOperator) -> None:
    """Refuse more or fewer values than the operator takes.

    Raises: InvalidFilter.
    """
    if operator in _PRESENCES:
        if given:
            raise InvalidFilter(f"{operator} takes no value.", field="values")
    elif operator in _LISTS:
        if not 1 <= len(given) <= MAX_VALUES:
            raise InvalidFilter(f"{operator} takes 1 to {MAX_VALUES} values.", field="values")
    elif len(given) != 1:
        raise InvalidFilter(f"{operator} takes one value.", field="values")


def _read_value(value: object, operator: FilterOperator, *, field: str) -> str:
    """Read a value: any scalar, but a number where numbers are compared.

    Raises: InvalidFilter.
    """
    is_huge = isinstance(value, int | Decimal) and abs(Decimal(value).adjusted()) > MAX_NUMBER_EXPONENT
    text = None if is_huge else write_scalar(value)
    if text is None or len(text) > MAX_VALUE_LENGTH or not is_storable(text):
        raise InvalidFilter(
            f"Enter a text of at most {MAX_VALUE_LENGTH} characters, a number, or a boolean.", field=field
        )
    if operator not in COMPARISONS:
        return text
    try:
        return format_quantity(parse_decimal(text))
    except InvalidDecimal as error:
        raise InvalidFilter(str(error), field=field) from None
