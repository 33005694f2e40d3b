"""Who does something."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.test import RequestFactory

from billing_project.core.actors import Actor, ActorKind
from billing_project.core.models import ApiKey


def make_request(**attributes: Any) -> HttpRequest:
    headers = attributes.pop("headers", {})
    request = RequestFactory().get("/", headers=headers)
    for name, value in attributes.items():
        setattr(request, name, value)
    return request


class TestActor:
    def test_is_frozen(self) -> None:
        with pytest.raises(FrozenInstanceError):
            Actor.system("beat").id = "other"  # type: ignore[misc]

    def test_system_names_a_part_of_the_platform(self) -> None:
        assert Actor.system("bill-runs") == Actor(ActorKind.SYSTEM, "bill-runs", "bill-runs")

    def test_command_names_a_command(self) -> None:
        assert Actor.command("run_billing") == Actor(
            ActorKind.COMMAND, "run_billing", "manage.py run_billing"
        )


class TestFromRequest:
    def test_takes_the_api_key(self) -> None:
        key = ApiKey(name="CI", prefix="bsk_test_", hint="abcd")

        actor = Actor.from_request(make_request(auth=key, user=AnonymousUser(), request_id="r-1"))

        assert actor == Actor(ActorKind.API_KEY, str(key.id), "CI (bsk_test_…abcd)", request_id="r-1")

    def test_takes_the_member_of_staff(self) -> None:
        actor = Actor.from_request(make_request(user=User(pk=7, username="ada")))

        assert actor == Actor(ActorKind.STAFF, "7", "ada")

    def test_is_anonymous_without_either(self) -> None:
        assert Actor.from_request(make_request(user=AnonymousUser())).kind == ActorKind.ANONYMOUS
        assert Actor.from_request(make_request()).kind == ActorKind.ANONYMOUS

    def test_takes_a_reason_in_utf_8(self) -> None:
        sent_as = "Größe geändert".encode().decode("latin-1")

        assert Actor.from_request(make_request(headers={"X-Reason": sent_as})).reason == "Größe geändert"

    def test_takes_a_reason_in_latin_1(self) -> None:
        assert Actor.from_request(make_request(headers={"X-Reason": "Größe"})).reason == "Größe"

    @pytest.mark.parametrize(
        ("sent", "read"),
        [("Gr%C3%B6%C3%9Fe", "Größe"), ("50% off", "50% off"), ("a%0Ab%00c", "a b c"), ("%ff", "\ufffd")],
    )
    def test_takes_a_percent_encoded_reason(self, sent: str, read: str) -> None:
        assert Actor.from_request(make_request(headers={"X-Reason": sent})).reason == read

    def test_cuts_a_long_reason_and_drops_control_characters(self) -> None:
        request = make_request(headers={"X-Reason": " one\ttwo\x00three " + "x" * 600})

        reason = Actor.from_request(request).reason

        assert reason.startswith("one two three xxx")
        assert len(reason) == 500
