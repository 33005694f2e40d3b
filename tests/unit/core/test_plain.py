"""Values as plain JSON."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from billing_project.core.actors import ActorKind
from billing_project.core.models import ApiKeyRole
from billing_project.core.plain import to_plain

SOME_ID = UUID("01944b1f-0000-7000-8000-000000000001")


class TestToPlain:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (True, True),
            (7, 7),
            ("text", "text"),
            (Decimal("0.10"), "0.10"),
            (Decimal("1E+30"), "1" + "0" * 30),
            (datetime(2026, 2, 28, 14, 30, tzinfo=UTC), "2026-02-28T14:30:00Z"),
            (datetime(2026, 2, 28, 14, 30, tzinfo=timezone(timedelta(hours=2))), "2026-02-28T12:30:00Z"),
            (date(2026, 2, 28), "2026-02-28"),
            (SOME_ID, str(SOME_ID)),
            (ApiKeyRole.READ_ONLY, "ReadOnly"),
            (ActorKind.API_KEY, "ApiKey"),
            ({"b": [1, (2, None)]}, {"b": [1, [2, None]]}),
            (frozenset({"b", "a"}), ["a", "b"]),
        ],
    )
    def test_makes_json(self, value: object, expected: object) -> None:
        assert to_plain(value) == expected
        assert type(to_plain(value)) is type(expected)

    def test_writes_amounts_as_strings_wherever_they_are(self) -> None:
        value = {"total_nanos": 10**37, "lines": [{"amount_nanos": -1, "count": 2}]}

        assert to_plain(value) == {"total_nanos": str(10**37), "lines": [{"amount_nanos": "-1", "count": 2}]}

    def test_refuses_a_float(self) -> None:
        with pytest.raises(AssertionError, match="price cannot be kept as JSON: float"):
            to_plain(0.1, name="price")

    def test_refuses_a_time_without_zone(self) -> None:
        with pytest.raises(AssertionError, match="no time zone"):
            to_plain(datetime(2026, 2, 28))  # noqa: DTZ001 (what is refused)

    @pytest.mark.parametrize("name", ["password", "key_hash", "token", "X-API-Key"])
    def test_refuses_a_secret_by_its_name(self, name: str) -> None:
        with pytest.raises(AssertionError, match="is a secret"):
            to_plain({name: "x"})

    def test_takes_a_key_out_of_a_text(self) -> None:
        assert to_plain("used bsk_test_AbC-_9 twice") == "used bsk_test_[redacted] twice"
