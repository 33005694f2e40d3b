from datetime import UTC, datetime
from uuid import UUID

import pytest

from subscriptions.timeline import Shift, Stretch, Terms, fold, lay

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
SMALL = UUID(int=1)
LARGE = UUID(int=2)
FIVE = Terms(plan_version_id=SMALL, quantities={"seats": "5"})


def on(day: int) -> datetime:
    """Write a day of the month."""
    return datetime(2026, 3, day, tzinfo=UTC)


class TestShift:
    def test_changes_a_quantity(self) -> None:
        changed = Shift(at=START, quantities={"seats": "8"}).change(FIVE)

        assert changed == Terms(plan_version_id=SMALL, quantities={"seats": "8"})

    def test_passes_over_a_quantity_that_is_not_licensed(self) -> None:
        assert Shift(at=START, quantities={"rooms": "8"}).change(FIVE) == FIVE

    def test_licenses_what_the_new_plan_has(self) -> None:
        shift = Shift(
            at=START, plan_version_id=LARGE, quantities={"seats": None, "rooms": None, "desks": "3"}
        )

        assert shift.change(FIVE) == Terms(
            plan_version_id=LARGE, quantities={"seats": "5", "rooms": "1", "desks": "3"}
        )

    def test_drops_what_the_new_plan_has_not(self) -> None:
        shift = Shift(at=START, plan_version_id=LARGE, quantities={})

        assert shift.change(FIVE) == Terms(plan_version_id=LARGE)

    def test_pauses_and_resumes(self) -> None:
        paused = Shift(at=START, is_paused=True).change(FIVE)

        assert paused == Terms(plan_version_id=SMALL, quantities={"seats": "5"}, is_paused=True)
        assert Shift(at=START, is_paused=False).change(paused) == FIVE
        assert Shift(at=START, quantities={"seats": "8"}).change(paused).is_paused

    def test_gives_and_takes_a_price(self) -> None:
        priced = Shift(at=START, overrides={"seats": {"pricing_model": "Flat"}}).change(FIVE)

        assert priced.overrides == {"seats": {"pricing_model": "Flat"}}
        assert Shift(at=START, plan_version_id=LARGE).change(priced).overrides == priced.overrides
        assert Shift(at=START, overrides={"seats": None}).change(priced) == FIVE


class TestFold:
    def test_makes_the_shifts_up_to_an_instant_in_their_order(self) -> None:
        shifts = [Shift(at=on(5), quantities={"seats": str(count)}) for count in (6, 7)]
        later = Shift(at=on(6), quantities={"seats": "9"})

        assert fold(FIVE, [*shifts, later], until=on(4)) == FIVE
        assert fold(FIVE, [*shifts, later], until=on(5)).quantities == {"seats": "7"}
        assert fold(FIVE, [*shifts, later], until=on(6)).quantities == {"seats": "9"}


class TestLay:
    def test_is_one_stretch_where_nothing_changes(self) -> None:
        assert lay(starts_at=START, ends_at=END, terms=FIVE, shifts=[]) == (Stretch(START, END, FIVE),)

    def test_parts_the_span_at_each_shift(self) -> None:
        paused = Shift(at=on(10), is_paused=True)
        resumed = Shift(at=on(20), is_paused=False)

        assert lay(starts_at=START, ends_at=END, terms=FIVE, shifts=[paused, resumed]) == (
            Stretch(START, on(10), FIVE),
            Stretch(on(10), on(20), paused.change(FIVE)),
            Stretch(on(20), END, FIVE),
        )

    def test_begins_with_what_was_changed_before(self) -> None:
        shift = Shift(at=START, plan_version_id=LARGE)

        assert lay(starts_at=START, ends_at=END, terms=FIVE, shifts=[shift]) == (
            Stretch(START, END, shift.change(FIVE)),
        )

    def test_leaves_what_comes_at_the_end_to_the_next(self) -> None:
        shift = Shift(at=END, plan_version_id=LARGE)

        assert lay(starts_at=START, ends_at=END, terms=FIVE, shifts=[shift]) == (Stretch(START, END, FIVE),)

    @pytest.mark.parametrize(
        "shifts",
        [
            [Shift(at=on(10), quantities={"seats": "5"})],
            [Shift(at=on(10), is_paused=True), Shift(at=on(10), is_paused=False)],
        ],
        ids=["no change", "undone at once"],
    )
    def test_is_not_parted_by_what_changes_nothing(self, shifts: list[Shift]) -> None:
        assert lay(starts_at=START, ends_at=END, terms=FIVE, shifts=shifts) == (Stretch(START, END, FIVE),)

    def test_goes_on_after_what_was_undone_at_once(self) -> None:
        later = Shift(at=on(20), quantities={"seats": "8"})
        shifts = [Shift(at=on(10), is_paused=True), Shift(at=on(10), is_paused=False), later]

        assert lay(starts_at=START, ends_at=END, terms=FIVE, shifts=shifts) == (
            Stretch(START, on(20), FIVE),
            Stretch(on(20), END, later.change(FIVE)),
        )

    def test_keeps_a_span_without_length(self) -> None:
        shift = Shift(at=START, plan_version_id=LARGE)

        assert lay(starts_at=START, ends_at=START, terms=FIVE, shifts=[shift]) == (
            Stretch(START, START, shift.change(FIVE)),
        )
