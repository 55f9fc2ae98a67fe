"""Checks that the container's process is alive, for the image's HEALTHCHECK. Needs only Python, and starts quickly.

It asks the API for `/livez`, not `/readyz`, because restarting the API does not repair a store. Anything else that the image runs, usually
a worker, has no port. It is alive as long as its process, and the container ends with that.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from pathlib import Path

#: The port of `offpoll serve` without `--port`.
DEFAULT_PORT = 8000

#: Seconds. Less than the HEALTHCHECK's own timeout, so that the container's health log gets the reason.
PATIENCE = 4.0


def port_of(command: Sequence[str]) -> int | None:
    """Return the port at which a command line serves the API; None if it serves none."""
    if "serve" not in command:
        return None
    port = DEFAULT_PORT
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == "--port":
            port = int(following)
        elif word.startswith("--port="):
            port = int(word.removeprefix("--port="))
    return port


def main() -> None:
    """Exit with 0 if the process is well, else with 1 and the reason."""
    port = port_of(Path("/proc/1/cmdline").read_text().split("\0"))
    if port is None:
        return
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
