"""Structured logs."""

import json
import logging
import logging.config
from collections.abc import Callable
from io import StringIO

import pytest
import structlog

from billing_project.core.logs import build_logging, redact_event


@pytest.fixture
def write_line() -> Callable[..., str]:
    """Format one record as the platform would, without touching its loggers."""
    configuration = build_logging(is_json=True, level="INFO")
    formatter = logging.config.DictConfigurator(configuration).configure_formatter(
        configuration["formatters"]["structured"]
    )
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("tests.lines")
    logger.addHandler(handler)

    def write(event: str, **fields: object) -> str:
        bound = structlog.wrap_logger(
            logger,
            processors=structlog.get_config()["processors"],
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        bound.error(event, **fields)
        return stream.getvalue()

    return write


class TestBuildLogging:
    def test_writes_a_json_object_a_line(self, write_line: Callable[..., str]) -> None:
        line = json.loads(write_line("invoice_made", invoice_id="i-1", count=2))

        assert line["event"] == "invoice_made"
        assert (line["invoice_id"], line["count"], line["level"]) == ("i-1", 2, "error")
        assert line["timestamp"].endswith("Z")

    def test_writes_no_secret_of_an_exception(self, write_line: Callable[..., str]) -> None:
        try:
            raise ValueError("bad key bsk_live_topsecret")
        except ValueError:
            text = write_line("failed", exc_info=True)

        assert "ValueError: bad key bsk_live_[redacted]" in text
        assert "topsecret" not in text


class TestRedactEvent:
    def test_replaces_secrets_at_any_depth(self) -> None:
        event = {
            "event": "sent Bearer abcdef",
            "headers": {"Authorization": "x", "Accept": "y", "inner": [{"X-API-Key": "z"}]},
            "count": 3,
            "error": ValueError("brk_test_abc"),
        }

        assert redact_event(None, "info", event) == {
            "event": "sent Bearer [redacted]",
            "headers": {"Authorization": "[redacted]", "Accept": "y", "inner": [{"X-API-Key": "[redacted]"}]},
            "count": 3,
            "error": "brk_test_[redacted]",
        }
