"""How far an import is, where several chunks are under way at once: what is done, and what is left."""

from collections.abc import Sequence
from typing import NamedTuple

from metering.importing.records import Place, Section

WHOLE = (0,)


class Span(NamedTuple):
    """A stretch of a file, of whole records, that was dealt into so many chunks; those numbers are done."""

    starts_at: Place
    ends_at: Place
    chunk_count: int = 1
    done: Sequence[int] = WHOLE

    @property
    def is_done(self) -> bool:
        """Whether all of its records are."""
        return len(self.done) == self.chunk_count


class Progress(NamedTuple):
    """All before `done_to` is done, and so are these spans after it, or parts of them; they are in order."""

    done_to: Place
    spans: Sequence[Span] = ()


class Rest(NamedTuple):
    """What is left in a section: all of it, or, of a span that was dealt into chunks, those not done."""

    section: Section
    span: Span | None = None


def add_span(progress: Progress, span: Span) -> Progress:
    """Note that one more span is done, or some of its chunks."""
    done_to, rest = progress.done_to, []
    known = [one for one in progress.spans if one.starts_at == span.starts_at]
    others = [one for one in progress.spans if one.starts_at != span.starts_at]
    done = {number for one in (*known, span) for number in one.done}
    for one in sorted([*others, span._replace(done=tuple(sorted(done)))]):
        if one.is_done and one.starts_at.position <= done_to.position:
            done_to = max(done_to, one.ends_at)
        else:
            rest.append(one)
    return Progress(done_to, rest)


def list_rest(progress: Progress) -> list[Rest]:
    """List what is left: the gaps, the spans that are not done, and from the last of them on to the end."""
    rest = []
    done_to = progress.done_to
    for span in progress.spans:
        if done_to.position < span.starts_at.position:
            rest.append(Rest(Section(done_to, span.starts_at.position)))
        if not span.is_done:
            rest.append(Rest(Section(span.starts_at, span.ends_at.position), span))
        done_to = span.ends_at
    return [*rest, Rest(Section(done_to))]


def is_line_reached(progress: Progress, line: int) -> bool:
    """Tell whether the record that begins at a line is done, or in a span that is done in part."""
    return line < progress.done_to.line or any(
        span.starts_at.line <= line < span.ends_at.line for span in progress.spans
    )
