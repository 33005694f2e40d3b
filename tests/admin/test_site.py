"""The staff pages as a whole: the navigation, and the pages that come from elsewhere."""

import pytest
from celery.schedules import schedule
from django.contrib.auth.models import Group, User
from django.contrib.staticfiles import finders
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from billing_project.admin_site import GROUPS, build_navigation, find_styles
from tests.admin.core.conftest import MakeStaff

pytestmark = pytest.mark.django_db


def list_titles(client: Client) -> list[str]:
    """List the titles that the navigation shows."""
    request = HttpRequest()
    request.user = User.objects.get(pk=client.session["_auth_user_id"])
    return [item["title"] for group in build_navigation(request) for item in group["items"]]


class TestBuildNavigation:
    def test_shows_every_page_to_those_who_may_do_everything(self, staff: Client) -> None:
        pages = [title for group in GROUPS.values() for title, _, _ in group]

        assert list_titles(staff) == ["Overview", *pages]

    def test_shows_only_what_may_be_seen(self, make_staff: MakeStaff) -> None:
        client = make_staff("view_invoice", "change_plan")

        assert list_titles(client) == ["Overview", "Invoices", "Plans"]
        content = client.get("/admin/").content.decode()
        assert 'href="/admin/invoicing/invoice/"' in content
        assert 'href="/admin/core/apikey/"' not in content

    @pytest.mark.parametrize("page", [page for group in GROUPS.values() for _, page, _ in group])
    def test_leads_to_pages_that_open(self, staff: Client, page: str) -> None:
        assert staff.get(reverse(f"admin:{page.replace('.', '_')}_changelist")).status_code == 200


class TestFindStyles:
    def test_finds_a_file_that_there_is(self, staff: Client) -> None:
        address = find_styles(HttpRequest())

        assert finders.find(address.removeprefix("/static/")) is not None
        assert f'href="{address}"' in staff.get("/admin/").content.decode()


class TestStaff:
    def test_are_added_and_changed(self, staff: Client) -> None:
        password = "correct horse battery"
        body = {"username": "bob", "password1": password, "password2": password, "usable_password": "true"}

        assert staff.post("/admin/auth/user/add/", body).status_code == 302

        bob = User.objects.get(username="bob")
        assert bob.check_password(password)
        assert staff.get(f"/admin/auth/user/{bob.pk}/change/").status_code == 200
        assert staff.get(f"/admin/auth/user/{bob.pk}/password/").status_code == 200

    def test_have_groups(self, staff: Client) -> None:
        group = Group.objects.create(name="Finance")

        assert staff.get(f"/admin/auth/group/{group.pk}/change/").status_code == 200


class TestSchedule:
    def test_is_changed_by_staff(self, staff: Client) -> None:
        minute = IntervalSchedule.from_schedule(schedule(60))
        minute.save()
        task = PeriodicTask.objects.create(
            name="Bill", task="invoicing.tasks.bill_due_periods", interval=minute
        )
        address = f"/admin/django_celery_beat/periodictask/{task.pk}/change/"
        content = staff.get(address).content.decode()
        assert '<option value="invoicing.tasks.bill_due_periods"' in content

        body = {
            "name": "Bill",
            "regtask": "invoicing.tasks.bill_due_periods",
            "task": "",
            "interval": str(minute.pk),
            "args": "[]",
            "kwargs": "{}",
            "headers": "{}",
        }
        answer = staff.post(address, body)

        assert answer.status_code == 302
        task.refresh_from_db()
        assert (task.enabled, task.task) == (False, "invoicing.tasks.bill_due_periods")

    def test_has_pages_for_each_kind(self, staff: Client) -> None:
        crontab = CrontabSchedule.objects.create()

        assert staff.get(f"/admin/django_celery_beat/crontabschedule/{crontab.pk}/change/").status_code == 200
        for page in ("clockedschedule", "crontabschedule", "intervalschedule", "solarschedule"):
            assert staff.get(f"/admin/django_celery_beat/{page}/").status_code == 200
