"""Steps of stories about usage: what a seller's systems send over the API, and what they are shown."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import quote

from rest_framework.test import APIClient

from invoicing.tasks import resume_test_clocks
from tests.api.problems import read_problem
from tests.factories.core import drain_outbox, make_client, make_seller

DOLLAR = 10**12
MILLION = 1_000_000  # Tokens, which cost two dollars unless a plan says something else.
EVENT_TYPE = "llm.completion"
TOKENS = "llm.completion.tokens"

_numbers = count(1)

Json = dict[str, Any]


class Subscribed(NamedTuple):
    """A subscription, and whose it is."""

    id: str
    customer_id: str


class Stored(NamedTuple):
    """How a stored event is matched and billed."""

    subscription_id: str | None
    period_start: datetime | None
    billed_at: datetime | None
    is_late: bool


class Usage(NamedTuple):
    """The usage of a meter; `late` is the part that missed its own period."""

    value: str
    late: str | None = None


class Line(NamedTuple):
    """A line of an invoice."""

    name: str
    quantity: str
    amount_nanos: int
    late_quantity: str | None = None


class Bill(NamedTuple):
    """An invoice. Its number says whether it is final."""

    number: str | None
    reason: str
    total_nanos: int
    lines: list[Line]


class Report(NamedTuple):
    """What became of a batch; `refusals` are the index, id and code of each event that was refused."""

    status: int
    accepted: int
    duplicates: int
    refusals: list[tuple[int, str | None, str]]


NOT_MATCHED = Stored(subscription_id=None, period_start=None, billed_at=None, is_late=False)


def write_event(
    owner: Subscribed | str,
    *,
    stamped: datetime,
    tokens: object = MILLION,
    properties: Json | None = None,
    **fields: Any,
) -> Json:
    """Write an event of a subscription, or, without naming one, of the customer of an id."""
    event: Json = {
        "id": f"event-{next(_numbers)}",
        "event_type": EVENT_TYPE,
        "customer_id": owner if isinstance(owner, str) else owner.customer_id,
        "timestamp": stamped.isoformat(),
        "properties": {"tokens": tokens} if properties is None else properties,
    }
    if not isinstance(owner, str):
        event["subscription_id"] = owner.id
    return {**event, **fields}


@dataclass(frozen=True, slots=True)
class Story:
    """A seller with a key of the API, and a test clock that its customers live by."""

    clock_id: str
    client: APIClient = field(default_factory=make_client)

    @classmethod
    def begin(cls, at: datetime) -> "Story":
        """Set up the seller, and a clock that stands at `at`."""
        make_seller()
        client = make_client()
        answer = client.post("/admin/v1/test-clocks", {"now_at": at.isoformat()})
        return cls(read_id(answer), client)

    def add_plan(
        self,
        *properties: str,
        event_type: str = EVENT_TYPE,
        tiers: Sequence[tuple[int | None, int]] = (),
    ) -> str:
        """Make a monthly plan that charges $0.000002 a unit for each of these properties, or by `tiers`.

        It charges for tokens if none is named. A tier is the last unit in it and the amount of a unit, in
        nanos.
        """
        plan_id = self._make("catalog/plans", {"name": "Pay-As-You-Go", "billing_cadence": "Monthly"})
        price: Json = {"pricing_model": "PerUnit", "unit_amount_nanos": str(2 * DOLLAR // MILLION)}
        if tiers:
            steps = [
                {"up_to": up_to and str(up_to), "unit_amount_nanos": str(nanos)} for up_to, nanos in tiers
            ]
            price = {"pricing_model": "Graduated", "tiers": steps}
        for name in properties or ("tokens",):
            meter = {"meter_event_type": event_type, "meter_property": name}
            self._make(
                "catalog/skus", {"plan_id": plan_id, "name": name, "currency": "USD", **meter, **price}
            )
        return plan_id

    def add_customer(self, *, is_on_clock: bool = True) -> str:
        """Add a customer, who lives by the clock unless told otherwise."""
        customer: Json = {
            "display_name": "NeuralWorks Inc",
            "email": "billing@neuralworks.example",
            "currency": "USD",
        }
        return self._make("customers", {**customer, "test_clock_id": self.clock_id if is_on_clock else None})

    def set_status(self, customer_id: str, status: str) -> None:
        """Suspend, close or take back a customer."""
        answer = self.client.patch(f"/admin/v1/customers/{customer_id}", {"status": status})
        assert answer.json()["status"] == status

    def subscribe(
        self,
        customer_id: str | None = None,
        *,
        plan_id: str | None = None,
        start_at: datetime | None = None,
    ) -> Subscribed:
        """Subscribe a customer: a new one to a new plan, unless others are given. Workers hear of it."""
        terms: Json = {
            "customer_id": customer_id or self.add_customer(),
            "plan_id": plan_id or self.add_plan(),
            "currency": "USD",
            "start_at": start_at and start_at.isoformat(),
        }
        subscription_id = read_id(self.client.post("/v1/subscriptions", terms))
        drain_outbox()
        return Subscribed(subscription_id, terms["customer_id"])

    def cancel(self, subscription: Subscribed, when: str) -> None:
        """Cancel a subscription, `Now` or at its `PeriodEnd`."""
        answer = self.client.post(f"/v1/subscriptions/{subscription.id}/cancel", {"when": when})
        assert answer.status_code == 200, answer.content

    def uncancel(self, subscription: Subscribed) -> None:
        """Take a planned end back."""
        assert self.client.post(f"/v1/subscriptions/{subscription.id}/uncancel").status_code == 200

    def pass_time(self, to: datetime) -> None:
        """Let time pass on the clock, and the workers do what is due on the way."""
        drain_outbox()
        path = f"/admin/v1/test-clocks/{self.clock_id}"
        answer = self.client.post(f"{path}/advance", {"to": to.isoformat()})
        assert answer.status_code == 202, answer.content
        resume_test_clocks()
        assert self.client.get(path).json()["status"] == "Ready"

    def use(self, subscription: Subscribed, *, at: datetime, tokens: int = MILLION) -> Json:
        """Let time pass until `at`, and send an event of that instant."""
        self.pass_time(at)
        event = write_event(subscription, stamped=at, tokens=tokens)
        assert self.send(event) == "accepted"
        return event

    def send(self, event: Json) -> str:
        """Send an event: `accepted`, `duplicate`, or the status and code of the refusal."""
        answer = self._post("/v1/events", json.dumps(event))
        if answer.status_code in {200, 201}:
            body = answer.json()
            assert body == {
                "accepted": True,
                "event_id": event["id"],
                "duplicate": answer.status_code == 200,
            }
            return "duplicate" if body["duplicate"] else "accepted"
        status, code, _ = read_problem(answer)
        return f"{status} {code}"

    def send_batch(self, *events: object) -> Report:
        """Send events in one batch."""
        answer = self._post("/v1/events/batch", json.dumps({"events": events}))
        body = answer.json()
        refusals = [(error["index"], error["id"], error["code"]) for error in body["errors"]]
        assert body["rejected"] == len(refusals)
        return Report(answer.status_code, body["accepted"], body["duplicates"], refusals)

    def send_text(self, text: str) -> tuple[int, str]:
        """Send a batch just as it is written; return the status and code of the refusal."""
        return read_problem(self._post("/v1/events/batch", text))[:2]

    def match(self, event: Json, subscription: Subscribed, *, preview: bool = False) -> Json:
        """Have a subscription take an unmatched event, or look at what that would change."""
        body = {
            "customer_id": event["customer_id"],
            "event_ids": [event["id"]],
            "subscription_id": subscription.id,
            "reason": "Used before the contract was signed",
            "preview": preview,
        }
        answer = self.client.post("/admin/v1/events/match", body)
        assert answer.status_code == 200, answer.content
        shown: Json = answer.json()
        if preview:
            shown["usage"] = [
                (each["period_start"][:10], each["before"], each["after"]) for each in shown["usage"]
            ]
            shown["charges"] = [
                (int(each["before_nanos"]), int(each["after_nanos"])) for each in shown["charges"]
            ]
        return shown

    def find_event(self, event: Json) -> Json | None:
        """Return all that is shown of an event, if it is stored."""
        path = f"/v1/events/{quote(event['id'], safe='')}"
        answer = self.client.get(path, {"customer_id": event["customer_id"]})
        return None if answer.status_code == 404 else answer.json()

    def look_up(self, event: Json) -> Stored | None:
        """Return how an event is matched and billed, if it is stored."""
        shown = self.find_event(event)
        if shown is None:
            return None
        return Stored(
            subscription_id=shown["subscription_id"],
            period_start=_read_time(shown["period_start"]),
            billed_at=_read_time(shown["billed_at"]),
            is_late=shown["is_late"],
        )

    def read_usage(self, subscription: Subscribed, period: str = "current") -> dict[str, Usage]:
        """Read what a subscription has used in a period, by meter."""
        answer = self.client.get(f"/v1/subscriptions/{subscription.id}/usage", {"period": period})
        return {
            meter["meter_id"]: Usage(meter["value"], meter.get("late_value"))
            for meter in answer.json()["meters"]
        }

    def read_tokens(self, subscription: Subscribed, period: str = "current") -> Usage:
        """Read how many tokens a subscription has used in a period."""
        return self.read_usage(subscription, period)[TOKENS]

    def bill(self, subscription: Subscribed) -> str:
        """Make the Draft of the current period, and return its id."""
        return read_id(self.client.post(f"/admin/v1/subscriptions/{subscription.id}/bill"))

    def find_draft(self, subscription: Subscribed) -> str:
        """Return the id of the one Draft of a subscription."""
        query = {"subscription_id": subscription.id, "status": "Draft"}
        (draft,) = self.client.get("/admin/v1/invoices", query).json()
        return str(draft["id"])

    def finalize(self, invoice_id: str) -> None:
        """Make a Draft final."""
        assert self.client.post(f"/admin/v1/invoices/{invoice_id}/finalize").status_code == 200

    def list_bills(self, subscription: Subscribed) -> list[Bill]:
        """List the invoices of a subscription, the oldest first."""
        answer = self.client.get("/admin/v1/invoices", {"subscription_id": subscription.id})
        return [
            Bill(
                number=shown["invoice_number"],
                reason=shown["reason"],
                total_nanos=int(shown["total_nanos"]),
                lines=[
                    Line(
                        name=line["description"],
                        quantity=line["quantity"],
                        amount_nanos=int(line["amount_nanos"]),
                        late_quantity=line["late_quantity"],
                    )
                    for line in shown["line_items"]
                ],
            )
            for shown in reversed(answer.json())
        ]

    def _make(self, path: str, body: Json) -> str:
        return read_id(self.client.post(f"/admin/v1/{path}", body))

    def _post(self, path: str, text: str) -> Any:
        return self.client.generic("POST", path, text, content_type="application/json")


def read_id(answer: Any) -> str:
    """Return the id of what was just made."""
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
