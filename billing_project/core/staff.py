"""The groups of staff that a new install has; what they may do is theirs to change in the admin."""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

# The apps whose pages staff of every group may look at.
BILLING_APPS = ("core", "catalog", "customers", "subscriptions", "metering", "invoicing")
# What tells how the install is guarded, and who did what, is not for everybody.
GUARDED = ("apikey", "auditentry")

# What a group may do beyond looking, as `action_model`; None: everything.
GROUPS: Mapping[str, Iterable[str] | None] = {
    "Admin": None,
    "Finance": (
        *("add_invoice", "change_invoice", "add_payment", "change_billrunitem", "add_usagecorrection"),
        *("add_customer", "change_customer", "change_subscription", "view_auditentry", "change_seller"),
    ),
    "Support": ("change_customer", "change_subscription"),
    "Developer": (
        *("add_product", "change_product", "add_plan", "change_plan", "add_sku", "change_sku"),
        *("add_meter", "change_meter", "add_testclock", "change_testclock"),
        *("view_apikey", "add_apikey", "change_apikey"),
    ),
    "ReadOnly": (),
}


@transaction.atomic
def set_up_groups() -> None:
    """Make the groups that are missing; one that is there stays as staff have made it."""
    for name, granted in GROUPS.items():
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            group.permissions.set(Permission.objects.filter(_match(granted)))


def _match(granted: Iterable[str] | None) -> Q:
    if granted is None:
        return Q()
    may_look = Q(content_type__app_label__in=BILLING_APPS, codename__startswith="view_") & ~Q(
        content_type__model__in=GUARDED
    )
    return may_look | Q(content_type__app_label__in=BILLING_APPS, codename__in=tuple(granted))
