"""The seller: who bills with this install, and how."""

import zoneinfo
from collections.abc import Mapping
from datetime import datetime

from babel.localedata import locale_identifiers
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.currencies import is_currency
from billing_project.core.errors import Conflict, FieldError, InvalidInput
from billing_project.core.models import Seller
from billing_project.core.models.seller import THE_SELLER
from billing_project.core.sequences import is_number_taken

EDITABLE_FIELDS = frozenset(
    {
        "legal_name",
        "address",
        "tax_id",
        "email",
        "currency",
        "timezone",
        "locale",
        "invoice_prefix",
        "default_payment_terms_days",
        "grace_seconds",
        "tax_engine",
        "tax_flat_rate_bps",
        "skip_zero_invoices",
    }
)
ADDRESS_KEYS = frozenset({"line1", "line2", "city", "region", "postal_code", "country"})


class SellerNotSetUp(Conflict):
    """Nothing can be billed before the install knows whose it is."""

    code = "seller_not_set_up"


class ModeChanged(Conflict):
    """An install that has given out a number stays in the mode that it was in."""

    code = "mode_changed"


def get_seller() -> Seller:
    """Read the seller.

    Raises: SellerNotSetUp.
    """
    seller = Seller.objects.filter(pk=THE_SELLER).first()
    if seller is None:
        raise SellerNotSetUp(
            "The seller is not set up yet: run `manage.py quickstart`, or add it in the admin."
        )
    return seller


@transaction.atomic
def set_up_seller(*, legal_name: str, currency: str, at: datetime, actor: Actor) -> Seller:
    """Make the seller, in the mode that the settings say.

    If there is one, it stays as it is, but for its mode, which follows the settings until a number is taken.

    Raises: ModeChanged.
    Locks: seller.
    """
    found = _lock_seller()
    if found is not None:
        check_mode()
        changes = audit.set_fields(found, {"mode": settings.BILLING_MODE})
        if changes:
            found.save(update_fields=changes)
            audit.record("seller.updated", subject=found, changes=changes, actor=actor, at=at)
        return found
    seller = Seller(mode=settings.BILLING_MODE, legal_name=legal_name, currency=currency)
    _validate(seller)
    seller.save(force_insert=True)
    changes = audit.made(seller, "mode", *sorted(EDITABLE_FIELDS))
    audit.record("seller.created", subject=seller, changes=changes, actor=actor, at=at)
    return seller


@transaction.atomic
def update_seller(*, values: Mapping[str, object], at: datetime, actor: Actor) -> Seller:
    """Change fields of the seller; invoices that are already final keep their copies.

    Raises: SellerNotSetUp; InvalidInput.
    Locks: seller.
    """
    unknown = sorted(values.keys() - EDITABLE_FIELDS)
    if unknown:
        raise InvalidInput(
            "The seller has no such field.",
            errors=[FieldError(name, "unknown_field", "Unknown field.") for name in unknown],
        )
    seller = _lock_seller()
    if seller is None:
        raise SellerNotSetUp("The seller is not set up yet.")
    changes = audit.set_fields(seller, values)
    if changes:
        _validate(seller)
        seller.save(update_fields=changes)
        audit.record("seller.updated", subject=seller, changes=changes, actor=actor, at=at)
    return seller


def check_mode() -> None:
    """Refuse to run in another mode than that in which numbers were taken.

    Raises: ModeChanged.
    """
    if not is_mode_kept() and is_number_taken():
        kept = get_seller().mode
        raise ModeChanged(
            f"This install has taken numbers in {kept} mode; BILLING_MODE is {settings.BILLING_MODE}."
        )


def is_mode_kept() -> bool:
    """Tell whether the seller is in the mode that the settings say, or there is no seller yet."""
    return not Seller.objects.filter(pk=THE_SELLER).exclude(mode=settings.BILLING_MODE).exists()


def _lock_seller() -> Seller | None:
    """Read the seller under its lock."""
    return Seller.objects.select_for_update(no_key=True).filter(pk=THE_SELLER).first()


def _validate(seller: Seller) -> None:
    """Refuse values that would only fail later, when an invoice is made."""
    errors = []
    try:
        seller.full_clean(validate_constraints=False)
    except ValidationError as error:
        errors += [
            FieldError(name, "invalid", message)
            for name, messages in error.message_dict.items()
            for message in messages
        ]
    if not is_currency(seller.currency):
        errors.append(FieldError("currency", "unknown_currency", f"{seller.currency!r} is not a currency."))
    if seller.locale not in locale_identifiers():
        errors.append(FieldError("locale", "unknown_locale", f"{seller.locale!r} is not a locale."))
    if seller.tax_engine not in settings.TAX_ENGINES:
        errors.append(
            FieldError("tax_engine", "unknown_tax_engine", f"{seller.tax_engine!r} is not a tax engine.")
        )
    if seller.timezone not in zoneinfo.available_timezones():
        errors.append(
            FieldError("timezone", "unknown_timezone", f"{seller.timezone!r} is not an IANA time zone.")
        )
    if not isinstance(seller.address, dict) or not seller.address.keys() <= ADDRESS_KEYS:
        errors.append(
            FieldError("address", "invalid", f"An address has only {', '.join(sorted(ADDRESS_KEYS))}.")
        )
    if errors:
        raise InvalidInput("The seller cannot be saved like this.", errors=errors)
