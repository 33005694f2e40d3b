"""The Celery application: `celery --app billing_project worker`, `celery --app billing_project beat`.

Conventions for tasks, which live in each app's `tasks.py`: they take ids and ISO times, by keyword, and
`**_`; they read the clock once and make one domain call; they may run twice, and may be killed half-way. One
fans out, one works on one customer. A periodic one has a line in `CELERY_BEAT_SCHEDULE`.
"""

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_project.settings")

app = Celery("billing_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def leave_logging_to_django(**_: object) -> None:
    """Keep Celery from setting up logs of its own: it does so unless somebody listens here."""
