"""API keys on the staff pages."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from billing_project.core.access.lookup import KeyRevoked, authenticate
from billing_project.core.clock import now
from billing_project.core.models import ApiKey, ApiKeyRole, AuditEntry
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import make_api_key

KEYS = "/admin/core/apikey/"
NEW = {"name": "Tool", "kind": "Secret", "role": "Finance", "expires_at_0": "", "expires_at_1": ""}
REVOKE = {"_form_submitted": "true", "reason": "it leaked"}
ROTATE = {"_form_submitted": "true", "overlap_hours": "2"}


def read_token(answer: Any) -> str:
    (token,) = set(re.findall(r"b[srp]k_test_[A-Za-z0-9_-]{43}", answer.content.decode()))
    return token


class TestAdd:
    def test_shows_the_key_this_once(self, staff: Client) -> None:
        answer = staff.post(f"{KEYS}add/", NEW)

        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        key = ApiKey.objects.get()
        token = read_token(answer)
        assert authenticate(token=token, at=now()) == key
        assert (key.name, key.role) == ("Tool", "Finance")
        for page in (KEYS, f"{KEYS}{key.pk}/change/"):
            assert token not in staff.get(page).content.decode()
        assert token not in str(dict(staff.session)) + str(staff.cookies)

    def test_is_audited_with_the_member_of_staff(self, staff: Client) -> None:
        staff.post(f"{KEYS}add/", NEW)

        entry = AuditEntry.objects.get()
        assert (entry.action, entry.actor_kind, entry.actor_label) == ("api_key.created", "Staff", "ada")

    def test_makes_a_restricted_key(self, staff: Client) -> None:
        body = {**NEW, "kind": "Restricted", "role": "", "scopes": ["events:write", "metering:read"]}

        assert read_token(staff.post(f"{KEYS}add/", body)).startswith("brk_test_")
        assert ApiKey.objects.get().scopes == ["events:write", "metering:read"]

    def test_shows_a_refusal_in_the_form_and_keeps_what_was_typed(self, staff: Client) -> None:
        answer = staff.post(f"{KEYS}add/", {**NEW, "role": ""})

        assert answer.status_code == 200
        content = answer.content.decode()
        assert "A secret key has a role" in content
        assert 'value="Tool"' in content
        assert not ApiKey.objects.exists()
        assert not AuditEntry.objects.exists()

    def test_is_for_those_who_may(self, make_staff: MakeStaff) -> None:
        assert make_staff("view_apikey").post(f"{KEYS}add/", NEW).status_code == 403
        assert not ApiKey.objects.exists()


class TestChange:
    def test_is_refused(self, staff: Client) -> None:
        key = make_api_key(role=ApiKeyRole.READ_ONLY).api_key

        answer = staff.post(f"{KEYS}{key.pk}/change/", {**NEW, "role": "Admin"})

        assert answer.status_code == 403
        key.refresh_from_db()
        assert key.role == "ReadOnly"


class TestRevoke:
    def test_asks_why_before_it_changes_anything(self, staff: Client) -> None:
        key = make_api_key().api_key

        asked = staff.get(f"{KEYS}{key.pk}/revoke/")
        unanswered = staff.post(f"{KEYS}{key.pk}/revoke/", {**REVOKE, "reason": ""})

        assert (asked.status_code, unanswered.status_code) == (200, 200)
        assert "This cannot be undone." in asked.content.decode()
        key.refresh_from_db()
        assert key.revoked_at is None

    def test_takes_the_key_back(self, staff: Client) -> None:
        new = make_api_key()

        answer = staff.post(f"{KEYS}{new.api_key.pk}/revoke/", REVOKE, headers={"HX-Request": "true"})

        assert answer["HX-Redirect"] == ".."
        with pytest.raises(KeyRevoked):
            authenticate(token=new.token, at=now())
        entry = AuditEntry.objects.get(action="api_key.revoked")
        assert (entry.actor_label, entry.reason) == ("ada", "it leaked")

    @pytest.mark.parametrize("action", ["revoke", "rotate"])
    def test_is_for_those_who_may(self, make_staff: MakeStaff, action: str) -> None:
        key = make_api_key().api_key
        staff = make_staff("view_apikey", "add_apikey")

        assert staff.post(f"{KEYS}{key.pk}/{action}/", {**REVOKE, **ROTATE}).status_code == 403
        key.refresh_from_db()
        assert (key.revoked_at, key.expires_at) == (None, None)


class TestRotate:
    def test_shows_the_new_key_this_once(self, staff: Client) -> None:
        old = make_api_key(role=ApiKeyRole.FINANCE)

        answer = staff.post(f"{KEYS}{old.api_key.pk}/rotate/", ROTATE, headers={"HX-Request": "true"})

        assert (answer["HX-Retarget"], answer["HX-Reselect"]) == ("#dialog", "#new-api-key")
        new = authenticate(token=read_token(answer), at=now())
        assert (new.role, new.replaces) == ("Finance", old.api_key)
        old.api_key.refresh_from_db()
        assert old.api_key.expires_at is not None
        assert timedelta(hours=1) < old.api_key.expires_at - now() <= timedelta(hours=2)

    def test_tells_why_not(self, staff: Client) -> None:
        key = make_api_key().api_key
        staff.post(f"{KEYS}{key.pk}/revoke/", REVOKE)

        answer = staff.post(f"{KEYS}{key.pk}/rotate/", ROTATE, follow=True)

        assert "cannot be rotated" in answer.content.decode()
        assert ApiKey.objects.count() == 1
