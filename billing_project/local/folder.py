"""Where the local set-up keeps its files: one folder, and another for sockets where that lies too deep."""

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from billing_project.local.errors import LocalSetupFailed

# The kernel takes addresses of at most 103 bytes (macOS) or 107 (Linux); the longest name that follows is
# `/.s.PGSQL.5432`.
LONGEST_SOCKET_FOLDER = 103 - len("/.s.PGSQL.5432")


# A comma ends a host's name for PostgreSQL, and a space or a percent sign means something in a broker's
# address.
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@+-]+")


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The data folder (`BILLING_DATA_DIR`) and what lies in it."""

    path: Path

    @property
    def postgres(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's own data folder."""
        return self.path / "valkey"

    @property
    def static(self) -> Path:
        """Style sheets and scripts of the admin and the API docs, collected for the web server."""
        return self.path / "static"

    @property
    def archives(self) -> Path:
        """The archives of usage events, unless the operator keeps them elsewhere."""
        return self.path / "archives"

    @property
    def secret_key(self) -> Path:
        """The file of the secret key that was made for this install."""
        return self.path / "secret_key"

    @property
    def lock(self) -> Path:
        """The file that the owner of the embedded services holds locked, and in which it says who it is."""
        return self.path / "owner"

    @property
    def users(self) -> Path:
        """The file that every other command holds locked while it uses the services of the owner."""
        return self.path / "users"

    @property
    def sockets(self) -> Path:
        """The folder of the services' sockets, which only its owner may enter."""
        near = self.path / "run"
        if len(str(near)) <= LONGEST_SOCKET_FOLDER and PLAIN_PATH.fullmatch(str(near)):
            return near
        # Not TMPDIR, which may differ between the terminals that have to find the same socket.
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path("/tmp") / f"billing-{os.geteuid()}-{name}"  # noqa: S108  Checked in make_folders.

    @property
    def valkey_socket(self) -> Path:
        """The socket on which Valkey listens."""
        return self.sockets / "valkey.sock"


def make_folders(folder: DataFolder, *, account_id: int) -> None:
    """Make the data folder, and that of the sockets, which nobody but its owner may enter.

    Raises: LocalSetupFailed.
    """
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account_id != os.geteuid():
        # PostgreSQL's account has to pass through this folder, which is ours; it cannot list it.
        folder.path.chmod(folder.path.stat().st_mode | stat.S_IXOTH)
    folder.valkey.mkdir(mode=0o700, exist_ok=True)
    folder.sockets.mkdir(mode=0o700, exist_ok=True)
    found = folder.sockets.lstat()
    is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    if not is_private or found.st_uid not in {account_id, os.geteuid()}:
        # A folder for temporary files is open to everybody: somebody else may have taken the name first.
        raise LocalSetupFailed(f"{folder.sockets} is not ours alone, so no socket is put there. Remove it.")
