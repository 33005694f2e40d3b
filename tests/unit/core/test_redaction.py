"""Secrets in text."""

import pytest

from billing_project.core.redaction import is_secret_name, redact


class TestRedact:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("bsk_live_a1-B2_c3", "bsk_live_[redacted]"),
            ("key=bpk_test_abc&x=1", "key=bpk_test_[redacted]&x=1"),
            ("brk_test_abc brk_live_def", "brk_test_[redacted] brk_live_[redacted]"),
            ("Authorization: Bearer eyJh.eyJz.x-_y", "Authorization: Bearer [redacted]"),
            ("BEARER bsk_test_abc", "BEARER [redacted]"),
            (
                "postgresql://billing:s3cret@db:5432/billing",
                "postgresql://billing:[redacted]@db:5432/billing",
            ),
            ("redis://:s3cret@cache/0", "redis://:[redacted]@cache/0"),
            ("nothing to see: task_test_1, a@b.example", "nothing to see: task_test_1, a@b.example"),
        ],
    )
    def test_replaces_what_opens_something(self, text: str, expected: str) -> None:
        assert redact(text) == expected


class TestIsSecretName:
    @pytest.mark.parametrize(
        "name", ["Authorization", "HTTP_AUTHORIZATION", "x-api-key", "HTTP_X_API_KEY", "Cookie", "password"]
    )
    def test_knows_fields_and_headers(self, name: str) -> None:
        assert is_secret_name(name)

    @pytest.mark.parametrize("name", ["name", "X-Request-ID", "api_key_id", "token_count", ""])
    def test_leaves_others(self, name: str) -> None:
        assert not is_secret_name(name)
