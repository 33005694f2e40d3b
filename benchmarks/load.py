"""Load over HTTP: a process for each connection, its bodies built before the clock starts."""

import http.client
import multiprocessing
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing.synchronize import Barrier
from statistics import median
from uuid import UUID

import msgspec

PATIENCE_SECONDS = 300
SPREAD = timedelta(days=20)  # How far back the events are stamped, so that their rollups lie in many hours.


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes, and what the answers must be."""

    name: str
    port: int
    path: str
    headers: Mapping[str, str]
    status: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent: by how many connections, in how many requests each, of how many events."""

    connections: int
    requests: int
    batch_size: int

    @property
    def event_count(self) -> int:
        """Return how many events are sent in all."""
        return self.connections * self.requests * self.batch_size


@dataclass(frozen=True, slots=True)
class Measurement:
    """How one run went."""

    events_per_second: float
    median_ms: float
    slowest_ms: float


@dataclass(frozen=True, slots=True)
class Events:
    """Which events: of whom, up to when, and by which seed, so that no two loads have the same."""

    subscriptions: Sequence[tuple[UUID, UUID]]  # Each with its customer.
    at: datetime
    seed: str


def send(target: Target, plan: Plan, events: Events) -> Measurement:
    """Send new events as planned, all connections at once, and measure until the last answer."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(plan.connections)
    with context.Pool(plan.connections, initializer=_keep_barrier, initargs=(barrier,)) as pool:
        jobs = [
            pool.apply_async(_send_share, (target, plan, replace(events, seed=f"{events.seed}/{number}")))
            for number in range(plan.connections)
        ]
        results = [job.get(PATIENCE_SECONDS) for job in jobs]
    started = min(started for started, _, _ in results)
    ended = max(ended for _, ended, _ in results)
    latencies = [latency for _, _, own in results for latency in own]
    return Measurement(
        events_per_second=plan.event_count / (ended - started),
        median_ms=1000 * median(latencies),
        slowest_ms=1000 * max(latencies),
    )


def make_events(events: Events, count: int) -> list[dict[str, object]]:
    """Make events as a client writes them: of random customers, with random ids, over the last days."""
    source = random.Random(events.seed)  # noqa: S311 (it has to repeat itself)
    made: list[dict[str, object]] = []
    for _ in range(count):
        subscription_id, customer_id = source.choice(events.subscriptions)
        made.append(
            {
                "id": f"llm-{source.getrandbits(128):032x}",
                "event_type": "llm.completion",
                "customer_id": customer_id,
                "subscription_id": subscription_id,
                "timestamp": events.at - SPREAD * source.random(),
                "properties": {
                    "model": source.choice(["small", "medium", "large"]),
                    "input_tokens": source.randrange(800, 1200),
                    "output_tokens": source.randrange(150, 350),
                    "request_id": f"{source.getrandbits(128):032x}",
                },
            }
        )
    return made


_barrier: Barrier


def _keep_barrier(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 (how a pool hands an inherited object to its workers)
    _barrier = barrier


def _send_share(target: Target, plan: Plan, events: Events) -> tuple[float, float, list[float]]:
    """Send one connection's share; return when it began and ended, and how long each answer took."""
    made = make_events(events, plan.requests * plan.batch_size)
    batches = [made[start : start + plan.batch_size] for start in range(0, len(made), plan.batch_size)]
    is_single = plan.batch_size == 1 and target.path.endswith("/events")
    bodies = [msgspec.json.encode(batch[0] if is_single else {"events": batch}) for batch in batches]
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=PATIENCE_SECONDS)
    connection.connect()
    headers = {"Content-Type": "application/json", **target.headers}
    latencies = []
    _barrier.wait(PATIENCE_SECONDS)
    started = time.perf_counter()
    for body in bodies:
        sent = time.perf_counter()
        connection.request("POST", target.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        latencies.append(time.perf_counter() - sent)
        if response.status != target.status:
            raise RuntimeError(f"{target.name} answered {response.status}: {answer[:500].decode()}")
        accepted = msgspec.json.decode(answer)["accepted"]
        if accepted != plan.batch_size:
            raise RuntimeError(f"{target.name} accepted {accepted} of {plan.batch_size} events.")
    ended = time.perf_counter()
    connection.close()
    return started, ended, latencies
