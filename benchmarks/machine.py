"""What a benchmark ran on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psutil
from django.db import connection

PACKAGES = ("django", "djangorestframework", "granian", "msgspec", "psycopg")
SETTINGS = ("fsync", "full_page_writes", "shared_buffers", "synchronous_commit")


def describe_machine(folder: Path) -> Mapping[str, object]:
    """Describe the machine, the software, and the disk that the database is on; no names of either."""
    with connection.cursor() as cursor:
        values = {}
        for name in ("server_version", *SETTINGS):
            cursor.execute(f"SHOW {name}")
            (values[name],) = cursor.fetchone()
    return {
        "processor": _read_processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _find_file_system(folder),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "postgresql": values,
    }


def _read_processor() -> str:
    """Read the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _find_file_system(folder: Path) -> str:
    """Find the kind of file system that a folder is on: one in memory makes nothing durable."""
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"
