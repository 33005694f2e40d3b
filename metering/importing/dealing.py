"""Dealing the records of a long stretch out into chunks by customer.

The events and rollups of a customer lie together in their tables and indexes. Where a chunk has the events of
few customers, many of them go to the same pages; in the order of a file, nearly each goes to a page of its
own, which is read, changed and written for it alone. It takes PostgreSQL half the time this way.
"""

from collections.abc import Callable, Iterator

from metering.importing.records import MAX_CHUNK_BYTES, Chunk

# The longer the stretch, the more events of one customer are in it. It is all in memory, once.
STRETCH_CHUNKS = 10
MAX_STRETCH_BYTES = 2 * MAX_CHUNK_BYTES


def count_chunks(stretch: Chunk, *, size: int) -> int:
    """Tell how many chunks of at most so many records a stretch makes; more if they are long."""
    size_bytes = sum(map(len, stretch.records))
    return max(-(-len(stretch.records) // size), -(-size_bytes // MAX_CHUNK_BYTES), 1)


def deal(stretch: Chunk, *, count: int, find_customer: Callable[[bytes], bytes]) -> Iterator[Chunk]:
    """Deal a stretch out into so many chunks, alike in length, and always in the same way.

    In a chunk, records are in the order of the stretch. `find_customer` need not be right about them: those
    that it takes for one customer's come together, and that is all.
    """
    customers = list(map(find_customer, stretch.records))
    order = sorted(range(len(customers)), key=customers.__getitem__)
    for number in range(count):
        own = sorted(order[len(order) * number // count : len(order) * (number + 1) // count])
        yield Chunk(
            starts_at=stretch.starts_at,
            ends_at=stretch.ends_at,
            records=[stretch.records[place] for place in own],
            lines=[stretch.lines[place] for place in own],
            number=number,
            count=count,
        )
