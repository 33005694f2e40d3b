"""The staff pages, when somebody else is at it."""

import threading

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from billing_project.core.models import Seller
from billing_project.core.seller import get_seller
from tests.admin.core.test_seller import FORM, SELLER
from tests.concurrency.racing import race
from tests.factories.core import make_seller

pytestmark = pytest.mark.django_db(transaction=True)


class TestOperationAdmin:
    def test_says_so_in_the_form_and_keeps_what_was_typed(self) -> None:
        make_seller()
        staff = Client()
        staff.force_login(User.objects.create_superuser("ada"))
        is_held, is_answered = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                Seller.objects.select_for_update().get()
                is_held.set()
                assert is_answered.wait(30)

        def save() -> str:
            assert is_held.wait(30)
            try:
                return staff.post(SELLER, FORM).content.decode()
            finally:
                is_answered.set()

        _, page = race(hold, save)

        assert "Something else is working on this." in page
        assert 'value="New Ltd"' in page
        assert get_seller().legal_name == "Seller Ltd"
