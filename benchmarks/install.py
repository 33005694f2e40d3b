"""An install to measure: the services, customers with subscriptions, and the web server, as in `serve`."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from os import environ
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, models

from billing_project.core.access.operations import create_api_key
from billing_project.core.actors import Actor
from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyRole
from billing_project.core.seller import set_up_seller
from billing_project.local.children import Child
from billing_project.local.guard import Guard
from billing_project.local.programs import ServeOptions, list_programs
from billing_project.local.services import EmbeddedServices, RunningServices, prepare_folders
from billing_project.local.serving import find_port
from catalog.models import BillingCadence, PricingModel
from catalog.operations import MeterDefinition, PlanTerms, PriceTerms, add_sku, create_plan
from customers.models import Customer
from customers.operations import CustomerProfile, create_customer
from subscriptions.models import Period, Segment, Subscription, SubscriptionItem
from subscriptions.operations import create_subscription

HOST = "127.0.0.1"
ACTOR = Actor.system("benchmarks")
EVENT_TYPE = "llm.completion"
METERED = ("input_tokens", "output_tokens")
# Long enough ago that all events lie in the first period, and recently enough that it is still open.
STARTED_AGO = timedelta(days=25)
START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
ROWS_PER_STATEMENT = 1_000


@dataclass(frozen=True, slots=True)
class RunningInstall:
    """What the load needs to know."""

    port: int
    token: str
    subscriptions: Sequence[tuple[UUID, UUID]]


@contextmanager
def running_services() -> Iterator[None]:
    """Have the embedded services run, on an empty database with all tables, in the folder of the settings."""
    services = EmbeddedServices(folder=settings.DATA_FOLDER, has_postgres=True, has_valkey=True)
    prepare_folders(services.folder)
    guard = Guard()
    try:
        running = RunningServices(services, guard=guard)
        try:
            call_command("migrate", interactive=False, verbosity=0)
            yield
        finally:
            connections.close_all()
            running.stop()
    finally:
        guard.dismiss()


@contextmanager
def running_web(*, customers: int, at: datetime) -> Iterator[RunningInstall]:
    """Have the web server run, with customers who have one subscription each, to a plan with two meters."""
    set_up_seller(legal_name="Benchmark Ltd", currency="USD", at=at, actor=ACTOR)
    key = create_api_key(name="Benchmark", role=ApiKeyRole.ADMIN, at=at, actor=ACTOR)
    subscriptions = _subscribe(customers, at=at)
    guard = Guard()
    port = find_port(host=HOST, port=0)
    options = ServeOptions(
        host=HOST,
        port=port,
        web_workers=settings.BILLING_WEB_WORKERS,
        web_threads=settings.BILLING_WEB_THREADS,
        task_workers=settings.BILLING_RUN_WORKERS,
    )
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    web, *_ = list_programs(
        options=options,
        project_folder=settings.BASE_DIR,
        static_folder=settings.STATIC_ROOT,
        static_url=settings.STATIC_URL,
    )
    child = Child(
        name=web.name,
        command=web.command,
        guard=guard,
        folder=settings.BASE_DIR,
        environment={**environ, **web.environment},
    )
    try:
        _wait_for_answer(child, options.base_url)
        yield RunningInstall(port=port, token=key.token, subscriptions=subscriptions)
    finally:
        child.stop(patience_seconds=STOP_SECONDS)
        guard.dismiss()


def _wait_for_answer(child: Child, base_url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while child.exit_code is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{base_url}/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(POLL_SECONDS)
        else:
            return
    raise RuntimeError(f"The web server does not answer:\n{child.read_last_lines()}")


def _subscribe(count: int, *, at: datetime) -> list[tuple[UUID, UUID]]:
    """Make one customer with a subscription, and copies of the two: making each would take a minute."""
    plan = create_plan(
        name="Tokens", terms=PlanTerms(billing_cadence=BillingCadence.MONTHLY), at=at, actor=ACTOR
    )
    for name in METERED:
        add_sku(
            plan_id=plan.pk,
            name=name,
            meter=MeterDefinition.read(event_type=EVENT_TYPE, property=name),
            terms=PriceTerms(
                pricing_model=PricingModel.PER_UNIT, params={"unit_amount_nanos": "2000000"}, currency="USD"
            ),
            at=at,
            actor=ACTOR,
        )
    profile = CustomerProfile(display_name="Customer", email="billing@customer.example", currency="USD")
    customer = create_customer(profile=profile, at=at, actor=ACTOR)
    subscription = create_subscription(
        customer_id=customer.pk,
        plan_id=plan.pk,
        currency="USD",
        trial_days=None,
        quantities={},
        start_at=at - STARTED_AGO,
        at=at,
        actor=ACTOR,
    )
    _copy(subscription, count - 1)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return list(Subscription.objects.values_list("pk", "customer_id"))


def _copy(subscription: Subscription, count: int) -> None:
    """Add copies of a subscription, each with a customer, items, a period and its segment of its own."""
    (period,), (segment,) = subscription.periods.all(), subscription.segments.all()
    items = list(subscription.items.all())
    copies: dict[type[models.Model], list[Any]] = defaultdict(list)
    for _ in range(count):
        customer = _renew(subscription.customer)
        own = _renew(subscription, customer=customer)
        own_period = _renew(period, subscription=own)
        copies[Customer].append(customer)
        copies[Subscription].append(own)
        copies[SubscriptionItem] += [_renew(item, subscription=own) for item in items]
        copies[Period].append(own_period)
        copies[Segment].append(_renew(segment, subscription=own, period=own_period))
    for model, rows in copies.items():
        model._default_manager.bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def _renew(row: Any, **fields: Any) -> Any:
    """Make another row like this one, but for its key and these fields."""
    renewed = copy(row)
    renewed._state = copy(row._state)
    for name, value in {"pk": make_id(), **fields}.items():
        setattr(renewed, name, value)
    return renewed
