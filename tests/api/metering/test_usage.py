"""A subscription's usage over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind
from catalog.models import BillingCadence, Meter
from catalog.operations import MeterDefinition
from subscriptions.models import Period, Subscription
from tests.api.problems import read_problem
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, make_client
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import EVENT_TYPE, INPUT, OUTPUT, close, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

FIRST_END = utc(2026, 3, 2)


@pytest.fixture
def client() -> APIClient:
    return make_client()


def make_subscription(*, now: object = NOON) -> Subscription:
    """Make a daily subscription that began at noon, of a customer for whom it is `now`."""
    customer = make_customer(test_clock_id=make_test_clock(now_at=now).pk)  # type: ignore[arg-type]
    return subscribe(customer=customer, plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))


def address(subscription: Subscription) -> str:
    return f"/v1/subscriptions/{subscription.pk}/usage"


class TestRetrieve:
    def test_shows_every_meter_of_the_plan(self, client: APIClient) -> None:
        subscription = make_subscription()
        ingest(*[write_event(subscription, properties={"input_tokens": "1.5"}) for _ in range(2)])

        answer = client.get(address(subscription))

        assert answer.status_code == 200
        assert answer.json() == {
            "period_id": str(subscription.periods.get().pk),
            "period_start": "2026-02-28T12:00:00Z",
            "period_end": "2026-03-02T00:00:00Z",
            "meters": [{"meter_id": INPUT, "value": "3"}, {"meter_id": OUTPUT, "value": "0"}],
        }

    def test_shows_the_last_batch_at_once(self, client: APIClient) -> None:
        subscription = make_subscription()

        for count in (1, 2):
            ingest(write_event(subscription))
            assert client.get(address(subscription)).json()["meters"][0]["value"] == str(10 * count)

    def test_shows_digits_without_zeros_behind_them_or_an_exponent(self, client: APIClient) -> None:
        subscription = make_subscription()
        ingest(write_event(subscription, properties={"input_tokens": "1e20", "output_tokens": "2.50"}))

        meters = client.get(address(subscription)).json()["meters"]

        assert [meter["value"] for meter in meters] == ["1" + "0" * 20, "2.5"]

    def test_shows_the_unit_and_the_late_part_where_there_is_one(self, client: APIClient) -> None:
        subscription = make_subscription(now=FIRST_END)
        Meter.objects.filter(code=INPUT).update(unit="tokens")
        close(subscription, 0, at=FIRST_END)
        ingest(
            write_event(subscription),
            write_event(subscription, timestamp=FIRST_END, properties={"input_tokens": 5}),
        )

        meters = client.get(address(subscription)).json()["meters"]

        assert meters == [
            {"meter_id": INPUT, "value": "15", "unit": "tokens", "late_value": "10"},
            {"meter_id": OUTPUT, "value": "2", "late_value": "2"},
        ]

    def test_shows_another_period_if_asked_to(self, client: APIClient) -> None:
        subscription = make_subscription(now=FIRST_END)
        ingest(write_event(subscription), write_event(subscription, timestamp=FIRST_END))
        first, second = Period.objects.filter(subscription=subscription).order_by("number")

        def show(period: str) -> str:
            shown: str = client.get(address(subscription), {"period": period}).json()["period_id"]
            return shown

        assert show("current") == str(second.pk)
        assert show("previous") == str(first.pk)
        assert show(str(first.pk)) == str(first.pk)

    @pytest.mark.parametrize(
        ("query", "status", "code"),
        [
            ({"period": "next"}, 422, "invalid_input"),
            ({"period": ""}, 422, "invalid_input"),
            ({"period": "01944b1f-0000-7000-8000-000000000001"}, 404, "not_found"),
            ({"period": "previous"}, 404, "not_found"),
            ({"granularity": "week"}, 422, "invalid_input"),
            ({"group": "model"}, 422, "unknown_parameter"),
            ({"group_by": "model"}, 422, "unknown_property"),
            ({"group_by": ""}, 422, "invalid_input"),
            ({"group_by": "model,,region"}, 422, "invalid_input"),
            ({"group_by": ",".join(map(str, range(11)))}, 422, "invalid_input"),
            ({"filter_group": "model:small"}, 422, "unknown_property"),
            ({"filter_group": "model:small,model:large"}, 422, "invalid_input"),
            ({"filter_group": ":small"}, 422, "invalid_input"),
            ({"meter_id": "llm.completion"}, 422, "unknown_meter"),
            ({"meter_id": ",".join(map(str, range(101)))}, 422, "invalid_input"),
            ({"hours": "6"}, 422, "invalid_input"),
            ({"count": "2"}, 422, "invalid_input"),
            ({"window": "Hopping", "hours": "6"}, 422, "invalid_input"),
            ({"window": "Sliding"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "0"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "169"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "1.5"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "٣"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "6", "days": "1"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "6", "count": "2"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "6", "granularity": "day"}, 422, "invalid_input"),
            ({"window": "Sliding", "hours": "6", "period": "previous"}, 422, "invalid_input"),
            ({"window": "Tumbling", "hours": "36"}, 422, "invalid_input"),
            ({"window": "Tumbling", "days": "32"}, 422, "invalid_input"),
            ({"window": "Tumbling", "days": "7", "count": "53"}, 422, "invalid_input"),
        ],
        ids=str,
    )
    def test_refuses_what_it_does_not_know(
        self, client: APIClient, query: dict[str, str], status: int, code: str
    ) -> None:
        answer = client.get(address(make_subscription()), query)

        assert read_problem(answer)[:2] == (status, code)

    def test_names_the_parameter_that_it_refuses(self, client: APIClient) -> None:
        subscription = make_subscription()

        def find_fields(query: dict[str, str]) -> list[str]:
            return [error["field"] for error in client.get(address(subscription), query).json()["errors"]]

        assert find_fields({"filter_group": "model:small"}) == ["filter_group"]
        assert find_fields({"meter_id": f"{INPUT},other"}) == ["meter_id"]
        assert find_fields({"window": "Sliding", "hours": "six"}) == ["hours"]

    def test_refuses_an_unknown_subscription(self, client: APIClient) -> None:
        assert read_problem(client.get(f"/v1/subscriptions/{make_id()}/usage"))[:2] == (404, "not_found")

    def test_needs_the_scope(self) -> None:
        subscription = make_subscription(now=NOON + timedelta(hours=1))

        def ask(*scopes: str) -> int:
            client = make_client(kind=ApiKeyKind.RESTRICTED, scopes=list(scopes))
            return client.get(address(subscription)).status_code

        assert [ask("metering:read"), ask("events:read"), ask("subscriptions:read")] == [200, 403, 403]


def make_grouped_subscription() -> Subscription:
    """Make a subscription to a plan of calls by model and region, and of tokens that are not grouped."""
    plan = make_plan(billing_cadence=BillingCadence.DAILY)
    calls = MeterDefinition.read(event_type=EVENT_TYPE, group_by=["model", "region"])
    make_sku(plan, name="Calls", meter=calls, meter_code="calls")
    make_sku(plan, name="Tokens", meter=MeterDefinition.read(event_type=EVENT_TYPE, property="input_tokens"))
    customer = make_customer(test_clock_id=make_test_clock(now_at=NOON + timedelta(hours=2)).pk)
    subscription = subscribe(customer=customer, plan=plan)
    sent = [("small", "eu"), ("small", "us"), ("small", "us"), ("a,b:c\\d", "eu"), (None, "eu")]
    ingest(
        *[
            write_event(
                subscription,
                timestamp=NOON + timedelta(minutes=30 * number),
                properties={"input_tokens": 1, "model": model, "region": region},
            )
            for number, (model, region) in enumerate(sent)
        ],
        at=NOON + timedelta(hours=2),
    )
    return subscription


class TestGroups:
    def show(self, client: APIClient, **query: str) -> Any:
        answer = client.get(address(make_grouped_subscription()), query)
        assert answer.status_code == 200, answer.json()
        return answer.json()["meters"]

    def test_shows_every_group_of_a_meter(self, client: APIClient) -> None:
        assert self.show(client, group_by="*") == [
            {
                "meter_id": "calls",
                "value": "5",
                "groups": [
                    {"group": {"model": "a,b:c\\d", "region": "eu"}, "value": "1"},
                    {"group": {"model": "small", "region": "eu"}, "value": "1"},
                    {"group": {"model": "small", "region": "us"}, "value": "2"},
                    {"group": {"model": None, "region": "eu"}, "value": "1"},
                ],
            },
            {"meter_id": INPUT, "value": "5"},
        ]

    def test_merges_groups_by_fewer_properties(self, client: APIClient) -> None:
        calls, tokens = self.show(client, group_by="region")

        assert calls["groups"] == [
            {"group": {"region": "eu"}, "value": "3"},
            {"group": {"region": "us"}, "value": "2"},
        ]
        assert "groups" not in tokens

    def test_counts_only_what_has_the_values(self, client: APIClient) -> None:
        assert self.show(client, filter_group="model:small") == [{"meter_id": "calls", "value": "3"}]
        assert self.show(client, filter_group="model:small,region:eu") == [
            {"meter_id": "calls", "value": "1"}
        ]
        assert self.show(client, filter_group="model:none of these") == [{"meter_id": "calls", "value": "0"}]

    def test_counts_what_lacks_the_property(self, client: APIClient) -> None:
        assert self.show(client, filter_group="model") == [{"meter_id": "calls", "value": "1"}]
        assert self.show(client, filter_group="model:") == [{"meter_id": "calls", "value": "0"}]

    def test_takes_values_with_its_own_signs_in_them(self, client: APIClient) -> None:
        assert self.show(client, filter_group="model:a\\,b:c\\\\d", group_by="model") == [
            {
                "meter_id": "calls",
                "value": "1",
                "groups": [{"group": {"model": "a,b:c\\d"}, "value": "1"}],
            }
        ]

    def test_chooses_meters_by_code_and_id(self, client: APIClient) -> None:
        subscription = make_grouped_subscription()
        meter_id = str(Meter.objects.get(code="calls").pk)

        def show(names: str) -> list[str]:
            answer = client.get(address(subscription), {"meter_id": names})
            return [meter["meter_id"] for meter in answer.json()["meters"]]

        assert show(meter_id) == ["calls"]
        assert show(f"{INPUT},calls") == ["calls", INPUT]
        assert show(f"calls,{meter_id}") == ["calls"]


class TestOverTime:
    def test_adds_the_days_of_the_period(self, client: APIClient) -> None:
        subscription = make_grouped_subscription()

        answer = client.get(
            address(subscription), {"granularity": "day", "meter_id": "calls", "group_by": "region"}
        ).json()

        assert list(answer) == ["period_id", "period_start", "period_end", "meters", "series"]
        assert answer["series"] == [
            {
                "starts_at": "2026-02-28T12:00:00Z",
                "ends_at": "2026-03-01T00:00:00Z",
                "meters": [
                    {
                        "meter_id": "calls",
                        "value": "5",
                        "groups": [
                            {"group": {"region": "eu"}, "value": "3"},
                            {"group": {"region": "us"}, "value": "2"},
                        ],
                    }
                ],
            },
            {
                "starts_at": "2026-03-01T00:00:00Z",
                "ends_at": "2026-03-02T00:00:00Z",
                "meters": [{"meter_id": "calls", "value": "0", "groups": []}],
            },
        ]

    def test_adds_the_hours_of_any_period(self, client: APIClient) -> None:
        subscription = make_grouped_subscription()
        period = str(subscription.periods.get().pk)

        answer = client.get(address(subscription), {"granularity": "hour", "period": period}).json()

        assert len(answer["series"]) == 36
        values = [[meter["value"] for meter in hour["meters"]] for hour in answer["series"]]
        assert values[:4] == [["2", "2"], ["2", "2"], ["1", "1"], ["0", "0"]]

    def test_refuses_hours_of_a_year(self, client: APIClient) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.ANNUAL))

        answer = client.get(
            address(subscription), {"granularity": "hour", "period": str(subscription.periods.get().pk)}
        )

        assert read_problem(answer)[:2] == (422, "too_many_buckets")

    def test_adds_windows(self, client: APIClient) -> None:
        subscription = make_grouped_subscription()

        def show(**query: str) -> list[tuple[str, str, str]]:
            windows = client.get(address(subscription), {"meter_id": "calls", **query}).json()["windows"]
            return [(one["starts_at"], one["ends_at"], one["meters"][0]["value"]) for one in windows]

        assert show(window="Sliding", hours="1") == [("2026-02-28T13:00:00Z", "2026-02-28T14:00:00Z", "2")]
        assert show(window="Sliding", days="1") == [("2026-02-27T14:00:00Z", "2026-02-28T14:00:00Z", "4")]
        assert show(window="Tumbling", hours="1", count="2") == [
            ("2026-02-28T13:00:00Z", "2026-02-28T14:00:00Z", "2"),
            ("2026-02-28T14:00:00Z", "2026-02-28T15:00:00Z", "1"),
        ]
        assert show(window="Tumbling", days="1") == [("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z", "5")]
