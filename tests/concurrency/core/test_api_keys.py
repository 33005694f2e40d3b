"""An API key used and changed at the same moment."""

from datetime import timedelta

import pytest

from billing_project.core.access.lookup import authenticate
from billing_project.core.access.operations import ApiKeyNotUsable, rotate_api_key
from billing_project.core.models import ApiKey
from tests.concurrency.racing import errors_of, race
from tests.factories.core import NOON, TESTER, make_api_key

pytestmark = pytest.mark.django_db(transaction=True)


class TestAuthenticate:
    def test_lets_many_in_at_once(self) -> None:
        new = make_api_key()

        outcomes = race(*[lambda: authenticate(token=new.token, at=NOON)] * 8)

        assert outcomes == [new.api_key] * 8
        assert ApiKey.objects.get().last_used_at == NOON


class TestRotateApiKey:
    def test_gives_one_new_key_where_the_old_one_ends_at_once(self) -> None:
        key_id = make_api_key().api_key.id

        def rotate() -> None:
            rotate_api_key(api_key_id=key_id, overlap=timedelta(0), at=NOON, actor=TESTER)

        outcomes = race(*[rotate] * 4)

        assert [type(error) for error in errors_of(outcomes)] == [ApiKeyNotUsable] * 3
        assert ApiKey.objects.count() == 2
