"""How far an import is, where several chunks are under way at once: what is done, and what is left."""

from collections.abc import Sequence
from typing import NamedTuple

from metering.importing.records import Place, Section


class Span(NamedTuple):
    """A stretch of a file, of whole records."""

    starts_at: Place
    ends_at: Place


class Progress(NamedTuple):
    """All before `done_to` is done, and so are these spans after it, which are in order."""

    done_to: Place
    spans: Sequence[Span] = ()


def add_span(progress: Progress, span: Span) -> Progress:
    """Note that one more span is done."""
    done_to, rest = progress.done_to, []
    for one in sorted([*progress.spans, span]):
        if one.starts_at.position <= done_to.position:
            done_to = max(done_to, one.ends_at)
        else:
            rest.append(one)
    return Progress(done_to, rest)


def list_sections(progress: Progress) -> list[Section]:
    """List what is left: the gaps, and from the last span on to the end."""
    bounds = [progress.done_to, *(span.ends_at for span in progress.spans)]
    ends = [*(span.starts_at.position for span in progress.spans), None]
    return [Section(start, end) for start, end in zip(bounds, ends, strict=True)]


def is_line_done(progress: Progress, line: int) -> bool:
    """Tell whether the record that begins at a line is done."""
    return line < progress.done_to.line or any(
        span.starts_at.line <= line < span.ends_at.line for span in progress.spans
    )
