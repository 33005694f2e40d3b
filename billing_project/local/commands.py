"""Between the settings and the services: which commands need them, and what is served."""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from billing_project.local.errors import LocalSetupFailed
from billing_project.local.log import ServiceLog
from billing_project.local.programs import ServeOptions
from billing_project.local.services import EmbeddedServices, FolderInUse, running_for_command
from billing_project.local.serving import Install, Serving, serve

EXIT_CODE_IN_USE = 3
EXIT_CODE_INTERRUPTED = 130

# They read and write files only, or bring up the services themselves. Every other command may use the
# database.
WITHOUT_SERVICES = frozenset(
    {
        *("help", "version", "check", "diffsettings", "collectstatic", "findstatic", "spectacular"),
        *("makemessages", "compilemessages", "startapp", "startproject"),
        *("serve", "quickstart"),
    }
)
ASKING_FOR_HELP = frozenset({"-h", "--help", "--version"})


def read_embedded_services() -> EmbeddedServices:
    """Read from the settings which services are embedded."""
    return EmbeddedServices(
        folder=settings.DATA_FOLDER,
        has_postgres=settings.IS_POSTGRES_EMBEDDED,
        has_valkey=settings.IS_VALKEY_EMBEDDED,
    )


def services_for(arguments: Sequence[str]) -> AbstractContextManager[None]:
    """Have the embedded services run while a command does, if it may use them."""
    if not arguments or arguments[0] in WITHOUT_SERVICES or ASKING_FOR_HELP.intersection(arguments):
        return nullcontext()
    try:
        services = read_embedded_services()
    except ImproperlyConfigured:
        return nullcontext()  # Django says the same, in its own words, as soon as the command begins.
    return running_for_command(services, command=arguments[0])


def add_address_arguments(parser: ArgumentParser, *, port: int) -> None:
    """Add the arguments that say where the web server listens."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=port, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )


def read_install() -> Install:
    """Read from the settings what is served."""
    return Install(
        services=read_embedded_services(),
        project_folder=settings.BASE_DIR,
        static_folder=settings.STATIC_ROOT,
        static_url=settings.STATIC_URL,
    )


def read_options(*, host: str, port: int) -> ServeOptions:
    """Read from the settings how many processes share the work."""
    return ServeOptions(
        host=host,
        port=port,
        web_workers=settings.BILLING_WEB_WORKERS,
        web_threads=settings.BILLING_WEB_THREADS,
        task_workers=settings.BILLING_RUN_WORKERS,
    )


def run_server(
    *, command: str, host: str, port: int, log: ServiceLog, visit: Callable[[Serving], None]
) -> None:
    """Serve for a command, and end its process as it ended: by a failure, or because it was told to.

    Raises: CommandError.
    """
    try:
        serve(
            read_install(), options=read_options(host=host, port=port), command=command, log=log, visit=visit
        )
    except FolderInUse as error:
        raise CommandError(str(error), returncode=EXIT_CODE_IN_USE) from error
    except LocalSetupFailed as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        raise CommandError("Stopped before it was up.", returncode=EXIT_CODE_INTERRUPTED) from None
