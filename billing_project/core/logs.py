"""Structured logs: one line for each thing that happened, for people or as JSON, with no secret in it."""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from billing_project.core.redaction import REDACTED, is_secret_name, redact


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of a log entry, by the name of a field and by what its text looks like."""
    for name, value in event.items():
        event[name] = REDACTED if is_secret_name(name) else _redact_value(value)
    return event


def _redact_value(value: Any) -> Any:
    """Take secrets out of a value, at any depth."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {
                key: REDACTED if is_secret_name(str(key)) else _redact_value(item)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_redact_value(item) for item in value]
        case None | bool() | int():
            return value
    return redact(str(value))


SHARED_PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def build_logging(*, is_json: bool, level: str) -> dict[str, Any]:
    """Build Django's LOGGING, and set structlog up to go through it."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=False)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": SHARED_PROCESSORS,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    redact_event,
                    renderer,
                ],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django.server": {"handlers": [], "level": logging.CRITICAL, "propagate": False},
            # The request log says the same of each answer, with its request id.
            "django.request": {"level": logging.ERROR},
            # At a lower level it reports every task twice, and there are some each minute.
            "celery": {"level": logging.WARNING},
            # Who makes a request says what came of it.
            "httpx": {"level": logging.WARNING},
        },
    }
