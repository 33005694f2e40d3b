"""The text of API keys."""

import re

import pytest

from billing_project.core.access.tokens import hash_token, make_prefix, make_token
from billing_project.core.models import ApiKeyKind, Mode
from billing_project.core.redaction import redact


class TestMakePrefix:
    @pytest.mark.parametrize(
        ("kind", "mode", "prefix"),
        [
            (ApiKeyKind.SECRET, Mode.TEST, "bsk_test_"),
            (ApiKeyKind.SECRET, Mode.LIVE, "bsk_live_"),
            (ApiKeyKind.PUBLISHABLE, Mode.LIVE, "bpk_live_"),
            (ApiKeyKind.RESTRICTED, Mode.TEST, "brk_test_"),
        ],
    )
    def test_tells_kind_and_mode(self, kind: ApiKeyKind, mode: Mode, prefix: str) -> None:
        assert make_prefix(kind=kind, mode=mode) == prefix


class TestMakeToken:
    def test_has_32_random_bytes_after_the_prefix(self) -> None:
        assert re.fullmatch(r"bsk_test_[A-Za-z0-9_-]{43}", make_token("bsk_test_"))

    def test_never_makes_the_same_twice(self) -> None:
        assert len({make_token("bsk_test_") for _ in range(1_000)}) == 1_000

    def test_is_recognised_in_a_log(self) -> None:
        assert all(redact(make_token("brk_live_")) == "brk_live_[redacted]" for _ in range(100))


class TestHashToken:
    def test_is_sha_256(self) -> None:
        expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

        assert hash_token("abc") == expected
