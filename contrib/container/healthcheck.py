"""Checks that the container's process is alive, for the image's HEALTHCHECK. Needs only Python, and starts quickly.

It asks for `/livez`, not `/readyz`, because a restart does not repair a store. The API has a port; a worker has one with `--health-port`,
or writes a file with `--health-file`, whose age tells. Anything else is alive as long as its process, and the container ends with that.
"""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Sequence
from pathlib import Path

#: The port of `offpoll serve` without `--port`.
DEFAULT_PORT = 8000

#: Seconds. Less than the HEALTHCHECK's own timeout, so that the container's health log gets the reason.
PATIENCE = 4.0

#: Seconds after which a worker's file is too old. It is written every 5 s.
OLD = 30.0


def option(command: Sequence[str], name: str) -> str | None:
    """Return an option's value in a command line; None if it is not there."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return None


def port_of(command: Sequence[str]) -> int | None:
    """Return the port at which a command line answers `/livez`; None if there is none, or nobody knows which."""
    if "serve" in command:
        return int(option(command, "--port") or DEFAULT_PORT)
    return int(option(command, "--health-port") or 0) or None if "work" in command else None


def main() -> None:
    """Exit with 0 if the process is well, else with 1 and the reason."""
    command = Path("/proc/1/cmdline").read_text().split("\0")
    file, port = option(command, "--health-file") if "work" in command else None, port_of(command)
    if file is not None:
        check_file(Path(file))
    if port is not None:
        ask(port)


def check_file(file: Path) -> None:
    """Exit with 1 if a worker's file is missing or old."""
    try:
        age = time.time() - file.stat().st_mtime
    except OSError as error:
        sys.exit(f"{file}: {error.strerror}")
    if age > OLD:
        sys.exit(f"{file} was last written {age:.0f} s ago")


def ask(port: int) -> None:
    """Exit with 1 if the process does not say that it is alive."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"GET /livez at port {port}: {error!r}")
    if status != 200:
        sys.exit(f"GET /livez at port {port}: {status}")


if __name__ == "__main__":
    main()
