"""How tests are run: on how many workers, and which of them may open sockets."""

import os
from pathlib import Path

import pytest

LOOPBACK_MARKERS = ("e2e", "slow")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run the tests of one file in this process, which starts at once; leave all else to the cores."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") is None and is_one_file(config.option.file_or_dir):
        return 0
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests of running servers reach this machine, and no other; all others have Unix sockets only."""
    for item in items:
        if any(item.get_closest_marker(name) for name in LOOPBACK_MARKERS):
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))


def is_one_file(arguments: list[str]) -> bool:
    """Whether a command line names a single test file, or tests in one."""
    files = {argument.partition("::")[0] for argument in arguments}
    return len(files) == 1 and Path(files.pop()).suffix == ".py"
