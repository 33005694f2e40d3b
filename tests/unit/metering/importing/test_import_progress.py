"""Progress with several chunks under way at once: nothing is done twice, and nothing left out."""

from hypothesis import given
from hypothesis import strategies as st

from metering.importing.progress import Progress, Rest, Span, add_span, is_line_reached, list_rest
from metering.importing.records import START, Place, Section

CHUNKS = 3


def place(number: int) -> Place:
    return Place(number * 10, number + 1)


def span(number: int) -> Span:
    """Write the span of that number, of ten bytes and one line, all done."""
    return Span(place(number), place(number + 1))


def part(number: int, *done: int) -> Span:
    """Write the same span, of which only some chunks are done."""
    return Span(place(number), place(number + 1), CHUNKS, done)


class TestAddSpan:
    def test_moves_on_with_the_next_span(self) -> None:
        assert add_span(Progress(START), span(0)) == Progress(place(1), [])

    def test_keeps_a_span_that_is_ahead(self) -> None:
        assert add_span(Progress(START), span(2)) == Progress(START, [span(2)])

    def test_takes_up_spans_that_waited(self) -> None:
        progress = Progress(START, [span(1), span(3)])

        assert add_span(progress, span(0)) == Progress(place(2), [span(3)])

    def test_waits_for_all_chunks_of_a_span(self) -> None:
        progress = add_span(Progress(START, [part(0, 1), span(1)]), part(0, 0))
        assert progress == Progress(START, [part(0, 0, 1), span(1)])

        assert add_span(progress, part(0, 2)) == Progress(place(2), [])

    def test_counts_a_chunk_once(self) -> None:
        assert add_span(Progress(START, [part(0, 1)]), part(0, 1)) == Progress(START, [part(0, 1)])

    @given(order=st.permutations([(number, chunk) for number in range(5) for chunk in range(CHUNKS)]))
    def test_comes_to_the_end_in_any_order(self, order: list[tuple[int, int]]) -> None:
        progress = Progress(START)
        for number, chunk in order:
            assert (number, chunk) in list_left(progress, 5)
            progress = add_span(progress, part(number, chunk))

        assert progress == Progress(place(5), [])

    @given(done=st.sets(st.tuples(st.integers(0, 4), st.integers(0, CHUNKS - 1))))
    def test_leaves_just_what_is_not_done(self, done: set[tuple[int, int]]) -> None:
        progress = Progress(START)
        for number, chunk in done:
            progress = add_span(progress, part(number, chunk))

        everything = {(number, chunk) for number in range(5) for chunk in range(CHUNKS)}
        assert list_left(progress, 5) == everything - done
        reached = {number for number in range(5) if is_line_reached(progress, place(number).line)}
        assert reached == {number for number, _ in done}


def list_left(progress: Progress, span_count: int) -> set[tuple[int, int]]:
    """List the chunks, each with the number of its span, that are to be imported; each must be there once."""
    left = [
        (number, chunk)
        for section, opened in list_rest(progress)
        for number in range(span_count)
        if section.starts_at.position <= place(number).position
        and (section.end_position is None or place(number).position < section.end_position)
        for chunk in range(CHUNKS)
        if opened is None or chunk not in opened.done
    ]
    assert len(set(left)) == len(left)
    return set(left)


class TestListRest:
    def test_lists_the_gaps_what_is_done_in_part_and_the_rest(self) -> None:
        progress = Progress(place(1), [span(2), part(3, 1), part(5, 0), span(6)])

        assert list_rest(progress) == [
            Rest(Section(place(1), 20)),
            Rest(Section(place(3), 40), part(3, 1)),
            Rest(Section(place(4), 50)),
            Rest(Section(place(5), 60), part(5, 0)),
            Rest(Section(place(7), None)),
        ]

    def test_of_a_beginning_is_all(self) -> None:
        assert list_rest(Progress(START)) == [Rest(Section(START, None))]
