import pytest
from django.contrib.auth.models import Group, Permission

from billing_project.core.staff import set_up_groups

pytestmark = pytest.mark.django_db


def list_rights(name: str) -> set[str]:
    return set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))


class TestSetUpGroups:
    def test_lets_each_group_do_its_work_and_no_more(self) -> None:
        set_up_groups()

        assert set(Group.objects.values_list("name", flat=True)) == {
            "Admin",
            "Finance",
            "Support",
            "Developer",
            "ReadOnly",
        }
        assert Group.objects.get(name="Admin").permissions.count() == Permission.objects.count()
        assert {"view_invoice", "change_invoice", "add_payment"} <= list_rights("Finance")
        assert "add_apikey" not in list_rights("Finance")
        assert {"view_invoice", "add_plan", "add_apikey"} <= list_rights("Developer")
        assert "change_invoice" not in list_rights("Developer")
        assert all(right.startswith("view_") for right in list_rights("ReadOnly"))
        assert {"view_apikey", "view_auditentry"}.isdisjoint(list_rights("ReadOnly"))

    def test_grants_nothing_that_does_not_exist(self) -> None:
        set_up_groups()

        known = set(Permission.objects.values_list("codename", flat=True))
        assert {"change_billrunitem", "change_seller", "change_testclock", "change_apikey"} <= known

    def test_leaves_a_group_as_staff_have_made_it(self) -> None:
        Group.objects.create(name="Finance")

        set_up_groups()

        assert list_rights("Finance") == set()
