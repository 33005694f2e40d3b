"""Answering a request once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_project.core.idempotency.answers import (
    KEPT_FOR,
    Answer,
    KeyReused,
    RequestKey,
    answer_once,
    delete_expired_records,
)
from billing_project.core.models import IdempotencyRecord, NumberSequence
from billing_project.core.sequences import take_number
from tests.factories.core import NOON

pytestmark = pytest.mark.django_db

KEY = RequestKey(caller="ApiKey:1", method="POST", path="/v1/things", key="k", fingerprint="f")


class Work:
    """A request's work: it takes a number and tells it."""

    def __init__(self, status: int = 201) -> None:
        self.status = status
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def run(self) -> Answer:
        number = take_number("work")
        return Answer(self.status, f'{{"number": {number}}}', {"Content-Type": "application/json"})


def last_number() -> int:
    return sum(row.last_number for row in NumberSequence.objects.filter(series="work"))


def ask(work: Work, key: RequestKey = KEY, *, after: timedelta = timedelta(0)) -> Answer:
    return answer_once(request=key, prepare=work.prepare, run=work.run, at=NOON + after)


class TestAnswerOnce:
    def test_gives_a_repeat_the_same_answer_and_changes_nothing(self) -> None:
        work = Work()

        first, repeat = ask(work), ask(work)

        assert first == Answer(201, '{"number": 1}', {"Content-Type": "application/json"})
        assert repeat == replace(first, is_replayed=True)
        assert last_number() == 1
        assert work.prepared == 1

    @pytest.mark.parametrize(
        "other",
        [
            replace(KEY, caller="ApiKey:2"),
            replace(KEY, method="PATCH"),
            replace(KEY, path="/v1/others"),
            replace(KEY, key="l"),
        ],
    )
    def test_takes_another_caller_method_path_or_key_for_another_request(self, other: RequestKey) -> None:
        work = Work()

        assert ask(work).body == '{"number": 1}'
        assert ask(work, other).body == '{"number": 2}'

    def test_refuses_the_key_for_another_body(self) -> None:
        work = Work()
        ask(work)

        with pytest.raises(KeyReused):
            ask(work, replace(KEY, fingerprint="g"))

        assert last_number() == 1

    @pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 503, 302])
    def test_neither_keeps_nor_commits_what_is_no_success(self, status: int) -> None:
        assert ask(Work(status)).status == status

        assert last_number() == 0
        assert not IdempotencyRecord.objects.exists()
        assert ask(Work()).status == 201

    def test_neither_keeps_nor_commits_what_raises(self) -> None:
        def fail() -> Answer:
            take_number("work")
            raise RuntimeError

        with pytest.raises(RuntimeError):
            answer_once(request=KEY, prepare=lambda: None, run=fail, at=NOON)

        assert last_number() == 0
        assert not IdempotencyRecord.objects.exists()

    def test_forgets_after_a_day(self) -> None:
        work = Work()
        ask(work)

        assert ask(work, after=KEPT_FOR).is_replayed
        again = ask(work, replace(KEY, fingerprint="g"), after=KEPT_FOR + timedelta(microseconds=1))

        assert again == Answer(201, '{"number": 2}', {"Content-Type": "application/json"})
        assert IdempotencyRecord.objects.get().fingerprint == "g"


class TestDeleteExpiredRecords:
    def test_deletes_what_is_older_than_a_day(self) -> None:
        ask(Work())
        ask(Work(), replace(KEY, key="l"), after=timedelta(seconds=1))

        assert delete_expired_records(at=NOON + KEPT_FOR) == 0
        assert delete_expired_records(at=NOON + KEPT_FOR + timedelta(seconds=1)) == 1
        assert IdempotencyRecord.objects.get().key == "l"

    def test_deletes_a_thousand_at_a_time(self) -> None:
        IdempotencyRecord.objects.bulk_create(
            IdempotencyRecord(
                caller="c", method="POST", path="/", key=str(n), fingerprint="f", status=201, created_at=NOON
            )
            for n in range(1_001)
        )

        assert [delete_expired_records(at=NOON + KEPT_FOR * 2) for _ in range(3)] == [1_000, 1, 0]


class TestRequestKey:
    def test_locks_a_number_of_32_bits(self) -> None:
        numbers = {replace(KEY, key=str(n)).lock_number() for n in range(1_000)}

        assert len(numbers) == 1_000
        assert all(-(2**31) <= number < 2**31 for number in numbers)
