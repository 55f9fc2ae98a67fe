"""The environment of a running `offpoll dev`: a file by which other programs and commands find it, and the ports that it keeps.

`dev` locks the file while it runs, and the kernel unlocks it when `dev` ends, however that happens. So a file without a lock is left over.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from offpoll.errors import ConfigurationError

__all__ = ["FOLDER", "EnvironmentFile", "Ports", "adopt", "running_api"]

#: Where `dev` keeps its files, unless told otherwise.
FOLDER = ".offpoll"

_FILE = "env"

#: Values that a shell and `docker --env-file` read alike: a shell takes quotes away, docker keeps them.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")

#: Variables by which the user has chosen an account or a store.
_CHOICES = re.compile(
    r"AWS_(PROFILE|DEFAULT_PROFILE|ACCESS_KEY_ID|SESSION_TOKEN|ROLE_ARN|WEB_IDENTITY_TOKEN_FILE|CONTAINER_CREDENTIALS_\w+|ENDPOINT_URL\w*)"
    r"|OFFPOLL_(BUCKET|\w*QUEUE_URL|RECORDS_TABLE|SECRET)"
)


class EnvironmentFile:
    """The file, held by this process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def hold(cls, folder: Path) -> EnvironmentFile:
        """Create the file, or take over one that is left over.

        Raises:
            ConfigurationError: another `dev` runs in this folder, or the file is no file: emptying a link's target could destroy anything.
        """
        path = folder / _FILE
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise ConfigurationError(
                    f"cannot write {path} ({error.strerror}): remove it, or choose another folder with --data"
                ) from error
            if not S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise ConfigurationError(f"{path} is not a file: remove it, or choose another folder with --data")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise ConfigurationError(
                    f"offpoll dev already runs with the folder {folder}: end it, or choose another with --data"
                ) from None
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                    os.fchmod(descriptor, 0o600)
                    os.ftruncate(descriptor, 0)
                    return cls(path, descriptor)
            os.close(descriptor)  # its owner has removed it meanwhile

    def write(self, variables: Mapping[str, str], *, about: str) -> list[str]:
        """Write the variables. The text about them ends with the API's address. Return the names of those that the file cannot hold."""
        plain = {name: value for name, value in variables.items() if _PLAIN.fullmatch(value)}
        lines = [f"# {about}", *(f"{name}={value}" for name, value in plain.items())]
        os.pwrite(self._descriptor, "".join(f"{line}\n" for line in lines).encode(), 0)
        return sorted(variables.keys() - plain.keys())

    def remove(self) -> None:
        """Remove the file and unlock it."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports of a run: of the API, and of the embedded AWS. 0: any."""

    api: int = 0
    aws: int = 0

    @classmethod
    def of(cls, folder: Path) -> Ports:
        """Read those of the last run."""
        try:
            fields = json.loads((folder / "ports.json").read_text())
            ports = {name: int(fields[name]) for name in ("api", "aws")}
        except (OSError, ValueError, ArithmeticError, RecursionError, KeyError, TypeError):
            return cls()
        return cls(**{name: port for name, port in ports.items() if 0 < port < 65_536})

    def keep(self, folder: Path) -> None:
        """Write them for the next run."""
        (folder / "ports.json").write_text(json.dumps({"api": self.api, "aws": self.aws}))


def adopt(environ: MutableMapping[str, str]) -> None:
    """Add the variables of a `dev` that runs in this folder or above, and say so on stderr; not if others choose a store or an account."""
    folder = _folder()
    if folder is None:
        return
    variables = _read(folder)
    if variables is None:
        _say(f"{folder / _FILE} is left over from an offpoll dev that no longer runs, and is not used")
        return
    chosen = sorted(name for name in environ if _CHOICES.fullmatch(name) and environ[name] and environ[name] != variables.get(name))
    if chosen:
        _say(f"the offpoll dev that runs here is not used, because {chosen[0]} is set")
    elif not variables:
        _say("the offpoll dev that runs here is not ready yet")
    elif any(environ.get(name) != value for name, value in variables.items()):
        _say(f"using the offpoll dev that runs here ({folder / _FILE})")
        environ.update(variables)


def running_api() -> str | None:
    """Return the address of the API of a `dev` that runs in this folder or above, and say on stderr that it is used; None if none runs."""
    folder = _folder()
    if folder is None or not _read(folder):
        return None
    api = (folder / _FILE).read_text(encoding="utf-8").partition("\n")[0].rpartition(" ")[2]
    _say(f"using the offpoll dev that runs here ({api})")
    return api


def _folder() -> Path | None:
    """Return the nearest folder with an environment file of this user."""
    here = Path.cwd()
    for each in (here, *here.parents):
        with suppress(OSError):
            found = (each / FOLDER / _FILE).lstat()
            if S_ISREG(found.st_mode) and found.st_uid == os.getuid():
                return each / FOLDER
    return None


def _read(folder: Path) -> dict[str, str] | None:
    """Return the variables of a running `dev`; None if none runs."""
    try:
        descriptor = os.open(folder / _FILE, os.O_RDONLY)
    except OSError:
        return None
    with open(descriptor, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pairs = (line.strip().partition("=") for line in file if not line.startswith("#"))
            return {name: value for name, _, value in pairs}
    return None


def _say(text: str) -> None:
    print(f"offpoll: {text}", file=sys.stderr)
