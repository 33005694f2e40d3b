"""The web application, in a process of its own: it changes how the whole process collects garbage."""

import subprocess
import sys

from tests.architecture.sources import ROOT

SCRIPT = """
import gc, sys
import billing_project.wsgi
print(gc.get_freeze_count() > 50_000, gc.get_threshold()[0], "metering.api.views" in sys.modules)
"""


def test_leaves_what_is_loaded_at_the_start_to_no_collection() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    )

    assert done.stdout.split() == ["True", "10000", "True"]
