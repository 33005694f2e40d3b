"""Meters."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.models import Aggregation, CatalogStatus, Meter
from catalog.operations import MeterChanges, MeterDefinition, create_meter, find_or_make_meter, update_meter
from catalog.operations.meters import InvalidMeter, MeterCodeTaken, MeterInUse, MeterNeedsCode
from tests.factories.catalog import INPUT_TOKENS, make_plan, make_sku
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db

COMPLETIONS = MeterDefinition.read(event_type="llm.completion")
SMALL_OR_LARGE = {"property": "model", "operator": "In", "values": ["small", "large"]}


def read(**parts: Any) -> MeterDefinition:
    """Read a definition: the sum of input tokens, but for what is said."""
    return MeterDefinition.read(**{"event_type": "llm.completion", "property": "input_tokens", **parts})


def list_events() -> list[str]:
    return list(OutboxEvent.objects.order_by("position").values_list("name", flat=True))


class TestReadDefinition:
    @pytest.mark.parametrize(
        ("property_name", "aggregation", "read", "code"),
        [
            ("input_tokens", None, Aggregation.SUM, "llm.completion.input_tokens"),
            ("input_tokens", Aggregation.SUM, Aggregation.SUM, "llm.completion.input_tokens"),
            ("", None, Aggregation.COUNT, "llm.completion:count"),
            ("", Aggregation.COUNT, Aggregation.COUNT, "llm.completion:count"),
        ],
    )
    def test_knows_how_to_aggregate_and_what_code_goes_with_it(
        self, property_name: str, aggregation: Aggregation | None, read: Aggregation, code: str
    ) -> None:
        definition = MeterDefinition.read(
            event_type="llm.completion", property=property_name, aggregation=aggregation
        )

        assert (definition.property, definition.aggregation) == (property_name, read)
        assert definition.make_code() == code

    @pytest.mark.parametrize(
        ("property_name", "aggregation"), [("", Aggregation.SUM), ("input_tokens", Aggregation.COUNT)]
    )
    def test_refuses_a_sum_of_nothing_and_a_property_that_would_be_ignored(
        self, property_name: str, aggregation: Aggregation
    ) -> None:
        with pytest.raises(InvalidMeter) as caught:
            MeterDefinition.read(
                event_type="llm.completion",
                property=property_name,
                aggregation=aggregation,
                property_field="meter_property",
            )

        assert [error.field for error in caught.value.errors] == ["meter_property"]

    def test_reads_the_whole_of_it(self) -> None:
        definition = MeterDefinition.read(
            event_type="llm.completion",
            property="latency_ms",
            aggregation=Aggregation.PERCENTILE,
            percentile=Decimal("99.9"),
            filters=[{"property": "region", "operator": "Exists"}, SMALL_OR_LARGE, SMALL_OR_LARGE],
            group_by=["region", "model"],
        )

        assert definition.percentile == Decimal("99.9")
        assert definition.group_by == ("region", "model")
        assert [each.to_params() for each in definition.filters] == [
            {"property": "model", "operator": "In", "values": ["large", "small"]},
            {"property": "region", "operator": "Exists", "values": []},
        ]

    @pytest.mark.parametrize("percentile", [Decimal("0.001"), Decimal(50), Decimal(100)])
    def test_takes_any_percentile_above_0_up_to_100(self, percentile: Decimal) -> None:
        definition = read(aggregation=Aggregation.PERCENTILE, percentile=percentile)

        assert definition.percentile == percentile

    @pytest.mark.parametrize(
        ("parts", "field"),
        [
            ({"aggregation": Aggregation.PERCENTILE}, "percentile"),
            ({"aggregation": Aggregation.PERCENTILE, "percentile": Decimal(0)}, "percentile"),
            ({"aggregation": Aggregation.PERCENTILE, "percentile": Decimal(-1)}, "percentile"),
            ({"aggregation": Aggregation.PERCENTILE, "percentile": Decimal("100.1")}, "percentile"),
            ({"aggregation": Aggregation.MAX, "percentile": Decimal(95)}, "percentile"),
            ({"aggregation": Aggregation.SUM, "carries_over": True}, "carries_over"),
            ({"property": "p" * 201}, "property"),
            ({"property": "a\x00b"}, "property"),
            ({"filters": [{"property": "model", "operator": "Like", "value": "s"}]}, "filters.0.operator"),
            ({"filters": [SMALL_OR_LARGE, {"operator": "Exists"}]}, "filters.1.property"),
            ({"filters": ["model"]}, "filters.0"),
            ({"filters": [SMALL_OR_LARGE] * 11}, "filters"),
            ({"group_by": ["model", ""]}, "group_by.1"),
            ({"group_by": ["a\x00b"]}, "group_by.0"),
            ({"group_by": ["p" * 201]}, "group_by.0"),
            ({"group_by": ["model", "region", "model"]}, "group_by.2"),
            ({"group_by": [f"p{number}" for number in range(11)]}, "group_by"),
        ],
    )
    def test_refuses_and_names_the_field(self, parts: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidMeter) as caught:
            read(**parts)

        assert [error.field for error in caught.value.errors] == [field]


class TestMakeCode:
    @pytest.mark.parametrize(
        "parts",
        [
            {"aggregation": Aggregation.MAX},
            {"aggregation": Aggregation.MIN},
            {"aggregation": Aggregation.AVERAGE},
            {"aggregation": Aggregation.UNIQUE_COUNT},
            {"aggregation": Aggregation.LATEST},
            {"aggregation": Aggregation.WEIGHTED_SUM, "carries_over": True},
            {"aggregation": Aggregation.PERCENTILE, "percentile": Decimal(95)},
            {"group_by": ["model"]},
            {"filters": [SMALL_OR_LARGE]},
            {"property": "", "group_by": ["model"]},
            {"property": "", "filters": [SMALL_OR_LARGE]},
        ],
    )
    def test_leaves_all_but_plain_sums_and_numbers_to_be_named(self, parts: dict[str, Any]) -> None:
        definition = read(**parts)

        with pytest.raises(MeterNeedsCode) as created:
            create_meter(definition=definition, at=NOON, actor=TESTER)
        with pytest.raises(MeterNeedsCode) as found:
            find_or_make_meter(definition=definition, at=NOON, actor=TESTER)

        assert [error.field for error in created.value.errors] == ["code"]
        assert [error.field for error in found.value.errors] == ["meter_code"]
        assert not Meter.objects.exists()


class TestIsOf:
    @pytest.mark.parametrize(
        "parts",
        [
            {},
            {"property": ""},
            {"filters": [SMALL_OR_LARGE], "group_by": ["model", "region"]},
            {"aggregation": Aggregation.PERCENTILE, "percentile": Decimal("95.0")},
            {"aggregation": Aggregation.WEIGHTED_SUM, "carries_over": True},
        ],
    )
    def test_knows_a_stored_meter_again(self, parts: dict[str, Any]) -> None:
        definition = read(**parts)
        meter = create_meter(definition=definition, code="x", at=NOON, actor=TESTER)

        meter.refresh_from_db()

        assert definition.is_of(meter)
        assert MeterDefinition.of(meter) == definition

    def test_takes_what_is_written_differently_for_the_same(self) -> None:
        region = {"property": "region", "operator": "Equals", "value": 1}
        meter = create_meter(
            definition=read(filters=[region, SMALL_OR_LARGE], group_by=["model", "region"]),
            code="x",
            at=NOON,
            actor=TESTER,
        )

        same = read(
            filters=[
                {"property": "model", "operator": "In", "values": ["large", "small", "large"]},
                {"property": "region", "operator": "Equals", "values": ["1"]},
            ],
            group_by=["region", "model"],
        )

        assert same.is_of(meter)

    @pytest.mark.parametrize(
        "parts",
        [
            {"event_type": "image"},
            {"property": "seconds"},
            {"aggregation": Aggregation.MAX, "percentile": None},
            {"percentile": Decimal(99)},
            {"filters": []},
            {"filters": [{"property": "model", "operator": "In", "values": ["small"]}]},
            {"filters": [{"property": "model", "operator": "NotIn", "values": ["small", "large"]}]},
            {"group_by": []},
            {"group_by": ["model", "region"]},
        ],
    )
    def test_tells_every_other_definition(self, parts: dict[str, Any]) -> None:
        whole: dict[str, Any] = {
            "aggregation": Aggregation.PERCENTILE,
            "percentile": Decimal(95),
            "filters": [SMALL_OR_LARGE],
            "group_by": ["model"],
        }
        meter = create_meter(definition=read(**whole), code="x", at=NOON, actor=TESTER)

        assert read(**whole).is_of(meter)
        assert not read(**{**whole, **parts}).is_of(meter)

    def test_tells_whether_a_level_carries_over(self) -> None:
        level = read(aggregation=Aggregation.WEIGHTED_SUM)
        meter = create_meter(definition=level, code="x", at=NOON, actor=TESTER)

        assert level.is_of(meter)
        assert not read(aggregation=Aggregation.WEIGHTED_SUM, carries_over=True).is_of(meter)


class TestCreateMeter:
    def test_stores_the_whole_definition(self) -> None:
        definition = read(
            aggregation=Aggregation.PERCENTILE,
            percentile=Decimal(95),
            filters=[SMALL_OR_LARGE],
            group_by=["model", "region"],
        )

        meter = create_meter(definition=definition, code="p95", at=NOON, actor=TESTER)

        meter.refresh_from_db()
        assert (meter.aggregation, meter.percentile, meter.carries_over) == ("Percentile", 95, False)
        assert meter.filters == [{"property": "model", "operator": "In", "values": ["large", "small"]}]
        assert meter.group_by == ["model", "region"]

    def test_is_told(self) -> None:
        definition = read(filters=[SMALL_OR_LARGE], group_by=["model"])

        meter = create_meter(definition=definition, code="tokens", unit="token", at=NOON, actor=TESTER)

        event = OutboxEvent.objects.get()
        assert (event.name, event.subject_type, event.subject_id) == ("meter.created", "meter", meter.pk)
        assert (event.customer_id, event.occurred_at) == (None, NOON)
        assert event.payload == {
            "meter_id": str(meter.pk),
            "code": "tokens",
            "display_name": "",
            "event_type": "llm.completion",
            "property": "input_tokens",
            "aggregation": "Sum",
            "percentile": None,
            "carries_over": False,
            "filters": [{"property": "model", "operator": "In", "values": ["large", "small"]}],
            "group_by": ["model"],
            "unit": "token",
            "status": "Active",
        }

    def test_takes_the_usual_code(self) -> None:
        meter = create_meter(definition=INPUT_TOKENS, unit="tokens", at=NOON, actor=TESTER)

        meter.refresh_from_db()
        assert (meter.code, meter.event_type, meter.property, meter.aggregation, meter.unit) == (
            "llm.completion.input_tokens",
            "llm.completion",
            "input_tokens",
            Aggregation.SUM,
            "tokens",
        )

    def test_takes_a_code_of_its_own(self) -> None:
        meter = create_meter(definition=COMPLETIONS, code="calls", at=NOON, actor=TESTER)

        assert meter.code == "calls"

    def test_is_recorded(self) -> None:
        meter = create_meter(definition=COMPLETIONS, at=NOON, actor=TESTER)

        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject_id) == ("meter.created", str(meter.pk))
        assert entry.changes == {
            "code": [None, "llm.completion:count"],
            "display_name": [None, ""],
            "event_type": [None, "llm.completion"],
            "property": [None, ""],
            "aggregation": [None, "Count"],
            "percentile": [None, None],
            "carries_over": [None, False],
            "filters": [None, []],
            "group_by": [None, []],
            "unit": [None, ""],
            "status": [None, "Active"],
        }

    @pytest.mark.parametrize("definition", [INPUT_TOKENS, COMPLETIONS])
    def test_refuses_a_code_that_is_taken_even_for_the_same(self, definition: MeterDefinition) -> None:
        create_meter(definition=COMPLETIONS, code="calls", at=NOON, actor=TESTER)

        with pytest.raises(MeterCodeTaken) as caught:
            create_meter(definition=definition, code="calls", at=NOON, actor=TESTER)

        assert [error.field for error in caught.value.errors] == ["code"]
        assert Meter.objects.count() == AuditEntry.objects.count() == 1


class TestFindOrMakeMeter:
    def test_makes_one_and_finds_it_again(self) -> None:
        made = find_or_make_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)
        found = find_or_make_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)

        assert made.pk == found.pk
        assert Meter.objects.count() == AuditEntry.objects.count() == OutboxEvent.objects.count() == 1

    def test_keeps_meters_of_other_codes_apart(self) -> None:
        usual = find_or_make_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)
        other = find_or_make_meter(definition=INPUT_TOKENS, code="tokens", at=NOON, actor=TESTER)

        assert usual.pk != other.pk

    def test_refuses_a_code_that_counts_something_else(self) -> None:
        find_or_make_meter(definition=INPUT_TOKENS, code="tokens", at=NOON, actor=TESTER)

        with pytest.raises(MeterCodeTaken):
            find_or_make_meter(definition=COMPLETIONS, code="tokens", at=NOON, actor=TESTER)

        assert Meter.objects.count() == 1

    def test_refuses_codes_that_only_look_alike(self) -> None:
        find_or_make_meter(
            definition=MeterDefinition.read(event_type="a.b", property="c"), at=NOON, actor=TESTER
        )

        with pytest.raises(MeterCodeTaken, match="'a.b.c' counts something else"):
            find_or_make_meter(
                definition=MeterDefinition.read(event_type="a", property="b.c"), at=NOON, actor=TESTER
            )


class TestUpdateMeter:
    def test_changes_what_people_read(self) -> None:
        meter = create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)

        update_meter(
            meter_id=meter.pk,
            changes={"display_name": "Input", "unit": "tokens"},
            at=NOON,
            actor=TESTER,
        )

        meter.refresh_from_db()
        assert (meter.display_name, meter.unit) == ("Input", "tokens")
        entry = AuditEntry.objects.get(action="meter.updated")
        assert entry.changes == {"display_name": ["", "Input"], "unit": ["", "tokens"]}

    def test_archives_one_that_no_price_refers_to_and_brings_it_back(self) -> None:
        meter = create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)

        for status in (CatalogStatus.ARCHIVED, CatalogStatus.ACTIVE):
            update_meter(meter_id=meter.pk, changes={"status": status}, at=NOON, actor=TESTER)
            meter.refresh_from_db()
            assert meter.status == status
        assert list_events() == ["meter.created", "meter.archived", "meter.restored"]

    @pytest.mark.parametrize("changes", [{"unit": "tokens"}, {"status": CatalogStatus.ACTIVE}])
    def test_tells_nobody_while_it_goes_on_counting(self, changes: MeterChanges) -> None:
        meter = create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)

        update_meter(meter_id=meter.pk, changes=changes, at=NOON, actor=TESTER)

        assert list_events() == ["meter.created"]

    def test_refuses_to_archive_one_in_use(self) -> None:
        make_sku(make_plan(), meter=INPUT_TOKENS)
        meter = Meter.objects.get()

        with pytest.raises(MeterInUse):
            update_meter(
                meter_id=meter.pk,
                changes={"status": CatalogStatus.ARCHIVED, "unit": "tokens"},
                at=NOON,
                actor=TESTER,
            )

        meter.refresh_from_db()
        assert (meter.status, meter.unit) == (CatalogStatus.ACTIVE, "")
        assert list_events() == ["meter.created"]

    def test_lets_one_in_use_be_renamed(self) -> None:
        make_sku(make_plan(), meter=INPUT_TOKENS)
        meter = Meter.objects.get()

        update_meter(meter_id=meter.pk, changes={"unit": "tokens"}, at=NOON, actor=TESTER)

        meter.refresh_from_db()
        assert meter.unit == "tokens"

    def test_refuses_an_unknown_meter(self) -> None:
        with pytest.raises(NotFound):
            update_meter(meter_id=make_id(), changes={"unit": "tokens"}, at=NOON, actor=TESTER)


class TestDatabase:
    @pytest.mark.parametrize(
        "assignment",
        [
            "code = 'other'",
            "event_type = 'other'",
            "property = 'other'",
            "aggregation = 'Count', property = ''",
            "filters = '[1]'",
            "group_by = '{model}'",
            "aggregation = 'Percentile', percentile = 95",
            "carries_over = TRUE",
        ],
    )
    def test_refuses_another_definition(self, assignment: str) -> None:
        create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)

        with pytest.raises(IntegrityError, match="catalog_meter is frozen: UPDATE is refused"):
            run(f"UPDATE catalog_meter SET {assignment}")

    def test_refuses_removal(self) -> None:
        create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)

        with pytest.raises(IntegrityError, match="catalog_meter is frozen: DELETE is refused"):
            run("DELETE FROM catalog_meter")

        assert Meter.objects.count() == 1

    @pytest.mark.parametrize(
        ("property_name", "aggregation"), [("", Aggregation.SUM), ("input_tokens", Aggregation.COUNT)]
    )
    def test_refuses_a_definition_that_counts_nothing(
        self, property_name: str, aggregation: Aggregation
    ) -> None:
        with (
            pytest.raises(IntegrityError, match="meter_has_a_property_unless_it_counts"),
            transaction.atomic(),
        ):
            Meter.objects.create(code="x", event_type="x", property=property_name, aggregation=aggregation)

    @pytest.mark.parametrize(
        ("aggregation", "percentile"),
        [
            (Aggregation.PERCENTILE, None),
            (Aggregation.PERCENTILE, Decimal(0)),
            (Aggregation.PERCENTILE, Decimal("100.01")),
            (Aggregation.MAX, Decimal(95)),
        ],
    )
    def test_refuses_a_percentile_out_of_place(
        self, aggregation: Aggregation, percentile: Decimal | None
    ) -> None:
        with (
            pytest.raises(IntegrityError, match="meter_has_a_percentile_if_it_is_one"),
            transaction.atomic(),
        ):
            Meter.objects.create(
                code="x", event_type="x", property="p", aggregation=aggregation, percentile=percentile
            )

    def test_refuses_to_carry_over_what_is_no_level(self) -> None:
        with (
            pytest.raises(IntegrityError, match="meter_carries_over_only_a_weighted_sum"),
            transaction.atomic(),
        ):
            Meter.objects.create(
                code="x", event_type="x", property="p", aggregation=Aggregation.SUM, carries_over=True
            )


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
