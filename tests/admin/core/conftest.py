"""Members of staff, signed in to the staff pages."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

MakeStaff = Callable[..., Client]


@pytest.fixture
def staff(db: None) -> Client:
    """Sign in somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def make_staff(db: None) -> MakeStaff:
    """Sign in somebody who may do what is listed, such as `view_apikey`."""

    def make(*permissions: str) -> Client:
        user = User.objects.create_user("bob", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    return make
