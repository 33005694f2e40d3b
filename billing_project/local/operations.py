"""Operations of the local set-up."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor

FIRST_USERNAME = "admin"
PASSWORD_BYTES = 12


@dataclass(frozen=True, slots=True)
class FirstStaffUser:
    """Who can sign in to the staff pages, and the password if it is new: it is kept nowhere else."""

    username: str
    new_password: str


@transaction.atomic
def ensure_staff_user(*, at: datetime, actor: Actor) -> FirstStaffUser:
    """Make somebody who can sign in to the staff pages, if there is nobody yet."""
    found = User.objects.filter(is_staff=True, is_active=True).order_by("pk").first()
    if found is not None:
        return FirstStaffUser(found.username, "")
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    user = User.objects.create_superuser(FIRST_USERNAME, password=password)
    changes = audit.made(user, "username", "is_staff", "is_superuser")
    audit.record("staff_user.created", subject=user, changes=changes, actor=actor, at=at)
    return FirstStaffUser(user.username, password)
