"""Assembly of the platform: settings, URLs, Celery, the admin site, and `core`, what every app stands on."""

from billing_project.celery import app as celery_app

# Celery's convention: whoever imports anything of ours can send tasks to our broker.
__all__ = ["celery_app"]
