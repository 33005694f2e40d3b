"""Test clocks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationAdmin
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import DetailsAdmin, RelatedList
from billing_project.core.models import Mode
from customers.models import TestClock
from customers.operations import create_test_clock

STATUS = badge("status", "Status")


class TestClockAdmin(DetailsAdmin[TestClock], OperationAdmin[TestClock]):
    """Times of their own for customers that are made to try things out.

    Not registered here: advancing one bills what is due on the way, so invoicing adds that and registers it.
    """

    __test__ = False  # Its name begins like a test class; pytest must not collect it.

    list_display = ("__str__", STATUS, "now_at", "target_at", "created_at")
    list_filter = ("status",)
    search_fields = ("name",)
    search_help_text = "Name or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    related_lists = (
        RelatedList("Customers", "customers_customer", "test_clock__id__exact"),
        RelatedList("Bill runs", "invoicing_billrun", "test_clock__id__exact"),
    )

    def get_fields(self, request: HttpRequest, obj: TestClock | None = None) -> Any:
        """Ask where a new clock stands; later it is advanced."""
        if obj is None:
            return ("name", "now_at")
        return ("name", STATUS, ("now_at", "target_at"), "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: TestClock | None = None) -> Any:
        """Show all of a clock that there is."""
        return () if obj is None else (STATUS,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse in Live mode, in which everybody lives by the real time."""
        return settings.BILLING_MODE != Mode.LIVE and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: TestClock | None = None) -> bool:
        """Refuse: a clock moves by being advanced."""
        return False

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> TestClock:
        """Make a clock."""
        return create_test_clock(name=values["name"], now_at=values["now_at"], at=at, actor=actor)
