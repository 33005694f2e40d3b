"""Events that are sent again: an id counts once for a customer, whatever comes under it later."""

import json

from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import (
    DOLLAR,
    MILLION,
    Bill,
    Json,
    Line,
    Report,
    Stored,
    Story,
    Usage,
    write_event,
)

START = utc(2026, 1, 15, 10)


class TestSameId:
    def test_counts_once(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)

        assert [story.send(event) for _ in range(3)] == ["accepted", "duplicate", "duplicate"]
        assert story.send_batch(event, write_event(subscription, stamped=START)) == Report(200, 1, 1, [])

        assert story.read_tokens(subscription) == Usage("2000000")

    def test_is_a_repeat_however_it_is_written(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START, properties={"tokens": 10**16, "model": "gpt-4o"})
        story.send(event)
        in_another_zone = {**event, "timestamp": "2026-01-15T11:00:00.000+01:00"}
        in_another_order = {**event, "properties": {"model": "gpt-4o", "tokens": 10**16}}
        with_an_exponent = {**event, "properties": {"tokens": 1e16, "model": "gpt-4o"}}
        assert "1e+16" in json.dumps(with_an_exponent)

        assert story.send_batch(in_another_zone, in_another_order, with_an_exponent) == Report(200, 0, 3, [])

        assert story.read_tokens(subscription) == Usage(str(10**16))

    def test_with_other_content_is_a_conflict_and_the_first_one_stays(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)
        story.send(event)
        stored = story.find_event(event)
        others: list[Json] = [
            {"properties": {"tokens": MILLION + 1}},
            {"properties": {"tokens": str(MILLION)}},
            {"properties": {"tokens": MILLION, "model": "gpt-4o"}},
            {"properties": {}},
            {"properties": {"tokens": -1}},  # Which could not count in any case,
            {"timestamp": "2099-01-01T00:00:00Z"},  # nor could this.
            {"timestamp": "2026-01-15T10:00:00.000001Z"},
            {"event_type": "llm.embedding"},
            {"subscription_id": None},
        ]

        assert story.send({**event, **others[0]}) == "409 conflict"
        assert story.send_batch(event, *[{**event, **other} for other in others]) == Report(
            207, 0, 1, [(index, event["id"], "conflict") for index in range(1, 10)]
        )

        assert story.find_event(event) == stored
        assert story.read_tokens(subscription) == Usage("1000000")

    def test_counts_in_no_later_period_either(self, story: Story) -> None:
        subscription = story.subscribe()
        event = story.use(subscription, at=utc(2026, 1, 20))
        story.pass_time(utc(2026, 2, 20))

        assert story.send(event) == "duplicate"
        assert story.send({**event, "timestamp": "2026-02-20T00:00:00Z"}) == "409 conflict"

        assert story.look_up(event) == Stored(subscription.id, START, utc(2026, 1, 20), is_late=False)
        assert story.read_tokens(subscription) == Usage("0")
        story.pass_time(utc(2026, 3, 20))
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        ]

    def test_of_two_customers_is_two_events(self, story: Story) -> None:
        ours, theirs = story.subscribe(), story.subscribe()
        first = write_event(ours, stamped=START, id="event")
        second = write_event(theirs, stamped=START, id="event", tokens=5)

        assert story.send_batch(first, second) == Report(200, 2, 0, [])

        assert [story.read_tokens(each) for each in (ours, theirs)] == [Usage("1000000"), Usage("5")]
        assert [story.look_up(event) for event in (first, second)] == [
            Stored(each.id, START, START, is_late=False) for each in (ours, theirs)
        ]


class TestSameIdInOneBatch:
    def test_counts_once(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)

        assert story.send_batch(event, event, event) == Report(200, 1, 2, [])

        assert story.read_tokens(subscription) == Usage("1000000")

    def test_with_other_content_is_a_conflict_and_the_first_one_stays(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)
        other = {**event, "properties": {"tokens": 5}}

        assert story.send_batch(event, other, event) == Report(207, 1, 1, [(1, event["id"], "conflict")])

        stored = story.find_event(event)
        assert stored is not None
        assert stored["properties"] == {"tokens": MILLION}
        assert story.read_tokens(subscription) == Usage("1000000")

    def test_is_a_conflict_where_what_comes_second_could_not_count_either(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)
        other = {**event, "properties": {"tokens": "many"}}

        assert story.send_batch(event, other) == Report(207, 1, 0, [(1, event["id"], "conflict")])

        assert story.read_tokens(subscription) == Usage("1000000")


class TestRefusedId:
    def test_is_free_for_the_event_put_right(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)

        assert story.send({**event, "properties": {"tokens": "many"}}) == "422 invalid_value"
        assert story.send(event) == "accepted"

        assert story.look_up(event) == Stored(subscription.id, START, START, is_late=False)
        assert story.read_tokens(subscription) == Usage("1000000")

    def test_is_free_for_it_in_the_same_batch_too(self, story: Story) -> None:
        subscription = story.subscribe()
        event = write_event(subscription, stamped=START)
        wrong = {**event, "properties": {"tokens": "many"}}

        assert story.send_batch(wrong, event) == Report(207, 1, 0, [(0, event["id"], "invalid_value")])

        assert story.look_up(event) == Stored(subscription.id, START, START, is_late=False)
        assert story.read_tokens(subscription) == Usage("1000000")
