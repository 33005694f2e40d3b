"""`python -m benchmarks <name>`: run a benchmark on an install that is made for it and removed afterwards."""

import os
import sys
import tempfile
from pathlib import Path

import django
from django.core.management import execute_from_command_line

COMMANDS = Path(__file__).parent / "management" / "commands"


def main() -> None:
    """Run the benchmark that the first argument names."""
    names = sorted(path.stem for path in COMMANDS.glob("[a-z]*.py"))
    if sys.argv[1:2] not in [[name] for name in names]:
        sys.exit(f"Usage: python -m benchmarks {{{','.join(names)}}} [--help]")
    # BILLING_BENCHMARK_DIR matters where the folder for temporary files is memory, which no fsync reaches.
    parent = os.environ.get("BILLING_BENCHMARK_DIR")
    with tempfile.TemporaryDirectory(prefix="billing-benchmark-", dir=parent) as folder:
        for name in ("BILLING_DATABASE_URL", "BILLING_BROKER_URL"):
            os.environ.pop(name, None)
        os.environ["BILLING_DATA_DIR"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        django.setup()
        execute_from_command_line(["benchmarks", *sys.argv[1:]])


if __name__ == "__main__":
    main()
