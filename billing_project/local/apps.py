"""Set-up of the local default: it is an app for the sake of its commands."""

from django.apps import AppConfig


class LocalConfig(AppConfig):
    """The local default: embedded services, `serve`, `quickstart`."""

    name = "billing_project.local"
    label = "local"
