"""Numbers without gaps. A number belongs to the transaction that takes it, and goes back if that fails."""

from django.db import connection

from billing_project.core.models import NumberSequence


def take_number(series: str) -> int:
    """Take the next number of a series. Its lock is held to the end of the transaction, so take it last.

    Locks: number sequence.
    """
    return take_numbers(series, 1)[0]


def take_numbers(series: str, count: int) -> range:
    """Take the next `count` numbers of a series at once.

    Locks: number sequence.
    """
    assert connection.in_atomic_block, "A number is taken in the transaction that uses it."
    assert count > 0
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO core_numbersequence AS sequence (series, last_number) VALUES (%s, %s)
                ON CONFLICT (series) DO UPDATE SET last_number = sequence.last_number + EXCLUDED.last_number
            RETURNING last_number
            """,
            [series, count],
        )
        (last,) = cursor.fetchone()
    return range(last - count + 1, last + 1)


def is_number_taken() -> bool:
    """Tell whether any series has given out a number."""
    return NumberSequence.objects.filter(last_number__gt=0).exists()
