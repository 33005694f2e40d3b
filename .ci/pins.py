# /// script
# requires-python = ">=3.11"
# ///
"""Keep every dependency pinned in pyproject.toml, direct or not.

Direct dependencies are pinned by hand in the dependency lists. All others are pinned in `[tool.uv]
constraint-dependencies`, which only this command writes. `uv.lock` holds download addresses and stays out
of git; it is made anew on each machine and, since every package is pinned, always comes out the same.

    uv run .ci/pins.py check                  say what differs, and fail, unless the pins are complete
    uv run .ci/pins.py update                 write the pins, after a dependency was added or changed
    uv run .ci/pins.py update --upgrade NAME  take the newest version of an indirect dependency
    uv run .ci/pins.py update --upgrade       take the newest version of every indirect dependency
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "uv.lock"

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[A-Za-z0-9._,-]+\])?==(?P<version>[A-Za-z0-9.+!]+)$")
BLOCK = re.compile(r"^constraint-dependencies = \[\n(?:    .*\n)*\]\n", re.MULTILINE)

Pins = dict[str, str]


class PinsError(Exception):
    """The pins cannot be read or written."""


def read_pins(requirements: Collection[str]) -> Pins:
    """Read exact requirements as versions by package name.

    Raises: PinsError for a requirement that does not fix one version.
    """
    pins: Pins = {}
    for requirement in requirements:
        match = PIN.match(requirement)
        if match is None:
            raise PinsError(f"{requirement!r} does not pin one version: write name==version")
        pins[normalize(match["name"])] = match["version"]
    return pins


def normalize(name: str) -> str:
    """Spell a package's name as the lock file does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_direct(pyproject: Mapping[str, object]) -> Pins:
    """Read the dependencies that the project names itself, from both its lists."""
    match pyproject:
        case {"project": {"dependencies": [*runtime]}, "dependency-groups": {"dev": [*development]}}:
            return read_pins([str(requirement) for requirement in [*runtime, *development]])
    raise PinsError("pyproject.toml has no [project] dependencies or no dev group")


def read_indirect(pyproject: Mapping[str, object]) -> Pins:
    """Read the pins of what the direct dependencies need in turn."""
    match pyproject:
        case {"tool": {"uv": {"constraint-dependencies": [*constraints]}}}:
            return read_pins([str(constraint) for constraint in constraints])
    return {}


def read_locked(lock: Mapping[str, object]) -> Pins:
    """Read the complete resolution, for all platforms and Python versions, without the project itself.

    Raises: PinsError where platforms would need different versions: one pin could not be right for both.
    """
    locked: Pins = {}
    match lock:
        case {"package": [*packages]}:
            for package in packages:
                match package:
                    case {"source": {"virtual": "."}}:
                        continue
                    case {"name": str(name), "version": str(version)}:
                        if locked.setdefault(name, version) != version:
                            raise PinsError(f"{name} is locked at both {locked[name]} and {version}")
    return locked


def find_differences(*, direct: Pins, indirect: Pins, locked: Pins) -> list[str]:
    """Say, a line for each package, what the pins would have to be to equal the resolution."""
    differences = [
        f"{name}: pinned twice, in a dependency list and in constraint-dependencies"
        for name in sorted(direct.keys() & indirect.keys())
    ]
    pinned = indirect | direct
    for name in sorted(pinned.keys() | locked.keys()):
        if name not in pinned:
            differences.append(f"{name}: missing, uv resolves {locked[name]}")
        elif name not in locked:
            differences.append(f"{name}: superfluous, nothing needs it")
        elif pinned[name] != locked[name]:
            differences.append(f"{name}: pinned at {pinned[name]}, but uv resolves {locked[name]}")
    return differences


def write_block(text: str, indirect: Pins) -> str:
    """Put the pins in place of the constraint block of pyproject.toml.

    Raises: PinsError unless there is exactly one block.
    """
    lines = "".join(f'    "{name}=={version}",\n' for name, version in sorted(indirect.items()))
    written, count = BLOCK.subn(f"constraint-dependencies = [\n{lines}]\n", text)
    if count != 1:
        raise PinsError(f"pyproject.toml has {count} constraint-dependencies blocks, not one")
    return written


def resolve(*options: str) -> Pins:
    """Let uv resolve the project, and read what it chose."""
    if subprocess.run(["uv", "lock", "--quiet", *options], cwd=ROOT, check=False).returncode != 0:
        raise PinsError("uv found no resolution that fits the pins (see above)")
    return read_locked(tomllib.loads(LOCK.read_text()))


def check() -> list[str]:
    """Compare the pins with what uv resolves."""
    pyproject = tomllib.loads(PYPROJECT.read_text())
    return find_differences(
        direct=read_direct(pyproject), indirect=read_indirect(pyproject), locked=resolve()
    )


def update(upgrades: Collection[str] | None) -> None:
    """Write the pins that the dependency lists need.

    Versions stay as they are, except those of `upgrades`: none of them if it is None, all if it is empty.
    A pyproject.toml for which uv finds no resolution is left as it was.
    """
    before = PYPROJECT.read_text()
    pyproject = tomllib.loads(before)
    direct, indirect = read_direct(pyproject), read_indirect(pyproject)
    options: list[str] = []
    kept = indirect
    if upgrades is not None:
        names = {normalize(name) for name in upgrades} or set(indirect)
        if unknown := sorted(names - indirect.keys()):
            raise PinsError(f"not an indirect dependency: {', '.join(unknown)}")
        kept = {name: version for name, version in indirect.items() if name not in names}
        options = [f"--upgrade-package={name}" for name in sorted(names)]
    PYPROJECT.write_text(write_block(before, kept))
    try:
        locked = resolve(*options)
    except PinsError:
        PYPROJECT.write_text(before)
        raise
    needed = {name: version for name, version in locked.items() if name not in direct}
    PYPROJECT.write_text(write_block(before, needed))
    resolve()  # The lock file also keeps a copy of the constraints.


def main() -> int:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    commands.add_parser("update").add_argument("--upgrade", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    try:
        if arguments.command == "update":
            update(arguments.upgrade)
        differences = check()
    except PinsError as error:
        differences = [str(error)]
    for difference in differences:
        print(difference, file=sys.stderr)
    if not differences:
        print("Every dependency is pinned in pyproject.toml.")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
