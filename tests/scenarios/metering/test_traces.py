"""What a seller is told of one event: how it was matched, what it adds, and where it was billed or why not."""

from datetime import timedelta
from typing import Any

from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import DOLLAR, MILLION, TOKENS, Story, Subscribed, read_id, write_event

START = utc(2026, 1, 15, 10)
FEBRUARY = utc(2026, 2, 15)
MARCH = utc(2026, 3, 15)
HOUR = timedelta(hours=1)
Json = dict[str, Any]


def trace(story: Story, event: Json) -> Json:
    """Return all that is shown of an event that is stored."""
    shown = story.find_event(event)
    assert shown is not None
    return shown


def read_state(story: Story, event: Json) -> tuple[str, str, list[tuple[str, str | None]]]:
    """Return how an event is billed, in a word and in words, and the lines: what each does, and on which."""
    shown = trace(story, event)
    lines = [(line["role"], line["invoice_number"]) for meter in shown["meters"] for line in meter["lines"]]
    return shown["billing_state"], shown["billing_detail"], lines


def void(story: Story, event: Json) -> None:
    body = {"customer_id": event["customer_id"], "reason": "A test run"}
    read_id(story.client.post(f"/admin/v1/events/{event['id']}/void", body))


def amend(story: Story, event: Json, replacement: Json) -> None:
    body = {"customer_id": event["customer_id"], "reason": "Counted twice", "event": replacement}
    read_id(story.client.post(f"/admin/v1/events/{event['id']}/amend", body))


def use_a_month(story: Story, subscription: Subscribed) -> Json:
    """Use a million tokens on the 20th of January, and let the period be billed: two dollars."""
    event = story.use(subscription, at=utc(2026, 1, 20))
    story.pass_time(FEBRUARY + HOUR)
    return event


class TestBilling:
    def test_goes_from_the_next_invoice_over_a_draft_to_a_final_one(self, story: Story) -> None:
        subscription = story.subscribe()
        event = story.use(subscription, at=utc(2026, 1, 20))

        detail = "The period is open: it goes on the next invoice."
        assert read_state(story, event) == ("Upcoming", detail, [])
        story.bill(subscription)
        assert read_state(story, event) == ("Drafted", "It is on a Draft.", [("Charge", None)])
        later = story.use(subscription, at=utc(2026, 1, 21))
        assert read_state(story, later) == ("Upcoming", detail, [])
        story.pass_time(FEBRUARY + HOUR)
        billed = ("Billed", "It is on invoice INV-000001.", [("Charge", "INV-000001")])
        assert [read_state(story, each) for each in (event, later)] == [billed, billed]

    def test_names_the_line_and_what_the_event_adds_to_it(self, story: Story) -> None:
        subscription = story.subscribe()
        event = use_a_month(story, subscription)

        shown = trace(story, event)

        (invoice,) = story.client.get("/admin/v1/invoices").json()
        (line,) = invoice["line_items"]
        assert int(line["amount_nanos"]) == 2 * DOLLAR
        assert shown["meters"] == [
            {
                "meter_id": TOKENS,
                "aggregation": "Sum",
                "unit": "",
                "is_charged": True,
                "value": str(MILLION),
                "counted_value": None,
                "groups": None,
                "billing_state": "Billed",
                "billing_detail": "It is on invoice INV-000001.",
                "lines": [
                    {
                        "role": "Charge",
                        "invoice_id": invoice["id"],
                        "invoice_number": "INV-000001",
                        "invoice_status": "Open",
                        "line_id": line["id"],
                        "description": "tokens",
                    }
                ],
            }
        ]
        assert (shown["period_number"], shown["period_closed_at"]) == (0, "2026-02-15T01:00:00Z")
        assert (shown["missed_period"], shown["void"], shown["replaces_event_id"]) == (None, None, None)

    def test_is_by_the_first_bill_that_knew_the_event(self, story: Story) -> None:
        subscription = story.subscribe()
        first = story.use(subscription, at=utc(2026, 1, 20))
        story.finalize(story.bill(subscription))
        second = story.use(subscription, at=utc(2026, 1, 21))

        story.pass_time(FEBRUARY + HOUR)

        assert [read_state(story, each)[2] for each in (first, second)] == [
            [("Charge", "INV-000001")],
            [("Charge", "INV-000002")],
        ]

    def test_is_not_by_a_bill_from_before_it_was_matched(self, story: Story) -> None:
        customer_id = story.add_customer()
        event = write_event(customer_id, stamped=utc(2026, 1, 10))
        assert story.send(event) == "accepted"
        subscription = story.subscribe(customer_id)
        story.use(subscription, at=utc(2026, 1, 20))
        story.finalize(story.bill(subscription))

        story.match(event, subscription)

        assert read_state(story, event)[0] == "Upcoming"
        story.pass_time(FEBRUARY + HOUR)
        assert read_state(story, event)[2] == [("Charge", "INV-000002")]


class TestMissing:
    def test_says_that_no_subscription_charges_for_it(self, story: Story) -> None:
        event = write_event(story.add_customer(), stamped=START)
        assert story.send(event) == "accepted"

        shown = trace(story, event)

        assert (shown["billing_state"], shown["meters"]) == ("Unmatched", [])

    def test_says_that_the_plan_charges_for_nothing_of_its_type(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START, event_type="llm.image")
        assert story.send(event) == "accepted"

        detail = "No SKU of the plan version charges for events of its type."
        assert read_state(story, event) == ("NotCharged", detail, [])

    def test_says_that_it_adds_nothing(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START, properties={"model": "large"})
        assert story.send(event) == "accepted"

        assert read_state(story, event) == ("NotCounted", "It lacks the property.", [])

    def test_names_the_period_that_a_late_event_has_missed(self, story: Story) -> None:
        subscription = story.subscribe()
        story.pass_time(FEBRUARY + 2 * HOUR)
        event = write_event(subscription, stamped=utc(2026, 1, 20))
        assert story.send(event) == "accepted"

        shown = trace(story, event)

        missed = shown["missed_period"]
        assert (shown["is_late"], shown["period_number"], missed["number"]) == (True, 1, 0)
        assert (missed["period_start"], missed["period_end"], missed["closed_at"]) == (
            "2026-01-15T10:00:00Z",
            "2026-02-15T00:00:00Z",
            "2026-02-15T01:00:00Z",
        )

    def test_leads_to_the_notes_on_its_id(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)
        other = write_event(subscription, stamped=START, tokens=5, id=event["id"])
        assert [story.send(each) for each in (event, event, other)] == [
            "accepted",
            "duplicate",
            "409 conflict",
        ]

        notes = story.client.get(trace(story, event)["ingest_notes"]).json()

        assert len(notes) == 2
        assert {note["event_id"] for note in notes} == {event["id"]}


class TestVoid:
    def test_before_it_was_billed(self, story: Story) -> None:
        subscription = story.subscribe()
        event = story.use(subscription, at=utc(2026, 1, 20))

        void(story, event)

        assert read_state(story, event) == ("Voided", "It was taken back before it was billed.", [])
        shown = trace(story, event)
        assert shown["is_void"] is True
        told = shown["void"]
        assert (told["kind"], told["reason"], told["voided_at"], told["replacement_event_id"]) == (
            "Void",
            "A test run",
            "2026-01-20T00:00:00Z",
            None,
        )
        assert told["voided_by"]

    def test_after_it_was_billed_until_it_is_credited(self, story: Story) -> None:
        subscription = story.subscribe()
        event = use_a_month(story, subscription)
        story.use(subscription, at=utc(2026, 2, 20), tokens=3 * MILLION)

        void(story, event)

        charge = ("Charge", "INV-000001")
        detail = "It was billed, and goes off the next invoice."
        assert read_state(story, event) == ("CreditDue", detail, [charge])
        story.pass_time(MARCH + HOUR)
        assert read_state(story, event) == (
            "Credited",
            "It was billed on invoice INV-000001, and credited on invoice INV-000002.",
            [charge, ("Credit", "INV-000002")],
        )

    def test_links_an_event_and_what_took_its_place(self, story: Story) -> None:
        subscription = story.subscribe()
        wrong = story.use(subscription, at=utc(2026, 1, 20))
        right = write_event(subscription, stamped=utc(2026, 1, 20), tokens=5)

        amend(story, wrong, right)

        assert trace(story, wrong)["void"]["replacement_event_id"] == right["id"]
        assert trace(story, right)["replaces_event_id"] == wrong["id"]
