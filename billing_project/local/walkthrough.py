"""The walkthrough: a company's first hour with the platform, done over HTTP as any client would do it.

The company sells a language model by the token. It says what it sells, takes on a customer, sends a day's
usage and invoices it. Each run takes on another customer. Every answer is checked, and the invoice to its
last digit.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from billing_project.core.clock import now
from billing_project.core.currencies import format_amount
from billing_project.local.errors import LocalSetupFailed

CURRENCY = "USD"
EVENT_TYPE = "llm.completion"
BATCH_COUNT = 50
BATCH_SIZE = 100
TRIAL_DAYS = 14
ANSWER_SECONDS = 60.0

# What a token costs, in 10^-12 of a dollar, and what one day of 5,000 requests comes to.
INPUT_TOKEN_NANOS = 2_000_000
OUTPUT_TOKEN_NANOS = 6_000_000
EXPECTED_TOKENS = {"input_tokens": 4_977_500, "output_tokens": 1_247_500}
EXPECTED_LINES_NANOS = [7_485_000_000_000, 9_955_000_000_000]
EXPECTED_TOTAL_NANOS = 17_440_000_000_000

JsonObject = Mapping[str, Any]


class WalkthroughFailed(LocalSetupFailed):
    """The platform has answered something else than it should."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The invoice at the end of the walkthrough."""

    customer_id: str
    invoice_id: str
    invoice_number: str


class _Client:
    """An HTTP client that takes no answer but the expected one."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **params: str) -> Any:
        """Read something."""
        return self._ask(self._http.build_request("GET", path, params=params), expected=200)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, expected: int) -> Any:
        """Change something, once, however often the request arrives."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        request = self._http.build_request("POST", path, json=body, headers=headers)
        return self._ask(request, expected=expected)

    def _ask(self, request: httpx.Request, *, expected: int) -> Any:
        try:
            answer = self._http.send(request)
        except httpx.TransportError as error:
            raise WalkthroughFailed(f"{request.method} {request.url.path} got no answer: {error}") from error
        if answer.status_code != expected:
            raise WalkthroughFailed(
                f"{request.method} {request.url.path} answered {answer.status_code}, not {expected}: "
                f"{answer.text[:2000]}"
            )
        return answer.json()


def run(*, base_url: str, api_key: str, console: Console) -> Outcome:
    """Walk through: from an empty catalogue to a finalized invoice of $17.44.

    Raises: WalkthroughFailed.
    """
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=ANSWER_SECONDS) as http:
        client = _Client(http)
        plan_id = _describe_what_is_sold(client, console)
        customer_id, subscription_id = _take_on_a_customer(client, console, plan_id=plan_id)
        _send_a_day_of_usage(client, console, customer_id=customer_id, subscription_id=subscription_id)
        _read_the_usage(client, console, subscription_id=subscription_id)
        invoice = _invoice_it(client, console, customer_id=customer_id, subscription_id=subscription_id)
    return Outcome(customer_id, invoice["id"], invoice["invoice_number"])


def _describe_what_is_sold(client: _Client, console: Console) -> str:
    console.rule("1. What is sold")
    product = client.post(
        "/admin/v1/catalog/products",
        {
            "name": "Meridian language model",
            "description": "Completions, charged by the token.",
            "tags": ["ai", "usage-based"],
        },
        expected=201,
    )
    plan = client.post(
        "/admin/v1/catalog/plans",
        {
            "name": "Meridian by the token",
            "description": "Nothing a month; each token at its price.",
            "product_id": product["id"],
            "billing_cadence": "Monthly",
            "trial_days": TRIAL_DAYS,
        },
        expected=201,
    )
    console.print(f"Product [bold]{product['name']}[/], plan [bold]{plan['name']}[/], billed monthly.")
    for name, amount_nanos, meter_property in (
        ("Input tokens", INPUT_TOKEN_NANOS, "input_tokens"),
        ("Output tokens", OUTPUT_TOKEN_NANOS, "output_tokens"),
    ):
        client.post(
            "/admin/v1/catalog/skus",
            {
                "plan_id": plan["id"],
                "name": name,
                "pricing_model": "PerUnit",
                "unit_amount_nanos": str(amount_nanos),
                "currency": CURRENCY,
                "meter_event_type": EVENT_TYPE,
                "meter_property": meter_property,
            },
            expected=201,
        )
        console.print(f"  {name}: {_money(amount_nanos)} each")
    return str(plan["id"])


def _take_on_a_customer(client: _Client, console: Console, *, plan_id: str) -> tuple[str, str]:
    console.rule("2. A customer")
    name = f"Harbour Robotics {uuid.uuid4().hex[:6]}"
    customer = client.post(
        "/admin/v1/customers",
        {
            "display_name": name,
            "email": "accounts@harbour-robotics.example",
            "currency": CURRENCY,
            "account_type": "Organization",
        },
        expected=201,
    )
    subscription = client.post(
        "/v1/subscriptions",
        {
            "customer_id": customer["id"],
            "plan_id": plan_id,
            "currency": CURRENCY,
            "trial_days": TRIAL_DAYS,
        },
        expected=201,
    )
    _expect("the subscription's status", subscription["status"], "Trialing")
    console.print(f"[bold]{name}[/] subscribes, with {TRIAL_DAYS} days of trial: {subscription['status']}.")
    return str(customer["id"]), str(subscription["id"])


def _send_a_day_of_usage(
    client: _Client, console: Console, *, customer_id: str, subscription_id: str
) -> None:
    console.rule("3. A day of usage")
    events = _make_events(customer_id=customer_id, subscription_id=subscription_id)
    batch: list[JsonObject] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        for _ in progress.track(range(BATCH_COUNT), description="Batches of 100 events"):
            batch = list(islice(events, BATCH_SIZE))
            report = client.post("/v1/events/batch", {"events": batch}, expected=200)
            _expect("the events counted", report["accepted"], BATCH_SIZE)
    # A client that saw no answer sends again. Nothing is counted twice.
    report = client.post("/v1/events/batch", {"events": batch}, expected=200)
    _expect("the events counted again", report["accepted"], 0)
    _expect("the events recognised", report["duplicates"], BATCH_SIZE)
    console.print(
        f"{BATCH_COUNT * BATCH_SIZE:,} events counted once each; a batch sent twice made no difference."
    )


def _make_events(*, customer_id: str, subscription_id: str) -> Iterator[JsonObject]:
    """Make a day's requests: each reads 800 to 1,199 tokens and writes 150 to 349."""
    timestamp = now().isoformat().replace("+00:00", "Z")
    for input_tokens, output_tokens in zip(cycle(range(800, 1200)), cycle(range(150, 350)), strict=False):
        yield {
            "id": str(uuid.uuid4()),
            "event_type": EVENT_TYPE,
            "customer_id": customer_id,
            "subscription_id": subscription_id,
            "timestamp": timestamp,
            "properties": {
                "model": "meridian-large",
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
            },
        }


def _read_the_usage(client: _Client, console: Console, *, subscription_id: str) -> None:
    console.rule("4. The usage so far")
    usage = client.get(f"/v1/subscriptions/{subscription_id}/usage")
    values = {meter["meter_id"]: int(meter["value"]) for meter in usage["meters"]}
    expected = {f"{EVENT_TYPE}.{name}": count for name, count in EXPECTED_TOKENS.items()}
    _expect("the usage", values, expected)
    console.print(f"Period {usage['period_start']} to {usage['period_end']}")
    for meter_id, value in values.items():
        console.print(f"  {meter_id}: {value:,}")


def _invoice_it(client: _Client, console: Console, *, customer_id: str, subscription_id: str) -> JsonObject:
    console.rule("5. The invoice")
    client.post(f"/admin/v1/subscriptions/{subscription_id}/bill", expected=201)
    drafts = client.get("/admin/v1/invoices", customer_id=customer_id, status="Draft")
    _expect("the number of drafts", len(drafts), 1)
    path = f"/admin/v1/invoices/{drafts[0]['id']}"
    console.print(f"Draft over {_money(int(drafts[0]['total_nanos']))}; tax next, then it becomes final.")
    client.post(f"{path}/calculate-tax", expected=200)
    invoice: JsonObject = client.post(f"{path}/finalize", expected=200)
    console.print(_show(invoice))
    lines = sorted(int(line["amount_nanos"]) for line in invoice["line_items"] if not line["is_tax"])
    _expect("the lines", lines, EXPECTED_LINES_NANOS)
    _expect("the total", int(invoice["total_nanos"]), EXPECTED_TOTAL_NANOS)
    _expect("the status", invoice["status"], "Open")
    return invoice


def _show(invoice: JsonObject) -> Table:
    table = Table(title=f"Invoice {invoice['invoice_number']} ({invoice['status']})", title_justify="left")
    table.add_column("Description")
    for heading in ("Quantity", "Each", "Amount"):
        table.add_column(heading, justify="right")
    for line in invoice["line_items"]:
        each = "" if line["unit_amount_nanos"] is None else _money(int(line["unit_amount_nanos"]))
        table.add_row(
            line["description"], f"{int(line['quantity']):,}", each, _money(int(line["amount_nanos"]))
        )
    table.add_section()
    table.add_row("Tax", "", "", _money(int(invoice["tax_nanos"])))
    table.add_row("[bold]Total[/]", "", "", f"[bold]{_money(int(invoice['total_nanos']))}[/]")
    return table


def _money(amount_nanos: int) -> str:
    return format_amount(amount_nanos, CURRENCY, exact=True)


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise WalkthroughFailed(f"Wrong: {what} should be {expected}, and is {found}.")
