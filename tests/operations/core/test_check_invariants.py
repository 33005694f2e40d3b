import io

import pytest
from django.core.management import CommandError, call_command

from billing_project.core import invariants

pytestmark = pytest.mark.django_db(transaction=True)


class TestCheckInvariants:
    def test_lists_what_holds(self) -> None:
        out = io.StringIO()

        call_command("check_invariants", stdout=out)

        assert "    ok  periods tile\n" in out.getvalue()
        assert "broken" not in out.getvalue()

    def test_fails_with_a_list_of_what_is_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(invariants._CHECKS, "the sky is up", lambda: ["It fell on Monday."])
        out = io.StringIO()

        with pytest.raises(CommandError, match="1 of the invariants are broken") as raised:
            call_command("check_invariants", stdout=out)

        assert raised.value.returncode == 1
        assert "broken  the sky is up\n        It fell on Monday.\n" in out.getvalue()
