"""Importing a source from where it is to its end: in this process, or in several at once."""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from billing_project.core.contention import try_again
from metering.importing.dealing import MAX_STRETCH_BYTES, STRETCH_CHUNKS, count_chunks, deal
from metering.importing.formats import Decoder, decode_records
from metering.importing.operations import import_chunk
from metering.importing.progress import Progress, Span, list_rest
from metering.importing.records import Chunk, Section, gather
from metering.importing.refusals import append_refusals
from metering.importing.sources import Source
from metering.importing.workers import Workers
from metering.ingest.incoming import IngestReport, Refusal


class Counts(msgspec.Struct, frozen=True):
    """What has become of some records."""

    accepted: int
    duplicates: int
    rejected: int


@dataclass(frozen=True, slots=True)
class ChunkImport:
    """What it takes to import a chunk of a file, in whatever process."""

    import_id: UUID
    decoder: Decoder
    report_path: Path
    read_now: Callable[[], datetime]

    def __call__(self, chunk: Chunk) -> Counts:
        """Import a chunk; what is refused goes to the report."""
        events = decode_records(self.decoder, chunk.records)

        def report(refusals: Sequence[Refusal]) -> None:
            append_refusals(self.report_path, chunk=chunk, refusals=refusals)

        def take_in() -> IngestReport:
            return import_chunk(
                import_id=self.import_id,
                span=Span(chunk.starts_at, chunk.ends_at, chunk.count, (chunk.number,)),
                events=events,
                report=report,
                at=self.read_now(),
            )

        taken = try_again(take_in)
        return Counts(taken.accepted, taken.duplicates, taken.rejected)


def run_import(
    *, source: Source, progress: Progress, chunk_import: ChunkImport, chunk_size: int, process_count: int
) -> Generator[Counts, None, None]:
    """Import what is left of a source, chunk by chunk; yields what has become of each as it is stored.

    Raises: DamagedStream, once all before it is stored; WorkFailed.
    """
    chunks = (
        chunk
        for rest in list_rest(progress)
        for chunk in (
            _iterate_chunks(source, rest.section, chunk_size=chunk_size)
            if rest.span is None
            else _iterate_left_chunks(source, rest.section, rest.span)
        )
    )
    if process_count == 1:
        yield from map(chunk_import, chunks)
        return
    with closing(Workers(process_count, chunk_import)) as workers:
        yield from workers.run(chunks)


def list_open_lines(source: Source, progress: Progress) -> set[int]:
    """List the lines that are not done in those spans that are done in part."""
    return {
        line
        for rest in list_rest(progress)
        if rest.span is not None
        for chunk in _iterate_left_chunks(source, rest.section, rest.span)
        for line in chunk.lines
    }


def _iterate_chunks(source: Source, section: Section, *, chunk_size: int) -> Iterator[Chunk]:
    """Read a section stretch by stretch, and deal each out."""
    for stretch in gather(
        source.iterate_records(section),
        starts_at=section.starts_at,
        size=STRETCH_CHUNKS * chunk_size,
        max_bytes=MAX_STRETCH_BYTES,
    ):
        count = count_chunks(stretch, size=chunk_size)
        yield from deal(stretch, count=count, find_customer=source.decoder.find_customer)


def _iterate_left_chunks(source: Source, section: Section, span: Span) -> Iterator[Chunk]:
    """Read a span that is done in part: it is dealt out as it was, whatever the size of chunks is now."""
    for stretch in gather(
        source.iterate_records(section), starts_at=section.starts_at, size=sys.maxsize, max_bytes=sys.maxsize
    ):
        for chunk in deal(stretch, count=span.chunk_count, find_customer=source.decoder.find_customer):
            if chunk.number not in span.done:
                yield chunk
