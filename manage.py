#!/usr/bin/env python
"""Run the platform's commands: `manage.py quickstart`, `serve`, and Django's own."""

import os
import sys

from django.core.management import execute_from_command_line

from billing_project.local.commands import services_for
from billing_project.local.errors import LocalSetupFailed


def main() -> None:
    """Run one management command, with the embedded services where it needs them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_project.settings")
    try:
        with services_for(sys.argv[1:]):
            execute_from_command_line(sys.argv)
    except LocalSetupFailed as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
