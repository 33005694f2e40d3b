"""What is true of any series of bills of a segment, whatever its price."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.registry import build_model
from catalog.pricing.types import Pricing, Stage, Usage
from invoicing.rating.items import RatingItem, RatingKind
from invoicing.rating.lines import RatedLine, rate_items

QUANTITIES = st.decimals(0, 10**9, places=3, allow_nan=False, allow_infinity=False)
AMOUNTS = st.integers(0, 10**15)
SHARES = st.fractions(0, 1, max_denominator=366)


@st.composite
def prices(draw: st.DrawFn) -> Pricing:
    """Draw a price: flat, per unit or in tiers, with or without free units, a minimum and a maximum."""
    bounds = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    params: dict[str, object] = draw(
        st.sampled_from(["Flat", "PerUnit", "Graduated"]).map(lambda name: {"pricing_model": name})
    )
    name = str(params.pop("pricing_model"))
    if name == "Graduated":
        params["tiers"] = [
            {
                "up_to": None if bound is None else str(bound),
                "unit_amount_nanos": str(draw(AMOUNTS)),
                "flat_amount_nanos": str(draw(AMOUNTS)),
            }
            for bound in [*bounds, None]
        ]
    else:
        params["unit_amount_nanos"] = str(draw(AMOUNTS))
    if name != "Flat" and draw(st.booleans()):
        params["free_units"] = str(draw(st.integers(1, 10**6)))
    if draw(st.booleans()):
        minimum = draw(AMOUNTS)
        params |= {"minimum_nanos": str(minimum), "maximum_nanos": str(minimum + draw(AMOUNTS))}
    return build_model(name, params)


def bill_in_parts(
    model: Pricing, quantities: list[Decimal], *, kind: RatingKind, share: Fraction
) -> list[RatedLine]:
    """Bill a segment as its quantity grows, each bill knowing the earlier ones; the last is final."""
    lines: list[RatedLine] = []
    for number, quantity in enumerate(quantities, start=1):
        item = RatingItem(
            key="key",
            kind=kind,
            item_id=UUID(int=1),
            sku_id=UUID(int=2),
            meter_id=None,
            segment_id=UUID(int=3),
            subscription_id=UUID(int=4),
            description="Tokens",
            unit="",
            model=model,
            share=share,
            quantity=quantity,
            late_quantity=Decimal(0),
            is_free=False,
            billed_nanos=sum(line.charge_nanos for line in lines),
            billed_quantity=sum((line.quantity for line in lines), Decimal(0)),
            tax_behavior="Exclusive",
            tax_category="",
            period_start=datetime(2026, 1, 1, tzinfo=UTC),
            period_end=datetime(2026, 2, 1, tzinfo=UTC),
        )
        lines.extend(
            rate_items([item], stage=Stage.FINAL if number == len(quantities) else Stage.IN_PROGRESS)
        )
    return lines


class TestRateItems:
    @given(prices(), st.lists(QUANTITIES, min_size=1, max_size=6), SHARES)
    def test_bills_usage_in_parts_as_it_would_at_once(
        self, model: Pricing, growth: list[Decimal], share: Fraction
    ) -> None:
        quantities = list(accumulate(growth))
        in_parts = bill_in_parts(model, quantities, kind=RatingKind.USAGE, share=share)
        at_once = bill_in_parts(model, quantities[-1:], kind=RatingKind.USAGE, share=share)

        assert sum(line.charge_nanos for line in in_parts) == sum(line.charge_nanos for line in at_once)
        assert sum(line.quantity for line in in_parts) == quantities[-1]

    @given(prices(), st.lists(QUANTITIES, min_size=1, max_size=4), SHARES, st.sampled_from(RatingKind))
    def test_explains_every_line_by_its_steps(
        self, model: Pricing, quantities: list[Decimal], share: Fraction, kind: RatingKind
    ) -> None:
        for line in bill_in_parts(model, quantities, kind=kind, share=share):
            assert sum(int(step["amount_nanos"]) for step in line.steps) == line.charge_nanos

    @given(prices(), QUANTITIES, SHARES)
    def test_prorates_a_fee_to_within_half_a_nano(
        self, model: Pricing, quantity: Decimal, share: Fraction
    ) -> None:
        (line,) = bill_in_parts(model, [quantity], kind=RatingKind.FEE, share=share)

        exact = model.charge(Usage.of(quantity), Stage.FINAL).amount_nanos * share
        assert 2 * abs(line.charge_nanos - exact) <= 1
