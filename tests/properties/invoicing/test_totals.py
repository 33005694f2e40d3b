"""What is true of the totals of any lines."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from billing_project.core.money import Rounding, divide, round_to
from invoicing.invoices.totals import Chargeable, Totals, share_out, total_lines

MINOR_UNITS = st.sampled_from([10**9, 10**10, 10**12])  # KWD, USD, JPY
SMALL = st.integers(-(10**14), 10**14)
AMOUNTS = st.one_of(SMALL, st.integers(-(10**36), 10**36))
RATES = st.lists(st.decimals(0, 3, places=5, allow_nan=False, allow_infinity=False), min_size=0, max_size=4)


@st.composite
def taxed_lines(
    draw: st.DrawFn, amounts: st.SearchStrategy[int] = AMOUNTS
) -> tuple[list[Chargeable], list[Decimal]]:
    rates = draw(RATES)
    numbers = st.one_of(st.none(), st.sampled_from(range(len(rates)))) if rates else st.none()
    line = st.builds(Chargeable, charge_nanos=amounts, is_inclusive=st.booleans(), rate_number=numbers)
    return draw(st.lists(line, max_size=8)), rates


def bill_one_by_one(bills: list[list[Chargeable]], minor_unit_nanos: int) -> list[Totals]:
    totals: list[Totals] = []
    for lines in bills:
        carried_nanos = sum(earlier.carry_nanos for earlier in totals)
        totals.append(total_lines(lines, [], carried_nanos=carried_nanos, minor_unit_nanos=minor_unit_nanos))
    return totals


class TestTotalLines:
    @given(taxed_lines(), st.integers(-(10**11), 10**11), MINOR_UNITS)
    def test_adds_up(
        self, taxed: tuple[list[Chargeable], list[Decimal]], carried_nanos: int, minor_unit_nanos: int
    ) -> None:
        lines, rates = taxed
        totals = total_lines(lines, rates, carried_nanos=carried_nanos, minor_unit_nanos=minor_unit_nanos)

        assert totals.lines_nanos + totals.rounding_nanos + totals.tax_nanos == totals.total_nanos
        assert totals.lines_nanos + totals.rounding_nanos == totals.subtotal_nanos
        assert totals.lines_nanos == sum(line.net_nanos for line in totals.lines)
        assert totals.tax_nanos == sum(tax.amount_nanos for tax in totals.taxes)

    @given(taxed_lines(), MINOR_UNITS)
    def test_asks_for_whole_minor_units(
        self, taxed: tuple[list[Chargeable], list[Decimal]], minor_unit_nanos: int
    ) -> None:
        totals = total_lines(*taxed, carried_nanos=0, minor_unit_nanos=minor_unit_nanos)

        amounts = [totals.subtotal_nanos, totals.tax_nanos, totals.total_nanos]
        amounts += [amount for tax in totals.taxes for amount in (tax.base_nanos, tax.amount_nanos)]
        assert {amount % minor_unit_nanos for amount in amounts} == {0}

    @given(taxed_lines(), MINOR_UNITS)
    def test_taxes_each_rate_on_its_share(
        self, taxed: tuple[list[Chargeable], list[Decimal]], minor_unit_nanos: int
    ) -> None:
        lines, rates = taxed
        totals = total_lines(lines, rates, carried_nanos=0, minor_unit_nanos=minor_unit_nanos)

        for tax in totals.taxes:
            rate = Fraction(rates[tax.rate_number])
            share_nanos = tax.base_nanos + (tax.amount_nanos if tax.is_inclusive else 0)
            exact = share_nanos * (rate / (1 + rate) if tax.is_inclusive else rate) / minor_unit_nanos
            steps = divide(exact.numerator, exact.denominator, Rounding.HALF_UP)
            assert tax.amount_nanos == steps * minor_unit_nanos

    @given(st.lists(AMOUNTS, max_size=8), MINOR_UNITS)
    def test_is_the_rounded_sum_before_tax(self, charges: list[int], minor_unit_nanos: int) -> None:
        lines = [Chargeable(charge_nanos=charge, rate_number=0) for charge in charges]
        totals = total_lines(lines, [Decimal("0.2")], carried_nanos=0, minor_unit_nanos=minor_unit_nanos)

        assert totals.subtotal_nanos == round_to(sum(charges), minor_unit_nanos, Rounding.HALF_UP)

    @given(st.lists(AMOUNTS, max_size=8), MINOR_UNITS, RATES.filter(bool))
    def test_is_the_rounded_sum_with_tax_inside(
        self, charges: list[int], minor_unit_nanos: int, rates: list[Decimal]
    ) -> None:
        lines = [
            Chargeable(charge_nanos=charge, rate_number=number % len(rates), is_inclusive=True)
            for number, charge in enumerate(charges)
        ]
        totals = total_lines(lines, rates, carried_nanos=0, minor_unit_nanos=minor_unit_nanos)

        assert totals.total_nanos == round_to(sum(charges), minor_unit_nanos, Rounding.HALF_UP)


class TestCarriedRounding:
    @given(
        st.lists(st.lists(st.integers(0, 10**13), max_size=3), max_size=40).map(
            lambda bills: [[Chargeable(charge_nanos=charge) for charge in bill] for bill in bills]
        ),
        MINOR_UNITS,
    )
    def test_keeps_any_series_of_invoices_within_half_a_minor_unit_of_the_exact_sum(
        self, bills: list[list[Chargeable]], minor_unit_nanos: int
    ) -> None:
        totals = bill_one_by_one(bills, minor_unit_nanos)

        exact = sum(line.charge_nanos for bill in bills for line in bill)
        assert 2 * abs(sum(total.total_nanos for total in totals) - exact) <= minor_unit_nanos
        assert all(total.total_nanos >= 0 for total in totals)


class TestShareOut:
    @given(st.lists(AMOUNTS, min_size=1, max_size=8), st.integers(-3, 3), MINOR_UNITS)
    def test_gives_all_of_the_total_in_whole_steps(
        self, amounts: list[int], extra: int, step_nanos: int
    ) -> None:
        total_nanos = round_to(sum(amounts), step_nanos, Rounding.HALF_UP) + extra * step_nanos
        shares = share_out(total_nanos, amounts, step_nanos=step_nanos)

        assert sum(shares) == total_nanos
        assert {share % step_nanos for share in shares} == {0}

    @given(st.lists(AMOUNTS, min_size=1, max_size=8), MINOR_UNITS)
    def test_stays_near_each_amount(self, amounts: list[int], step_nanos: int) -> None:
        total_nanos = round_to(sum(amounts), step_nanos, Rounding.HALF_UP)
        shares = share_out(total_nanos, amounts, step_nanos=step_nanos)

        # One step for the largest remainder, and at most the rounding of the sum.
        for share, amount in zip(shares, amounts, strict=True):
            assert abs(share - amount) < step_nanos + abs(total_nanos - sum(amounts)) + 1

    @given(st.lists(st.integers(0, 10**14), min_size=1, max_size=8), MINOR_UNITS)
    def test_is_the_proportional_share_of_amounts_above_zero(
        self, amounts: list[int], step_nanos: int
    ) -> None:
        total_nanos = round_to(sum(amounts), step_nanos, Rounding.HALF_UP)
        shares = share_out(total_nanos, amounts, step_nanos=step_nanos)

        assume(sum(amounts))
        for share, amount in zip(shares, amounts, strict=True):
            proportion = Fraction(total_nanos * amount, sum(amounts))
            assert abs(share - proportion) < step_nanos

    @given(st.lists(AMOUNTS, min_size=1, max_size=8), MINOR_UNITS)
    def test_turns_round_with_the_signs(self, amounts: list[int], step_nanos: int) -> None:
        total_nanos = round_to(sum(amounts), step_nanos, Rounding.HALF_UP)
        turned = share_out(-total_nanos, [-amount for amount in amounts], step_nanos=step_nanos)

        if total_nanos:
            assert turned == [-share for share in share_out(total_nanos, amounts, step_nanos=step_nanos)]
