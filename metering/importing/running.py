"""Importing a source from where it is to its end: in this process, or in several at once."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from billing_project.core.contention import try_again
from metering.importing.formats import Decoder, decode_records
from metering.importing.operations import import_chunk
from metering.importing.progress import Progress, Span, list_sections
from metering.importing.records import Chunk, gather
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
                span=Span(chunk.starts_at, chunk.ends_at),
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
        for section in list_sections(progress)
        for chunk in gather(source.iterate_records(section), starts_at=section.starts_at, size=chunk_size)
    )
    if process_count == 1:
        yield from map(chunk_import, chunks)
        return
    with closing(Workers(process_count, chunk_import)) as workers:
        yield from workers.run(chunks)
