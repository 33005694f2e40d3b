"""The seller."""

import pytest
from django.core.checks import run_checks
from django.db import IntegrityError, connection, transaction
from pytest_django import Settings

from billing_project.core.errors import InvalidInput
from billing_project.core.models import AuditEntry, Mode, Seller
from billing_project.core.seller import (
    ModeChanged,
    SellerNotSetUp,
    check_mode,
    get_seller,
    is_mode_kept,
    set_up_seller,
    update_seller,
)
from billing_project.core.sequences import take_number
from tests.factories.core import NOON, TESTER, make_seller

pytestmark = pytest.mark.django_db


class TestGetSeller:
    def test_refuses_before_the_set_up(self) -> None:
        with pytest.raises(SellerNotSetUp):
            get_seller()

    def test_reads_the_only_one(self) -> None:
        make_seller(legal_name="Ours")

        assert get_seller().legal_name == "Ours"


class TestSetUpSeller:
    def test_starts_with_safe_defaults_in_the_mode_of_the_settings(self) -> None:
        seller = make_seller(currency="EUR")

        stored = Seller.objects.get()
        assert stored == seller
        assert (stored.mode, stored.currency, stored.timezone) == (Mode.TEST, "EUR", "UTC")
        assert (stored.grace_seconds, stored.invoice_prefix) == (3600, "INV-")
        assert (stored.tax_engine, stored.tax_flat_rate_bps, stored.skip_zero_invoices) == ("None", 0, True)

    def test_returns_the_one_there_is(self) -> None:
        make_seller(legal_name="First")

        again = set_up_seller(legal_name="Second", currency="EUR", at=NOON, actor=TESTER)

        assert again.legal_name == "First"
        assert Seller.objects.count() == 1
        assert AuditEntry.objects.filter(action="seller.created").count() == 1

    def test_lets_the_mode_follow_the_settings_until_a_number_is_taken(self, settings: Settings) -> None:
        make_seller()
        settings.BILLING_MODE = "Live"
        assert make_seller().mode == Mode.LIVE
        assert AuditEntry.objects.get(action="seller.updated").changes == {"mode": ["Test", "Live"]}

        take_number("invoice")
        settings.BILLING_MODE = "Test"
        with pytest.raises(ModeChanged):
            make_seller()

        assert get_seller().mode == Mode.LIVE


class TestUpdateSeller:
    def test_changes_and_records(self) -> None:
        make_seller()

        update_seller(
            values={"legal_name": "New Ltd", "grace_seconds": 0, "currency": "USD"}, at=NOON, actor=TESTER
        )

        assert get_seller().legal_name == "New Ltd"
        entry = AuditEntry.objects.get(action="seller.updated")
        assert entry.changes == {"legal_name": ["Seller Ltd", "New Ltd"], "grace_seconds": [3600, 0]}

    def test_records_nothing_when_nothing_changes(self) -> None:
        make_seller()

        update_seller(values={"legal_name": "Seller Ltd"}, at=NOON, actor=TESTER)

        assert not AuditEntry.objects.filter(action="seller.updated").exists()

    @pytest.mark.parametrize(
        ("values", "field", "code"),
        [
            ({"timezone": "Mars/Olympus"}, "timezone", "unknown_timezone"),
            ({"address": {"street": "x"}}, "address", "invalid"),
            ({"tax_flat_rate_bps": 10_001}, "tax_flat_rate_bps", "invalid"),
            ({"grace_seconds": -1}, "grace_seconds", "invalid"),
            ({"legal_name": ""}, "legal_name", "invalid"),
            ({"currency": "XXQ"}, "currency", "unknown_currency"),
            ({"tax_engine": "Abacus"}, "tax_engine", "unknown_tax_engine"),
            ({"locale": "xx_YY"}, "locale", "unknown_locale"),
            ({"email": "nobody"}, "email", "invalid"),
            ({"mode": "Live"}, "mode", "unknown_field"),
        ],
    )
    def test_refuses_what_would_fail_later(self, values: dict[str, object], field: str, code: str) -> None:
        make_seller()

        with pytest.raises(InvalidInput) as caught:
            update_seller(values=values, at=NOON, actor=TESTER)

        assert [(error.field, error.code) for error in caught.value.errors] == [(field, code)]
        assert not AuditEntry.objects.filter(action="seller.updated").exists()

    def test_refuses_before_the_set_up(self) -> None:
        with pytest.raises(SellerNotSetUp):
            update_seller(values={"legal_name": "x"}, at=NOON, actor=TESTER)


class TestCheckMode:
    def test_lets_the_mode_change_before_the_first_number(self, settings: Settings) -> None:
        make_seller()
        settings.BILLING_MODE = "Live"

        check_mode()

        assert not is_mode_kept()

    def test_refuses_another_mode_once_a_number_is_taken(self, settings: Settings) -> None:
        make_seller()
        take_number("invoice")
        settings.BILLING_MODE = "Live"

        with pytest.raises(ModeChanged, match="in Test mode; BILLING_MODE is Live"):
            check_mode()

    def test_has_nothing_to_check_before_the_set_up(self) -> None:
        take_number("invoice")

        check_mode()

        assert is_mode_kept()


class TestCheckModeIsKept:
    def check(self) -> list[str]:
        return [str(message.id) for message in run_checks(tags=["database"], databases=["default"])]

    def test_finds_nothing_wrong(self) -> None:
        make_seller()

        assert self.check() == []

    def test_warns_before_the_first_number(self, settings: Settings) -> None:
        make_seller()
        settings.BILLING_MODE = "Live"

        assert self.check() == ["core.W001"]

    def test_fails_once_a_number_is_taken(self, settings: Settings) -> None:
        make_seller()
        take_number("invoice")
        settings.BILLING_MODE = "Live"

        assert self.check() == ["core.E001"]

    def test_can_run_before_the_first_migration(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_seller RENAME TO elsewhere")

        assert self.check() == []


class TestSeller:
    def test_is_the_only_one(self) -> None:
        with pytest.raises(IntegrityError, match="seller_is_the_only_one"), transaction.atomic():
            Seller.objects.create(pk=2, mode=Mode.TEST, legal_name="x", currency="USD")
