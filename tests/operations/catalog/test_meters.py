"""Meters."""

import pytest
from django.db import IntegrityError, connection, transaction

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.models import Aggregation, CatalogStatus, Meter
from catalog.operations import MeterDefinition, create_meter, find_or_make_meter, update_meter
from catalog.operations.meters import InvalidMeter, MeterCodeTaken, MeterInUse
from tests.factories.catalog import INPUT_TOKENS, make_plan, make_sku
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db

COMPLETIONS = MeterDefinition.read(event_type="llm.completion")


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


class TestCreateMeter:
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
        assert Meter.objects.count() == AuditEntry.objects.count() == 1

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


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
