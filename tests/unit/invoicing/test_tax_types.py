"""Questions to tax engines, and their answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from invoicing.tax.types import TaxableLine, TaxableParty, TaxAssessment, TaxRate, TaxRequest

LINE = TaxableLine(charge_nanos=5, is_inclusive=False, tax_category="saas")
PARTY = TaxableParty(tax_id="", address={"country": "US"})
REQUEST = TaxRequest(
    at=datetime(2026, 2, 28, tzinfo=UTC),
    currency="USD",
    seller=PARTY,
    customer=PARTY,
    flat_rate_bps=850,
    lines=(LINE, LINE),
)
RATE = TaxRate(code="flat", description="Tax", rate=Decimal("0.2"))


def fingerprint(request: TaxRequest, *, engine: str = "FlatRate", carried_nanos: int = 0) -> str:
    return request.fingerprint(engine=engine, carried_nanos=carried_nanos)


class TestFingerprint:
    def test_is_the_same_at_any_time(self) -> None:
        later = replace(REQUEST, at=REQUEST.at + timedelta(days=1))

        assert fingerprint(later) == fingerprint(replace(REQUEST))
        assert len(fingerprint(REQUEST)) == 64

    @pytest.mark.parametrize(
        "request_",
        [
            replace(REQUEST, currency="EUR"),
            replace(REQUEST, flat_rate_bps=851),
            replace(REQUEST, seller=replace(PARTY, tax_id="X")),
            replace(REQUEST, customer=replace(PARTY, tax_id="X")),
            replace(REQUEST, customer=replace(PARTY, address={"country": "CA"})),
            replace(REQUEST, lines=(LINE,)),
            replace(REQUEST, lines=(LINE, replace(LINE, charge_nanos=6))),
            replace(REQUEST, lines=(LINE, replace(LINE, is_inclusive=True))),
            replace(REQUEST, lines=(LINE, replace(LINE, tax_category="books"))),
        ],
    )
    def test_is_another_for_another_question(self, request_: TaxRequest) -> None:
        assert fingerprint(request_) != fingerprint(REQUEST)

    def test_is_another_for_another_engine_or_rounding(self) -> None:
        assert fingerprint(REQUEST, engine="None") != fingerprint(REQUEST)
        assert fingerprint(REQUEST, carried_nanos=1) != fingerprint(REQUEST)


class TestTaxAssessment:
    def test_refuses_a_rate_that_is_not_there(self) -> None:
        with pytest.raises(AssertionError, match="1 rates, but the lines use"):
            TaxAssessment(rates=(RATE,), rate_numbers=(0, 1))

    def test_refuses_a_rate_that_no_line_has(self) -> None:
        with pytest.raises(AssertionError, match="1 rates, but the lines use"):
            TaxAssessment(rates=(RATE,), rate_numbers=(None, None))

    def test_refuses_a_rate_below_zero(self) -> None:
        with pytest.raises(AssertionError, match="never below zero"):
            TaxAssessment(rates=(replace(RATE, rate=Decimal(-1)),), rate_numbers=(0,))

    def test_can_be_that_nothing_is_taxed(self) -> None:
        assert TaxAssessment.untaxed(REQUEST) == TaxAssessment(rates=(), rate_numbers=(None, None))
