"""Asking workers for tasks. Nothing depends on being heard: beat asks for the same things regularly."""

from functools import partial

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerUnavailable

logger = structlog.get_logger(__name__)


def send(task: str, **arguments: str) -> None:
    """Ask a worker for a task, by its full name; a broker that is away is a warning and no more."""
    try:
        # One retry, at once: a connection that was kept may have died with a broker that has come back since.
        current_app.send_task(
            task, kwargs=arguments, retry=True, retry_policy={"max_retries": 1, "interval_start": 0}
        )
    except (BrokerUnavailable, OSError) as error:
        logger.warning("broker_unavailable", task=task, error=str(error))


def send_on_commit(task: str, **arguments: str) -> None:
    """Ask a worker for a task once the present transaction is committed."""
    transaction.on_commit(partial(send, task, **arguments), robust=True)
