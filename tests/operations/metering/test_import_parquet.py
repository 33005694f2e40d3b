"""Files of Parquet: their rows become the same events as JSON lines, and are refused by the same rules."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metering.importing import parquet, running
from metering.importing.dealing import deal
from metering.management.commands import import_events
from metering.models import EventImport, ImportFormat
from subscriptions.models import Subscription
from tests.factories.core import NOON
from tests.factories.metering import (
    INPUT,
    OUTPUT,
    get_stored,
    ingest,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe
from tests.operations.metering.test_import_command import count_import, read_report, run

pyarrow = pytest.importorskip("pyarrow", reason="The extra `parquet` is not installed.")
pyarrow_parquet = pytest.importorskip("pyarrow.parquet", reason="The extra `parquet` is not installed.")

pytestmark = pytest.mark.django_db

Event = dict[str, Any]


@pytest.fixture
def subscription() -> Subscription:
    return subscribe(plan=make_metered_plan())


def make_events(subscription: Subscription, count: int) -> list[Event]:
    return [
        write_event(subscription, id=f"{number}", timestamp=NOON + timedelta(microseconds=number))
        for number in range(count)
    ]


def write_columns(events: Sequence[Event], **columns: Any) -> dict[str, Any]:
    """Write the columns of events; those that are given replace or join them, and None leaves one out."""
    written = {
        "id": [event["id"] for event in events],
        "event_type": [event["event_type"] for event in events],
        "customer_id": [str(event["customer_id"]) for event in events],
        "subscription_id": [str(event["subscription_id"]) for event in events],
        "timestamp": pyarrow.array([event["timestamp"] for event in events], pyarrow.timestamp("us", "UTC")),
        "properties": [event["properties"] for event in events],
        **columns,
    }
    return {name: column for name, column in written.items() if column is not None}


def write_file(path: Path, columns: dict[str, Any], *, group: int = 4) -> Path:
    pyarrow_parquet.write_table(pyarrow.table(columns), path, row_group_size=group)
    return path


class TestTables:
    @pytest.mark.parametrize(
        ("columns", "output_tokens"),
        [
            ({}, 20),
            ({"properties": ['{"input_tokens": 10, "output_tokens": 2}'] * 10}, 20),
            (
                {
                    "properties": None,
                    "properties.input_tokens": [Decimal("10.00")] * 10,
                    "properties.output_tokens": [2] * 5 + [None] * 5,
                },
                10,
            ),
            ({"properties": [{"input_tokens": 10, "output_tokens": n or None} for n in range(10)]}, 45),
        ],
        ids=["structs", "JSON", "columns", "structs with nulls"],
    )
    def test_are_read(
        self,
        columns: dict[str, Any],
        output_tokens: int,
        subscription: Subscription,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(parquet, "ROWS_PER_READ", 3)
        path = write_file(
            tmp_path / "events.parquet", write_columns(make_events(subscription, 10), **columns)
        )

        code, said = run(path)

        assert (code, count_import()) == (0, (10, 0, 0)), said
        assert EventImport.objects.get().format == ImportFormat.PARQUET
        assert read_totals(subscription) == {INPUT: 100, OUTPUT: output_tokens}
        assert find_breaches() == []

    def test_come_to_the_same_events_as_json(self, subscription: Subscription, tmp_path: Path) -> None:
        events = make_events(subscription, 5)
        path = write_file(tmp_path / "events.parquet", write_columns(events))

        assert run(path)[0] == 0

        assert [get_stored(event).timestamp for event in events] == [event["timestamp"] for event in events]
        assert ingest(*events).duplicates == 5

    @pytest.mark.parametrize("unit", ["s", "ms", "ns"])
    def test_keep_times_of_every_unit(self, unit: str, subscription: Subscription, tmp_path: Path) -> None:
        (event,) = make_events(subscription, 1)
        finer = 999 if unit == "ns" else 0
        factor = {"s": 1, "ms": 10**3, "ns": 10**9}[unit]
        stamp = pyarrow.array([int(NOON.timestamp()) * factor + finer], pyarrow.timestamp(unit, "UTC"))
        path = write_file(tmp_path / "events.parquet", write_columns([event], timestamp=stamp))

        assert run(path)[0] == 0

        assert get_stored(event).timestamp == NOON

    def test_refuse_rows_that_are_no_events(self, subscription: Subscription, tmp_path: Path) -> None:
        events = make_events(subscription, 5)
        properties = [
            '{"input_tokens": 1}',
            '{"input_tokens": -1}',
            "{",
            None,
            '{"input_tokens": 2}',
        ]
        kinds: list[str | None] = ["llm.completion"] * 4 + [None]
        columns = write_columns(events, properties=properties, event_type=kinds)
        path = write_file(tmp_path / "events.parquet", columns)

        assert run(path)[0] == 1

        assert count_import() == (2, 0, 3)
        report = read_report(path.with_name("events.parquet.refused.ndjson"))
        refused = {entry["line"]: (entry["id"], entry["code"]) for entry in report}
        assert refused == {2: ("1", "invalid_value"), 3: (None, "malformed"), 5: ("4", "malformed")}
        assert read_totals(subscription)[INPUT] == 1

    def test_refuse_numbers_that_json_has_not(self, subscription: Subscription, tmp_path: Path) -> None:
        events = make_events(subscription, 3)
        columns = write_columns(
            events, **{"properties": None, "properties.input_tokens": [1.5, float("nan"), float("inf")]}
        )
        path = write_file(tmp_path / "events.parquet", columns)

        assert run(path)[0] == 1

        assert count_import() == (1, 0, 2)
        report = read_report(path.with_name("events.parquet.refused.ndjson"))
        assert [(entry["line"], entry["code"]) for entry in report] == [(2, "malformed"), (3, "malformed")]
        assert read_totals(subscription)[INPUT] == Decimal("1.5")

    def test_refuse_times_without_an_offset(self, subscription: Subscription, tmp_path: Path) -> None:
        naive = pyarrow.array([datetime(2026, 3, 1, 12)], pyarrow.timestamp("us"))  # noqa: DTZ001 (that is it)
        columns = write_columns(make_events(subscription, 1), timestamp=naive)
        path = write_file(tmp_path / "events.parquet", columns)

        assert run(path)[0] == 1

        assert count_import() == (0, 0, 1)

    @pytest.mark.parametrize("names", [{"customer_id": None}, {"tokens": [1]}])
    def test_need_the_columns_of_events(
        self, names: dict[str, Any], subscription: Subscription, tmp_path: Path
    ) -> None:
        columns = write_columns(make_events(subscription, 1), **names)
        path = write_file(tmp_path / "events.parquet", columns)

        code, said = run(path)

        assert code == 2
        assert "column" in said
        assert EventImport.objects.count() == 0

    def test_go_on_where_they_stopped(
        self, subscription: Subscription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parquet, "ROWS_PER_READ", 3)
        events = make_events(subscription, 12)
        events[1]["properties"] = {"input_tokens": -1, "output_tokens": 1}
        path = write_file(tmp_path / "events.parquet", write_columns(events))
        with monkeypatch.context() as patches:
            patches.setattr(running, "deal", lambda *a, **o: list(deal(*a, **o))[::2])
            patches.setattr(import_events, "finish_import", lambda **_: None)
            assert run(path)[0] == 1
        assert count_import() == (5, 0, 1)

        assert run(path, chunk=2)[0] == 1

        row = EventImport.objects.get()
        assert (row.position, row.spans, row.is_finished) == (12, [], True)
        assert count_import() == (11, 0, 1)
        assert [
            json.loads(entry["record"])["id"]
            for entry in read_report(path.with_name(f"{path.name}.refused.ndjson"))
        ] == ["1"]
        assert read_totals(subscription)[INPUT] == 110
        assert find_breaches() == []
