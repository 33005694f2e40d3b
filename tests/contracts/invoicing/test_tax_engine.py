"""What every tax engine in the settings keeps to. An operator's own is tested by adding it there."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.conf import settings

from invoicing.invoices.totals import Chargeable, total_lines
from invoicing.tax.selection import UnknownTaxEngine, get_engine
from invoicing.tax.types import TaxableLine, TaxableParty, TaxRequest

ADDRESS = {"line1": "1 Main St", "city": "Springfield", "region": "IL", "country": "US"}
LINES = (
    TaxableLine(charge_nanos=9955000000000, is_inclusive=False, tax_category="saas"),
    TaxableLine(charge_nanos=12 * 10**12, is_inclusive=True, tax_category=""),
    TaxableLine(charge_nanos=-(10**12), is_inclusive=False, tax_category="saas"),
    TaxableLine(charge_nanos=0, is_inclusive=False, tax_category="books"),
)
REQUEST = TaxRequest(
    at=datetime(2026, 2, 28, 12, 0, tzinfo=UTC),
    currency="USD",
    seller=TaxableParty(tax_id="", address=ADDRESS),
    customer=TaxableParty(tax_id="", address=ADDRESS),
    flat_rate_bps=850,
    lines=LINES,
)


@pytest.mark.parametrize("name", settings.TAX_ENGINES)
class TestEveryEngine:
    def test_answers_for_each_line(self, name: str) -> None:
        assessment = get_engine(name).assess(REQUEST)

        assert len(assessment.rate_numbers) == len(LINES)

    def test_gives_rates_that_can_be_shown(self, name: str) -> None:
        for rate in get_engine(name).assess(REQUEST).rates:
            assert rate.code
            assert rate.description
            assert isinstance(rate.rate, Decimal)
            assert 0 <= rate.rate <= 3
            assert max(len(rate.code), len(rate.jurisdiction)) <= 64
            assert len(rate.description) <= 200

    def test_gives_the_same_answer_to_the_same_question(self, name: str) -> None:
        engine = get_engine(name)

        assert engine.assess(REQUEST) == engine.assess(REQUEST)

    def test_answers_about_nothing(self, name: str) -> None:
        assessment = get_engine(name).assess(replace(REQUEST, lines=()))

        assert (assessment.rates, assessment.rate_numbers) == ((), ())

    def test_knows_sellers_and_customers_without_an_address(self, name: str) -> None:
        nobody = TaxableParty(tax_id="", address={})

        assert get_engine(name).assess(replace(REQUEST, seller=nobody, customer=nobody)) is not None

    def test_gives_rates_whose_tax_adds_up(self, name: str) -> None:
        assessment = get_engine(name).assess(REQUEST)
        lines = [
            Chargeable(
                charge_nanos=line.charge_nanos, is_inclusive=line.is_inclusive, rate_number=rate_number
            )
            for line, rate_number in zip(LINES, assessment.rate_numbers, strict=True)
        ]

        totals = total_lines(
            lines, [rate.rate for rate in assessment.rates], carried_nanos=0, minor_unit_nanos=10**10
        )

        assert totals.lines_nanos + totals.rounding_nanos + totals.tax_nanos == totals.total_nanos


class TestNone:
    def test_taxes_nothing(self) -> None:
        assert get_engine("None").assess(REQUEST).rates == ()


class TestFlatRate:
    def test_taxes_every_line_alike(self) -> None:
        assessment = get_engine("FlatRate").assess(REQUEST)

        (rate,) = assessment.rates
        assert (rate.code, rate.description, rate.rate, rate.jurisdiction) == (
            "flat",
            "Tax 8.5%",
            Decimal("0.085"),
            "US",
        )
        assert assessment.rate_numbers == (0, 0, 0, 0)

    @pytest.mark.parametrize(
        ("bps", "description", "rate"),
        [
            (1, "Tax 0.01%", "0.0001"),
            (725, "Tax 7.25%", "0.0725"),
            (2000, "Tax 20%", "0.2"),
            (10_000, "Tax 100%", "1"),
        ],
    )
    def test_reads_basis_points(self, bps: int, description: str, rate: str) -> None:
        (found,) = get_engine("FlatRate").assess(replace(REQUEST, flat_rate_bps=bps)).rates

        assert (found.description, found.rate) == (description, Decimal(rate))

    def test_exempts_customers_with_a_tax_id(self) -> None:
        customer = TaxableParty(tax_id="DE123456789", address=ADDRESS)

        assert get_engine("FlatRate").assess(replace(REQUEST, customer=customer)).rates == ()

    def test_taxes_nothing_at_a_rate_of_zero(self) -> None:
        assert get_engine("FlatRate").assess(replace(REQUEST, flat_rate_bps=0)).rates == ()


class TestGetEngine:
    def test_names_the_engines_that_there_are(self) -> None:
        with pytest.raises(UnknownTaxEngine, match="'Oracle'; this install has None, FlatRate"):
            get_engine("Oracle")
