"""The system account that runs PostgreSQL where we are root, because PostgreSQL refuses to run as root.

Permissions of folders that are not ours stay as they are. Where the account may not pass through a folder
above the data or the binaries (`/root`, say), the server gets the one capability that lets it pass, and
nothing else.
"""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from billing_project.local.errors import LocalSetupFailed

ACCOUNT_NAME = "pgserver"
# Bits of CapEff in /proc/self/status. The first only reads and passes; containers often grant only the
# second.
PASSING_CAPABILITIES = {"dac_read_search": 1 << 2, "dac_override": 1 << 1}


def find_service_account() -> pwd.struct_passwd | None:
    """Return the account that must run PostgreSQL, made if it is missing; None where our own will do."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return _make_account()


def give_to_account(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Make the service account the owner of a folder that it has to write."""
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)


def command_as(
    account: pwd.struct_passwd | None, command: Sequence[str], *, passing: Iterable[Path]
) -> list[str]:
    """Return the command that runs this one as the account, able to pass down to the given paths."""
    if account is None:
        return list(command)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise LocalSetupFailed(
            "PostgreSQL cannot run as root, and `setpriv` (util-linux), which runs it as another user, is "
            "not there. Start this as an ordinary user, or set BILLING_DATABASE_URL to a server of your own."
        )
    identity = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    if not all(_can_pass(account, path) for path in passing):
        identity += _passing_options()
    return [setpriv, *identity, *command]


def _make_account() -> pwd.struct_passwd:
    useradd = shutil.which("useradd")
    if useradd is None:
        raise LocalSetupFailed(
            f"PostgreSQL cannot run as root, and `useradd`, to make the account {ACCOUNT_NAME!r} for it, is "
            "not there. Make that account, or start this as an ordinary user, or set BILLING_DATABASE_URL."
        )
    made = subprocess.run(  # noqa: S603  Every part of the command is a constant.
        [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        # Asked first, for a start beside ours may have made it a moment ago.
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        raise LocalSetupFailed(
            f"The account {ACCOUNT_NAME!r} cannot be made: {made.stderr.strip()}"
        ) from None


def _can_pass(account: pwd.struct_passwd, path: Path) -> bool:
    return all(_may_enter(account, folder.stat()) for folder in path.resolve().parents)


def _may_enter(account: pwd.struct_passwd, folder: os.stat_result) -> bool:
    if folder.st_uid == account.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _passing_options() -> list[str]:
    effective = _read_effective_capabilities()
    for name, bit in PASSING_CAPABILITIES.items():
        if effective & bit:
            return [
                f"--inh-caps=-all,+{name}",
                f"--ambient-caps=+{name}",
                f"--bounding-set=-all,+{name}",
                # Without it, access(2) forgets the capability, and PostgreSQL looks for its own binary with
                # it.
                "--securebits=+no_setuid_fixup",
            ]
    raise LocalSetupFailed(
        f"The account {ACCOUNT_NAME!r}, which runs PostgreSQL where we are root, may not enter a folder "
        "above the data. Set BILLING_DATA_DIR to a folder that it can reach, or start this as another user."
    )


def _read_effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
