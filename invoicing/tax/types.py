"""What a tax engine is asked, and what it answers. Pure: a question can be hashed, kept and asked again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from billing_project.core.errors import UpstreamFailed


class TaxUnavailable(UpstreamFailed):
    """The tax engine did not answer; the tax is pending until it does."""

    code = "tax_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxableLine:
    """A line to be taxed: its charge as priced, before tax or with the tax inside."""

    charge_nanos: int
    is_inclusive: bool
    tax_category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxableParty:
    """The seller or the customer, as far as tax depends on them."""

    tax_id: str
    address: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRequest:
    """The question: which rates apply to these lines, between these parties, at this time."""

    at: datetime
    currency: str
    seller: TaxableParty
    customer: TaxableParty
    flat_rate_bps: int
    lines: tuple[TaxableLine, ...]

    def fingerprint(self, *, engine: str, carried_nanos: int) -> str:
        """Identify all that the tax on an invoice follows from, but for the time of asking.

        The engine is part of it, and so is the rounding carried from earlier invoices, which moves the taxed
        amount.
        """
        facts = asdict(self) | {"at": None, "engine": engine, "carried_nanos": carried_nanos}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRate:
    """One rate of tax, a fraction: 0.2 is 20 %."""

    code: str
    description: str
    rate: Decimal
    jurisdiction: str = ""
    legal_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxAssessment:
    """The answer: the rates, and for each line of the question the place of its rate in them, or None."""

    rates: tuple[TaxRate, ...]
    rate_numbers: tuple[int | None, ...]

    def __post_init__(self) -> None:
        """Refuse rates that no line has, and lines whose rate is not there."""
        used = {number for number in self.rate_numbers if number is not None}
        assert used == set(range(len(self.rates))), (
            f"{len(self.rates)} rates, but the lines use {sorted(used)}"
        )
        assert all(rate.rate >= 0 for rate in self.rates), "A rate of tax is never below zero"

    @classmethod
    def untaxed(cls, request: TaxRequest) -> "TaxAssessment":
        """Answer that no tax applies to any of the lines."""
        return cls(rates=(), rate_numbers=(None,) * len(request.lines))


class TaxEngine(Protocol):
    """Something that knows rates of tax: a table, or somebody else's service."""

    def assess(self, request: TaxRequest) -> TaxAssessment:
        """Tell the rates that apply. May take a while, so nothing is locked while it runs.

        Raises: TaxUnavailable.
        """
        ...
