"""What holds for every filter on the properties of events."""

from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from catalog.property_filters import FilterOperator, PropertyFilter, read_filters, write_scalar

NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False, places=3),
)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.sampled_from(["1", "1.0", "true", "", "a"]))
VALUES = st.one_of(
    SCALARS, st.none(), st.lists(SCALARS, max_size=2), st.dictionaries(TEXTS, SCALARS, max_size=2)
)
NAMES = st.sampled_from(["p", "q"])
PROPERTIES = st.dictionaries(NAMES, VALUES, max_size=2)

LISTS = [FilterOperator.IN, FilterOperator.NOT_IN]
PRESENCES = [FilterOperator.EXISTS, FilterOperator.MISSING]
EQUALITIES = [FilterOperator.EQUALS, FilterOperator.NOT_EQUALS]


@st.composite
def filter_params(draw: st.DrawFn) -> dict[str, object]:
    """Draw a filter as a client writes it."""
    operator = draw(st.sampled_from(FilterOperator))
    params: dict[str, object] = {"property": draw(NAMES), "operator": operator.value}
    if operator in LISTS:
        params["values"] = draw(st.lists(SCALARS, min_size=1, max_size=4))
    elif operator not in PRESENCES:
        value = draw(SCALARS if operator in EQUALITIES else NUMBERS)
        params |= draw(st.sampled_from([{"value": value}, {"values": [value]}]))
    return params


def make(operator: FilterOperator, *values: object) -> PropertyFilter:
    return PropertyFilter.from_params({"property": "p", "operator": operator.value, "values": list(values)})


class TestForms:
    @given(filter_params())
    def test_come_back_as_they_were_written(self, params: dict[str, object]) -> None:
        read = PropertyFilter.from_params(params)

        assert PropertyFilter.from_params(read.to_params()) == read

    @given(filter_params(), PROPERTIES)
    def test_mean_the_same_when_read_again(
        self, params: dict[str, object], properties: dict[str, object]
    ) -> None:
        read = PropertyFilter.from_params(params)

        assert PropertyFilter.from_params(read.to_params()).matches(properties) is read.matches(properties)

    @given(st.lists(filter_params(), max_size=6), st.randoms())
    def test_do_not_depend_on_the_order(self, given_filters: list[object], random: Random) -> None:
        shuffled = [*given_filters, *given_filters[:2]]
        random.shuffle(shuffled)

        assert read_filters(shuffled) == read_filters(given_filters)


class TestOperators:
    @given(st.lists(SCALARS, min_size=1, max_size=4), PROPERTIES)
    def test_in_is_any_of_its_values(self, values: list[object], properties: dict[str, object]) -> None:
        is_any = any(make(FilterOperator.EQUALS, value).matches(properties) for value in values)

        assert make(FilterOperator.IN, *values).matches(properties) is is_any
        assert make(FilterOperator.NOT_IN, *values).matches(properties) is not is_any

    @given(SCALARS, PROPERTIES)
    def test_not_equals_is_the_opposite(self, value: object, properties: dict[str, object]) -> None:
        equals = make(FilterOperator.EQUALS, value).matches(properties)

        assert make(FilterOperator.NOT_EQUALS, value).matches(properties) is not equals

    @given(PROPERTIES)
    def test_missing_is_the_opposite_of_exists(self, properties: dict[str, object]) -> None:
        exists = make(FilterOperator.EXISTS).matches(properties)

        assert make(FilterOperator.MISSING).matches(properties) is not exists

    @given(NUMBERS, NUMBERS)
    def test_order_numbers_as_they_are(self, value: Decimal | int, bound: Decimal | int) -> None:
        properties = {"p": value}

        assert make(FilterOperator.LESS_THAN, bound).matches(properties) is (value < bound)
        assert make(FilterOperator.LESS_OR_EQUAL, bound).matches(properties) is (value <= bound)
        assert make(FilterOperator.GREATER_THAN, bound).matches(properties) is (value > bound)
        assert make(FilterOperator.GREATER_OR_EQUAL, bound).matches(properties) is (value >= bound)

    @given(SCALARS)
    def test_find_a_value_equal_to_itself_and_to_its_text(self, value: object) -> None:
        for other in (value, write_scalar(value)):
            assert make(FilterOperator.EQUALS, value).matches({"p": other})
