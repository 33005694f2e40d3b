"""The web application, for Granian or any other WSGI server."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_project.settings")

# Most requests make fewer objects than this; what they leave is freed at once, since it has no cycles.
YOUNG_OBJECTS = 10_000

application = get_wsgi_application()

# What is loaded by now stays for good: the garbage collector need not go through it ever again, which would
# hold up whatever request is under way for a tenth of a second. The views would be loaded by the first one.
assert get_resolver().url_patterns
gc.collect()
gc.freeze()
gc.set_threshold(YOUNG_OBJECTS)
