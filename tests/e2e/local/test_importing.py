"""Long imports on a live stack: a process that is killed in the middle, and a body longer than memory may grow."""

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.installs import POLL_SECONDS, START_SECONDS, Install, RunningCommand

pytestmark = pytest.mark.slow

METER = "llm.completion.tokens"
EVENT_COUNT = 60_000
PADDING = "x" * 1_500  # So that a few events make a long body.
Json = dict[str, Any]


class Seller:
    """Somebody who sells tokens on a live install, and sends events of one customer."""

    def __init__(self, install: Install, running: RunningCommand) -> None:
        made = install.run("create_api_key", "Importing")
        assert made.returncode == 0, made.stderr
        token = made.stdout.strip().splitlines()[-1]
        self.client = httpx.Client(
            base_url=running.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=START_SECONDS
        )
        customer = {"display_name": "Importer", "email": "billing@importer.example", "currency": "USD"}
        self.customer_id = self._make("/admin/v1/customers", customer)
        plan = {"name": "Tokens", "billing_cadence": "Monthly"}
        plan_id = self._make("/admin/v1/catalog/plans", plan)
        meter = {"meter_event_type": "llm.completion", "meter_property": "tokens"}
        price = {"pricing_model": "PerUnit", "unit_amount_nanos": "2000000", "currency": "USD"}
        self._make("/admin/v1/catalog/skus", {"plan_id": plan_id, "name": "Tokens", **meter, **price})
        terms = {"customer_id": self.customer_id, "plan_id": plan_id, "currency": "USD"}
        self.subscription_id = self._make("/v1/subscriptions", terms)
        self.at = datetime.now(UTC).isoformat()  # noqa: TID251 (the live stack lives in real time)

    def write_event(self, number: int, **properties: object) -> bytes:
        event = {
            "id": f"event-{number}",
            "event_type": "llm.completion",
            "customer_id": self.customer_id,
            "subscription_id": self.subscription_id,
            "timestamp": self.at,
            "properties": {"tokens": 3, **properties},
        }
        return json.dumps(event).encode() + b"\n"

    def read_usage(self) -> int:
        answer = self.client.get(f"/v1/subscriptions/{self.subscription_id}/usage")
        (meter,) = answer.json()["meters"]
        assert meter["meter_id"] == METER
        return int(meter["value"])

    def _make(self, path: str, body: Json) -> str:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Install, RunningCommand]]:
    install = Install(tmp_path_factory.mktemp("importing") / "data", BILLING_IMPORT_CHUNK="1000")
    yield install, install.serve()
    install.close()


@pytest.fixture
def seller(served: tuple[Install, RunningCommand]) -> Iterator[Seller]:
    made = Seller(*served)
    yield made
    made.client.close()


def check_invariants(install: Install) -> None:
    checked = install.run("check_invariants")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.xdist_group("importing")
class TestImport:
    def test_goes_on_after_one_of_its_processes_was_killed(
        self, served: tuple[Install, RunningCommand], seller: Seller, tmp_path: Path
    ) -> None:
        install, _ = served
        path = tmp_path / "events.jsonl"
        path.write_bytes(b"".join(seller.write_event(number) for number in range(EVENT_COUNT)))
        command = ("import_events", str(path), "--processes", "2", "--chunk", "1000")
        importing = install.start(*command)
        deadline = time.monotonic() + START_SECONDS
        while not seller.read_usage():
            assert importing.process.poll() is None, importing.log
            assert time.monotonic() < deadline, importing.log
            time.sleep(POLL_SECONDS)

        worker = next(
            child
            for child in psutil.Process(importing.process.pid).children()
            if any("spawn_main" in part for part in child.cmdline())
        )
        worker.send_signal(signal.SIGKILL)

        assert importing.process.wait(timeout=START_SECONDS) != 0
        assert "A process has ended in the middle of its work." in importing.log
        stored = seller.read_usage()
        assert 0 < stored < 3 * EVENT_COUNT
        again = install.run(*command)
        assert again.returncode == 0, again.stderr
        assert "going on" in again.stdout
        assert seller.read_usage() == 3 * EVENT_COUNT
        check_invariants(install)

    def test_of_a_long_body_does_not_grow_with_it(
        self, served: tuple[Install, RunningCommand], seller: Seller
    ) -> None:
        install, running = served
        count, chunk = 80_000, 500
        size = 0
        peaks: list[int] = []
        servers = [one for one in running.list_family() if "granian" in " ".join(one.cmdline()).lower()]
        assert servers

        def measure() -> int:
            return sum(one.memory_info().rss for one in servers if one.is_running())

        def send() -> Iterator[bytes]:
            nonlocal size
            for start in range(0, count, chunk):
                lines = b"".join(
                    seller.write_event(number, note=PADDING) for number in range(start, start + chunk)
                )
                size += len(lines)
                peaks.append(measure())
                yield lines

        answer = seller.client.post(
            "/v1/events/import", content=send(), headers={"Content-Type": "application/x-ndjson"}
        )

        assert (answer.status_code, answer.json()["accepted"]) == (200, count)
        assert size > 120_000_000
        assert max(peaks) - peaks[0] < size // 4
        assert seller.read_usage() == 3 * count
        check_invariants(install)
