"""The secret key of an install for which nobody has set one."""

import os
import secrets
from pathlib import Path

KEY_BYTES = 48


def read_or_make_secret_key(path: Path) -> str:
    """Return the key that is kept in this file, made on first use; only its owner may read it."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        candidate = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        candidate.touch(mode=0o600)
        candidate.write_text(secrets.token_urlsafe(KEY_BYTES))
        try:
            # A link, which never replaces: of two processes that start at once, both read the first one's
            # key.
            os.link(candidate, path)
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    return path.read_text().strip()
