from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.timeline import Shift, Terms, fold, lay

START = datetime(2026, 3, 1, tzinfo=UTC)
LENGTH = 20
TERMS = Terms(plan_version_id=UUID(int=1), quantities={"a": "1", "b": "1"})

HOURS = st.builds(lambda hours: START + timedelta(hours=hours), st.integers(-5, LENGTH + 5))
QUANTITIES = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2", None]), max_size=3)
OVERRIDES = st.dictionaries(st.sampled_from("ab"), st.sampled_from([{"x": 1}, None]), max_size=2)
SHIFTS = st.lists(
    st.builds(
        Shift,
        at=HOURS,
        plan_version_id=st.sampled_from([None, None, UUID(int=1), UUID(int=2)]),
        quantities=QUANTITIES,
        overrides=OVERRIDES,
        is_paused=st.sampled_from([None, True, False]),
    ),
    max_size=8,
).map(lambda shifts: sorted(shifts, key=lambda shift: shift.at))


class TestLay:
    @given(shifts=SHIFTS, hours=st.integers(0, LENGTH))
    def test_tiles_the_span_with_stretches_that_differ(self, shifts: list[Shift], hours: int) -> None:
        end = START + timedelta(hours=hours)

        stretches = lay(starts_at=START, ends_at=end, terms=TERMS, shifts=shifts)

        assert (stretches[0].starts_at, stretches[-1].ends_at) == (START, end)
        for stretch, following in pairwise(stretches):
            assert stretch.starts_at < stretch.ends_at == following.starts_at
            assert stretch.terms != following.terms

    @given(shifts=SHIFTS, at=HOURS)
    def test_has_the_terms_of_each_instant(self, shifts: list[Shift], at: datetime) -> None:
        stretches = lay(starts_at=START, ends_at=START + timedelta(hours=LENGTH), terms=TERMS, shifts=shifts)

        for stretch in stretches:
            if stretch.starts_at <= at < stretch.ends_at:
                assert stretch.terms == fold(TERMS, shifts, until=at)
