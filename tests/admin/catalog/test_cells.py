"""The cells of a Matrix price on the staff pages: a grid to type in, and sheets to download and bring back."""

import re
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.models import PlanVersion, PricingModel, Sku
from catalog.operations import MeterDefinition
from tests.admin.core.conftest import MakeStaff
from tests.factories.catalog import get_price, make_plan, make_sku, publish

pytestmark = pytest.mark.django_db

CELLS: list[dict[str, Any]] = [
    {"values": ["gpt-4", "input"], "unit_amount_nanos": "30000000"},
    {"values": ["gpt-4", "output"], "unit_amount_nanos": "60000000"},
    {"values": ["claude", None], "unit_amount_nanos": "15000000"},
]
SHEET = """\
model,token_type,unit_amount_nanos
gpt-4,input,30000000
gpt-4,output,60000000
claude,,15000000
,,5000000
"""


@pytest.fixture
def sku() -> Sku:
    """Tokens of two models: $30 and $60 a million of gpt-4, $15 of claude, $5 of any other."""
    meter = MeterDefinition.read(event_type="llm.tokens", property="tokens", group_by=["model", "token_type"])
    params = {"dimensions": ["model", "token_type"], "cells": CELLS, "default_unit_amount_nanos": "5000000"}
    return make_sku(
        make_plan(), meter=meter, meter_code="tokens", pricing_model=PricingModel.MATRIX, params=params
    )


def address(sku: Sku, page: str = "cells/") -> str:
    return f"/admin/catalog/sku/{sku.pk}/{page}"


def read_fields(page: str, name: str) -> list[str]:
    """Read what is in all fields of a name."""
    return re.findall(rf'<input name="{name}" value="([^"]*)"', page)


def type_in(sku: Sku, client: Client, rows: str, columns: str, *amounts: str, units: str = "1000000") -> Any:
    """Send a grid: values with a bar between, and a line of amounts for each row, and for any other."""
    body = {
        "row": rows.split("|"),
        "column": columns.split("|") if columns else [],
        "amount": [amount for line in amounts for amount in line.split("|")],
        "units": units,
    }
    return client.post(address(sku), body)


class TestGrid:
    def test_shows_prices_for_a_million_where_units_are_cheap(self, staff: Client, sku: Sku) -> None:
        page = staff.get(address(sku)).content.decode()

        assert read_fields(page, "row") == ["gpt-4", "claude", "", "", ""]
        assert read_fields(page, "column") == ["input", "output", ""]
        assert read_fields(page, "amount")[:8] == ["30", "60", "", "", "", "", "", "15"]
        assert read_fields(page, "amount")[-4:] == ["", "", "", "5"]
        assert "Prices in USD for" in page

    @pytest.mark.parametrize(
        ("units", "first"), [("1", "0.00003"), ("1000", "0.03"), ("1000000", "30"), ("7", "30")]
    )
    def test_shows_them_for_as_many_units_as_are_asked_for(
        self, staff: Client, sku: Sku, units: str, first: str
    ) -> None:
        page = staff.get(address(sku), {"units": units}).content.decode()

        assert read_fields(page, "amount")[0] == first

    def test_saves_what_is_typed_in(self, staff: Client, sku: Sku) -> None:
        publish(sku.plan)
        amounts = ("30|60||", "3|15||", "|||22.5", "|||", "|||1")

        answer = type_in(sku, staff, "gpt-4|claude| opus |", "input|output|", *amounts)

        assert answer.status_code == 302
        assert get_price(sku, version=2).params == {
            "dimensions": ["model", "token_type"],
            "cells": [
                {"values": ["gpt-4", "input"], "unit_amount_nanos": "30000000"},
                {"values": ["gpt-4", "output"], "unit_amount_nanos": "60000000"},
                {"values": ["claude", "input"], "unit_amount_nanos": "3000000"},
                {"values": ["claude", "output"], "unit_amount_nanos": "15000000"},
                {"values": ["opus", None], "unit_amount_nanos": "22500000"},
            ],
            "default_unit_amount_nanos": "1000000",
        }
        assert get_price(sku, version=1).params["cells"] == CELLS
        assert AuditEntry.objects.get(action="sku.updated").actor_label == "ada"

    def test_saved_as_it_is_changes_nothing(self, staff: Client, sku: Sku) -> None:
        publish(sku.plan)
        page = staff.get(address(sku)).content.decode()
        body = {name: read_fields(page, name) for name in ("row", "column", "amount")}

        assert staff.post(address(sku), {**body, "units": "1000000"}).status_code == 302

        assert PlanVersion.objects.count() == 1
        assert get_price(sku, version=1).params["cells"] == CELLS

    @pytest.mark.parametrize(
        ("amounts", "problem"),
        [
            (["30|60|", "|15|", "||"], "Enter the price of any other."),
            (["30|x|", "||", "||5"], "model gpt-4, token_type output: Enter a decimal number."),
            (["3,5||", "||", "||5"], "model gpt-4, token_type input: Enter a decimal number."),
            (["-1||", "||", "||5"], "model gpt-4, token_type input: Enter a price that is not below zero."),
            (["0.0000000000001||", "||", "||5"], "enter fewer digits"),
            (["|1|", "|2|", "||5"], None),
            (["1||", "2||9", "||5"], None),
        ],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(
        self, staff: Client, sku: Sku, amounts: list[str], problem: str | None
    ) -> None:
        answer = type_in(sku, staff, "gpt-4|claude", "input|output", *amounts)

        if problem is None:
            assert answer.status_code == 302
            return
        page = answer.content.decode()
        assert problem in page
        assert read_fields(page, "amount") == [amount for line in amounts for amount in line.split("|")]
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_asks_for_the_value_of_a_new_line(self, staff: Client, sku: Sku) -> None:
        page = type_in(sku, staff, "gpt-4|", "input|output", "1||", "|2|", "||5").content.decode()

        assert "model (new), token_type output: name the value that this price is for" in page
        assert page.count('aria-invalid="true"') == 1

    def test_shows_what_the_operation_refuses(self, staff: Client, sku: Sku) -> None:
        page = type_in(sku, staff, "gpt-4", "input", "|7", "8|5").content.decode()

        assert "It is in doubt what model gpt-4 with token_type input costs" in page
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_refuses_half_a_grid(self, staff: Client, sku: Sku) -> None:
        page = type_in(sku, staff, "gpt-4", "input", "1|2").content.decode()

        assert "Not all of the grid came in." in page
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_has_one_column_for_one_dimension(self, staff: Client, sku: Sku) -> None:
        meter = MeterDefinition.of(get_price(sku, version=1).meter)  # type: ignore[arg-type]
        params = {"dimensions": ["model"], "cells": [{"values": ["a"], "unit_amount_nanos": "2000000000000"}]}
        params["default_unit_amount_nanos"] = "0"  # type: ignore[assignment]
        one = make_sku(
            sku.plan, meter=meter, meter_code="tokens", pricing_model=PricingModel.MATRIX, params=params
        )

        page = staff.get(address(one)).content.decode()
        assert (read_fields(page, "column"), read_fields(page, "amount")) == ([], ["2", "", "", "", "0"])
        assert type_in(one, staff, "a|b", "", "2.5", "3", "0", units="1").status_code == 302
        assert get_price(one, version=1).params["cells"] == [
            {"values": ["a"], "unit_amount_nanos": "2500000000000"},
            {"values": ["b"], "unit_amount_nanos": "3000000000000"},
        ]

    def test_gives_way_to_sheets_where_it_would_be_too_large(self, staff: Client, sku: Sku) -> None:
        lines = "".join(f"model-{number},kind-{number},1\n" for number in range(40))
        upload(sku, staff, "model,token_type,unit_amount_nanos\n" + lines)

        page = staff.get(address(sku)).content.decode()

        assert "There are too many cells for a grid" in page
        assert read_fields(page, "amount") == []


def upload(sku: Sku, client: Client, text: str | bytes) -> Any:
    """Bring a sheet back."""
    content = text.encode() if isinstance(text, str) else text
    return client.post(address(sku), {"sheet": SimpleUploadedFile("cells.csv", content)})


class TestSheet:
    def test_is_downloaded(self, staff: Client, sku: Sku) -> None:
        answer = staff.get(address(sku, "cells.csv"))

        assert answer.content.decode() == SHEET
        assert answer["Content-Disposition"] == f'attachment; filename="{sku.pk}.csv"'

    def test_is_brought_back(self, staff: Client, sku: Sku) -> None:
        assert upload(sku, staff, SHEET.replace("15000000", "9")).status_code == 302

        assert get_price(sku, version=1).params["cells"] == [
            *CELLS[:2],
            {"values": ["claude", None], "unit_amount_nanos": "9"},
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("model,price\n", "Line 1: The first line has the columns model,token_type,unit_amount_nanos."),
            ("model,token_type,unit_amount_nanos\na,,x\n", "Line 2: "),
            (b"\xff", "The sheet is not in UTF-8."),
            (b"x" * 1_000_001, "longer than"),
            (b"", "empty"),
        ],
    )
    def test_is_refused_with_the_reason(
        self, staff: Client, sku: Sku, text: str | bytes, problem: str
    ) -> None:
        answer = upload(sku, staff, text)

        assert (answer.status_code, problem in answer.content.decode()) == (200, True)
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_is_asked_for_where_none_is_chosen(self, staff: Client, sku: Sku) -> None:
        assert "This field is required." in staff.post(address(sku), {}).content.decode()


class TestPages:
    def test_lead_to_the_grid_from_a_matrix_alone(self, staff: Client, sku: Sku) -> None:
        other = make_sku(sku.plan, meter=None)

        assert "Edit prices" in staff.get(address(sku, "change/")).content.decode()
        assert "Edit prices" not in staff.get(address(other, "change/")).content.decode()
        button = reverse("admin:catalog_sku_edit_cells", args=[sku.pk])
        assert staff.get(button)["Location"] == address(sku)

    @pytest.mark.parametrize("page", ["cells/", "cells.csv"])
    def test_are_those_of_a_matrix(self, staff: Client, sku: Sku, page: str) -> None:
        other = make_sku(sku.plan, meter=None)

        assert staff.get(address(other, page)).status_code == 404
        assert staff.get(f"/admin/catalog/sku/{make_id()}/{page}").status_code == 404

    def test_need_the_right_to_change(self, make_staff: MakeStaff, sku: Sku) -> None:
        client = make_staff("view_sku")

        assert client.get(address(sku)).status_code == 403
        assert type_in(sku, client, "gpt-4", "", "1", "2").status_code == 403
        assert client.get(address(sku, "cells.csv")).status_code == 200
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_say_in_words_what_the_price_is(self, staff: Client, sku: Sku) -> None:
        page = staff.get(address(sku, "change/")).content.decode()

        assert "3 cells by model and token_type" in page
        assert "Default unit amount $0.000005" in page
        text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))
        assert "in USD for 1,000,000 units model / token_type input output Any other" in text
        assert "gpt-4 30 60 – claude – – 15 Any other – – 5" in text
