"""What lines add up to: tables worked by hand."""

from decimal import Decimal

import pytest

from invoicing.invoices.totals import Chargeable, LineTotal, TaxTotal, Totals, share_out, total_lines

UNIT = 10**12
CENT = 10**10  # The minor unit of USD.
YEN = 10**12  # The minor unit of JPY is the whole yen.
FILS = 10**9  # The minor unit of KWD.


def nanos(amount: str) -> int:
    """Write an amount of the major unit in nanos."""
    exact = Decimal(amount) * UNIT
    assert exact == int(exact)
    return int(exact)


def before_tax(amount: str, rate_number: int | None = None) -> Chargeable:
    """Make a line that is stated before tax."""
    return Chargeable(charge_nanos=nanos(amount), rate_number=rate_number)


def tax_inside(amount: str, rate_number: int | None = None) -> Chargeable:
    """Make a line that is stated with its tax inside."""
    return Chargeable(charge_nanos=nanos(amount), rate_number=rate_number, is_inclusive=True)


def total(
    *lines: Chargeable, rates: tuple[str, ...] = (), carried: str = "0", minor_unit_nanos: int = CENT
) -> Totals:
    """Total lines in dollars, unless said otherwise."""
    return total_lines(
        lines,
        [Decimal(rate) for rate in rates],
        carried_nanos=nanos(carried),
        minor_unit_nanos=minor_unit_nanos,
    )


def bill_daily(
    amount: str, days: int, rates: tuple[str, ...] = (), *, is_inclusive: bool = False
) -> list[Totals]:
    """Bill the same amount each day of a period, carrying the rounding from invoice to invoice."""
    bills: list[Totals] = []
    for _ in range(days):
        carried_nanos = sum(bill.carry_nanos for bill in bills)
        line = Chargeable(
            charge_nanos=nanos(amount), is_inclusive=is_inclusive, rate_number=0 if rates else None
        )
        bills.append(
            total_lines(
                [line], [Decimal(rate) for rate in rates], carried_nanos=carried_nanos, minor_unit_nanos=CENT
            )
        )
    return bills


class TestTotalLines:
    def test_rounds_the_sum_of_the_walkthrough_once(self) -> None:
        totals = total(before_tax("9.955"), before_tax("7.485"))

        assert totals == Totals(
            lines=(
                LineTotal(net_nanos=9955000000000, gross_nanos=9955000000000),
                LineTotal(net_nanos=7485000000000, gross_nanos=7485000000000),
            ),
            taxes=(),
            lines_nanos=17440000000000,
            rounding_nanos=0,
            subtotal_nanos=17440000000000,
            tax_nanos=0,
            total_nanos=17440000000000,
            carry_nanos=0,
        )

    @pytest.mark.parametrize(
        ("minor_unit_nanos", "lines", "rounding", "subtotal"),
        [
            (CENT, "17.4449", "-0.0049", "17.44"),
            (CENT, "17.445", "0.005", "17.45"),
            (CENT, "17.455", "0.005", "17.46"),  # Half-even would round this down.
            (CENT, "0.004999999999", "-0.004999999999", "0"),
            (CENT, "0.005", "0.005", "0.01"),
            (CENT, "0", "0", "0"),
            (CENT, "-0.005", "-0.005", "-0.01"),  # Half-up below zero is away from zero.
            (CENT, "-0.0049", "0.0049", "0"),
            (YEN, "1234.4", "-0.4", "1234"),
            (YEN, "1234.5", "0.5", "1235"),
            (YEN, "0.499999999999", "-0.499999999999", "0"),
            (FILS, "1.2344", "-0.0004", "1.234"),
            (FILS, "1.2345", "0.0005", "1.235"),
            (FILS, "0.0005", "0.0005", "0.001"),
        ],
    )
    def test_rounds_half_up_to_the_minor_unit(
        self, minor_unit_nanos: int, lines: str, rounding: str, subtotal: str
    ) -> None:
        totals = total(before_tax(lines), minor_unit_nanos=minor_unit_nanos)

        assert totals.lines_nanos == nanos(lines)
        assert totals.rounding_nanos == nanos(rounding)
        assert totals.subtotal_nanos == totals.total_nanos == nanos(subtotal)

    def test_is_nothing_without_lines(self) -> None:
        totals = total()

        assert (totals.lines, totals.taxes) == ((), ())
        assert (totals.subtotal_nanos, totals.rounding_nanos, totals.total_nanos) == (0, 0, 0)


class TestCarriedRounding:
    @pytest.mark.parametrize(
        ("daily", "exact"), [("0.004", "0.12"), ("0.005", "0.15"), ("0.0033", "0.10"), ("0.014", "0.42")]
    )
    def test_makes_thirty_small_invoices_bill_what_one_would(self, daily: str, exact: str) -> None:
        bills = bill_daily(daily, 30)

        assert sum(bill.total_nanos for bill in bills) == nanos(exact)
        assert all(bill.carry_nanos == bill.rounding_nanos for bill in bills)

    def test_alternates_between_nothing_and_a_cent_for_half_cents(self) -> None:
        bills = bill_daily("0.005", 4)

        assert [bill.subtotal_nanos for bill in bills] == [CENT, 0, CENT, 0]
        assert [bill.rounding_nanos for bill in bills] == [
            nanos("0.005"),
            nanos("-0.005"),
            nanos("0.005"),
            nanos("-0.005"),
        ]

    def test_makes_small_invoices_with_tax_inside_bill_what_one_would(self) -> None:
        bills = bill_daily("0.004", 30, ("0.2",), is_inclusive=True)

        assert sum(bill.total_nanos for bill in bills) == nanos("0.12")

    def test_leaves_every_whole_price_with_tax_inside_as_it_is(self) -> None:
        bills = bill_daily("9.99", 3, ("0.2",), is_inclusive=True)

        assert [bill.total_nanos for bill in bills] == [nanos("9.99")] * 3
        assert [bill.carry_nanos for bill in bills] == [0, 0, 0]

    def test_takes_off_what_was_rounded_up_before(self) -> None:
        totals = total(before_tax("0.008"), carried="0.004")

        assert (totals.subtotal_nanos, totals.rounding_nanos) == (0, nanos("-0.008"))

    def test_never_bills_less_than_nothing(self) -> None:
        totals = total(before_tax("0.001"), carried="0.03")

        assert (totals.subtotal_nanos, totals.carry_nanos) == (0, nanos("-0.001"))

    def test_does_not_turn_an_empty_invoice_after_half_a_cent_below_zero(self) -> None:
        totals = total(before_tax("0"), carried="0.005")

        assert (totals.subtotal_nanos, totals.rounding_nanos, totals.carry_nanos) == (0, 0, 0)


class TestTaxAdded:
    def test_is_computed_on_the_rounded_subtotal(self) -> None:
        totals = total(before_tax("9.955", 0), before_tax("7.485", 0), rates=("0.085",))

        assert totals.subtotal_nanos == nanos("17.44")
        assert totals.tax_nanos == nanos("1.48")  # 1.4824
        assert totals.total_nanos == nanos("18.92")
        assert totals.taxes == (
            TaxTotal(
                rate_number=0, is_inclusive=False, base_nanos=nanos("17.44"), amount_nanos=nanos("1.48")
            ),
        )
        assert [line.gross_nanos for line in totals.lines] == [nanos("10.801175"), nanos("8.121225")]

    def test_is_rounded_half_up(self) -> None:
        assert total(before_tax("0.10", 0), rates=("0.05",)).tax_nanos == CENT  # 0.005

    def test_is_rounded_once_from_the_exact_product(self) -> None:
        # 0.0049999999999996: a rounding to nanos on the way would make it 0.005, and that a cent.
        assert total(before_tax("1", 0), rates=("0.0049999999999996",)).tax_nanos == 0

    def test_shares_the_subtotal_among_the_rates_by_largest_remainder(self) -> None:
        totals = total(
            before_tax("3.334", 0), before_tax("3.333", 1), before_tax("3.333"), rates=("0.2", "0.1")
        )

        assert totals.subtotal_nanos == nanos("10.00")
        assert [(tax.base_nanos, tax.amount_nanos) for tax in totals.taxes] == [
            (nanos("3.34"), nanos("0.67")),
            (nanos("3.33"), nanos("0.33")),
        ]
        assert totals.total_nanos == nanos("11.00")

    def test_of_a_line_below_zero_takes_tax_off(self) -> None:
        totals = total(before_tax("100", 0), before_tax("-100.004", 1), rates=("0.2", "0.1"))

        assert totals.subtotal_nanos == 0
        assert [(tax.base_nanos, tax.amount_nanos) for tax in totals.taxes] == [
            (nanos("100.00"), nanos("20.00")),
            (nanos("-100.00"), nanos("-10.00")),
        ]

    def test_at_no_percent_is_a_row_of_nothing(self) -> None:
        totals = total(before_tax("5", 0), rates=("0",))

        assert totals.taxes == (
            TaxTotal(rate_number=0, is_inclusive=False, base_nanos=nanos("5"), amount_nanos=0),
        )

    def test_of_yen_is_whole_yen(self) -> None:
        totals = total(before_tax("1234.5", 0), rates=("0.1",), minor_unit_nanos=YEN)

        assert (totals.subtotal_nanos, totals.tax_nanos) == (nanos("1235"), nanos("124"))  # 123.5

    def test_of_dinars_has_three_digits(self) -> None:
        totals = total(before_tax("1.2345", 0), rates=("0.15",), minor_unit_nanos=FILS)

        assert (totals.subtotal_nanos, totals.tax_nanos) == (nanos("1.235"), nanos("0.185"))  # 0.18525


class TestTaxInside:
    def test_leaves_the_price_as_the_total(self) -> None:
        totals = total(tax_inside("9.99", 0), rates=("0.2",))

        assert totals == Totals(
            lines=(LineTotal(net_nanos=nanos("8.325"), gross_nanos=nanos("9.99")),),
            taxes=(
                TaxTotal(
                    rate_number=0, is_inclusive=True, base_nanos=nanos("8.32"), amount_nanos=nanos("1.67")
                ),
            ),
            lines_nanos=nanos("8.325"),
            rounding_nanos=nanos("-0.005"),
            subtotal_nanos=nanos("8.32"),
            tax_nanos=nanos("1.67"),
            total_nanos=nanos("9.99"),
            carry_nanos=0,
        )

    def test_is_shared_among_the_rates(self) -> None:
        totals = total(tax_inside("10.005", 0), tax_inside("5.005", 1), rates=("0.2", "0.05"))

        assert totals.total_nanos == nanos("15.01")
        assert [(tax.base_nanos, tax.amount_nanos) for tax in totals.taxes] == [
            (nanos("8.34"), nanos("1.67")),  # 10.01 / 6 = 1.6683...
            (nanos("4.76"), nanos("0.24")),  # 5.00 / 21 = 0.238...
        ]
        assert totals.subtotal_nanos == nanos("13.10")

    def test_stays_inside_beside_prices_before_tax(self) -> None:
        totals = total(before_tax("10", 0), tax_inside("12", 0), rates=("0.2",))

        assert [(tax.is_inclusive, tax.base_nanos, tax.amount_nanos) for tax in totals.taxes] == [
            (False, nanos("10"), nanos("2")),
            (True, nanos("10"), nanos("2")),
        ]
        assert (totals.subtotal_nanos, totals.total_nanos) == (nanos("20"), nanos("24"))

    def test_is_nothing_where_no_rate_applies(self) -> None:
        totals = total(tax_inside("9.99"))

        assert (totals.subtotal_nanos, totals.total_nanos, totals.taxes) == (nanos("9.99"), nanos("9.99"), ())


class TestShareOut:
    @pytest.mark.parametrize(
        ("total_nanos", "amounts", "shares"),
        [
            (10, [3, 3, 3], [4, 3, 3]),  # Equal remainders: the earlier wins.
            (10, [1, 1, 8], [1, 1, 8]),
            (0, [2, -2], [2, -2]),
            (3, [2, 1], [2, 1]),
            (-10, [-3, -3, -3], [-4, -3, -3]),
            (5, [0, 0], [3, 2]),
            (0, [1, 0], [0, 0]),
            (7, [7, 0], [7, 0]),
        ],
    )
    def test_gives_whole_steps_by_largest_remainder(
        self, total_nanos: int, amounts: list[int], shares: list[int]
    ) -> None:
        assert share_out(total_nanos * CENT, [amount * CENT for amount in amounts], step_nanos=CENT) == [
            share * CENT for share in shares
        ]

    def test_refuses_a_total_that_is_not_rounded(self) -> None:
        with pytest.raises(AssertionError, match="is not a multiple"):
            share_out(15, [1, 2], step_nanos=10)
