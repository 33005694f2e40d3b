"""Progress with several chunks under way: nothing is done twice, and nothing left out."""

from hypothesis import given
from hypothesis import strategies as st

from metering.importing.progress import Progress, Span, add_span, is_line_done, list_sections
from metering.importing.records import START, Place, Section


def place(number: int) -> Place:
    return Place(number * 10, number + 1)


def span(number: int) -> Span:
    """Write the span of the chunk of that number, of ten bytes and one line."""
    return Span(place(number), place(number + 1))


class TestAddSpan:
    def test_moves_on_with_the_next_span(self) -> None:
        assert add_span(Progress(START), span(0)) == Progress(place(1), [])

    def test_keeps_a_span_that_is_ahead(self) -> None:
        assert add_span(Progress(START), span(2)) == Progress(START, [span(2)])

    def test_takes_up_spans_that_waited(self) -> None:
        progress = Progress(START, [span(1), span(3)])

        assert add_span(progress, span(0)) == Progress(place(2), [span(3)])

    @given(order=st.permutations(range(8)))
    def test_comes_to_the_end_in_any_order(self, order: list[int]) -> None:
        progress = Progress(START)
        for number in order:
            assert any(section.starts_at <= place(number) for section in list_sections(progress))
            progress = add_span(progress, span(number))

        assert progress == Progress(place(8), [])

    @given(done=st.sets(st.integers(0, 7)))
    def test_leaves_just_what_is_not_done(self, done: set[int]) -> None:
        progress = Progress(START)
        for number in done:
            progress = add_span(progress, span(number))

        left = {
            number
            for number in range(8)
            for section in list_sections(progress)
            if section.starts_at.position <= number * 10
            and (section.end_position is None or number * 10 < section.end_position)
        }
        assert left == set(range(8)) - done
        assert {number for number in range(8) if is_line_done(progress, place(number).line)} == done


class TestListSections:
    def test_lists_the_gaps_and_the_rest(self) -> None:
        progress = Progress(place(1), [span(2), span(4)])

        assert list_sections(progress) == [
            Section(place(1), 20),
            Section(place(3), 40),
            Section(place(5), None),
        ]

    def test_of_a_beginning_is_all(self) -> None:
        assert list_sections(Progress(START)) == [Section(START, None)]
