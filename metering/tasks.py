"""Celery tasks of metering: thin, keyword-only, safe to run twice."""

import time
from typing import Any

import structlog
from celery import shared_task
from django.db import DatabaseError

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.contention import is_contention
from metering.models import FillStatus, MeterFill
from metering.operations import begin_fill, delete_old_notes, fill_next_stretch
from metering.queries import list_unfinished_fills
from subscriptions.locks import outwait_slots

FILLING = Actor.system("metering")
FILLS_PER_TASK = 100
# Less than the time until beat asks again: a fill goes on for hours, and other tasks need the worker, too.
SECONDS_PER_TASK = 45

logger = structlog.get_logger(__name__)


@shared_task(ignore_result=True)
def fill_meters(**_: Any) -> None:
    """Go on with the fills that are not done, for a while; what is left is for the next time."""
    deadline = time.monotonic() + SECONDS_PER_TASK
    for fill in list_unfinished_fills(limit=FILLS_PER_TASK):
        if time.monotonic() >= deadline:
            return
        try:
            _go_on(fill, deadline=deadline)
        except DatabaseError as error:
            if not is_contention(error):
                raise
            logger.info("meter_fill_postponed", fill_id=str(fill.pk))


@shared_task(ignore_result=True)
def delete_old_ingest_notes(**_: Any) -> None:
    """Delete the notes on events that were not stored which are too old, or too many."""
    while delete_old_notes(at=clock.now()):
        pass


def _go_on(fill: MeterFill, *, deadline: float) -> None:
    if fill.status == FillStatus.PENDING:
        outwait_slots()
        begin_fill(fill_id=fill.pk, at=clock.now(), actor=FILLING)
    while time.monotonic() < deadline:
        if not fill_next_stretch(fill_id=fill.pk, at=clock.now(), actor=FILLING):
            return
