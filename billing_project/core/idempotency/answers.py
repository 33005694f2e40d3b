"""Answering a request once."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction

from billing_project.core.errors import Conflict, InvalidInput
from billing_project.core.models import IdempotencyRecord

KEPT_FOR = timedelta(hours=24)
DELETE_BATCH = 1_000
# The first of the two numbers of a PostgreSQL advisory lock: nothing else uses this one.
ADVISORY_SPACE = 0x1DE0


class KeyReused(InvalidInput):
    """An Idempotency-Key belongs to one request; this is another."""

    code = "idempotency_key_reused"


class InProgress(Conflict):
    """The first request with this key has not finished yet."""

    code = "in_progress"


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes two requests the same: `fingerprint` is of what they say, the rest is whose and where."""

    caller: str
    method: str
    path: str
    key: str
    fingerprint: str

    def lock_number(self) -> int:
        """Return the second number of the advisory lock: 32 bits of a hash of the key."""
        text = f"{self.caller}\n{self.method}\n{self.path}\n{self.key}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], signed=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, as far as it is kept."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_replayed: bool = False

    @property
    def is_success(self) -> bool:
        """Tell whether the request did what it was sent for."""
        return 200 <= self.status < 300


def answer_once(
    *, request: RequestKey, prepare: Callable[[], None], run: Callable[[], Answer], at: datetime
) -> Answer:
    """Run a request, or return the answer that it got before.

    `prepare` is what must be committed before the rest and may run twice, such as closing a period; `run`
    shares one transaction with the record of its answer, which is undone if the answer is not a success.

    Raises: KeyReused; InProgress.
    Locks: an advisory lock of the key, without waiting.
    """
    kept = _find_answer(request, at=at)
    if kept is not None:
        return kept
    prepare()
    with transaction.atomic():
        if not _try_lock(request):
            raise InProgress("The first request with this Idempotency-Key is still running.")
        kept = _find_answer(request, at=at)
        if kept is not None:
            return kept
        answer = run()
        if answer.is_success:
            _keep(request, answer, at=at)
        else:
            transaction.set_rollback(True)
    return answer


@transaction.atomic
def delete_expired_records(*, at: datetime) -> int:
    """Delete up to a thousand answers that are older than a day, and return how many it were."""
    oldest_first = IdempotencyRecord.objects.filter(created_at__lt=at - KEPT_FOR).order_by("created_at")
    batch = oldest_first.select_for_update(skip_locked=True).values_list("pk", flat=True)[:DELETE_BATCH]
    deleted, _ = IdempotencyRecord.objects.filter(pk__in=list(batch)).delete()
    return deleted


def _try_lock(request: RequestKey) -> bool:
    """Take the advisory lock of a key until the transaction ends, if nobody has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [ADVISORY_SPACE, request.lock_number()])
        (is_locked,) = cursor.fetchone()
    return bool(is_locked)


def _find_answer(request: RequestKey, *, at: datetime) -> Answer | None:
    """Find the kept answer to a request.

    Raises: KeyReused.
    """
    record = IdempotencyRecord.objects.filter(
        key=request.key,
        caller=request.caller,
        method=request.method,
        path=request.path,
        created_at__gte=at - KEPT_FOR,
    ).first()
    if record is None:
        return None
    if record.fingerprint != request.fingerprint:
        raise KeyReused("This Idempotency-Key was used for a request that said something else.")
    return Answer(status=record.status, body=record.body, headers=record.headers, is_replayed=True)


def _keep(request: RequestKey, answer: Answer, *, at: datetime) -> None:
    """Record an answer, in the place of one that is too old to count."""
    record = IdempotencyRecord(
        caller=request.caller,
        method=request.method,
        path=request.path,
        key=request.key,
        fingerprint=request.fingerprint,
        status=answer.status,
        body=answer.body,
        headers=dict(answer.headers),
        created_at=at,
    )
    IdempotencyRecord.objects.bulk_create(
        [record],
        update_conflicts=True,
        unique_fields=["key", "caller", "method", "path"],
        update_fields=["fingerprint", "status", "body", "headers", "created_at"],
    )
