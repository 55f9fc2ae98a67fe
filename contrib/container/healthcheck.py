"""Tells whether the container's process answers, for the image's HEALTHCHECK. Must need nothing but Python, and be quick.

The API is asked for `/livez`, not for `/readyz`: to start it anew does not mend a store that is down. Anything else that the image runs, a
worker above all, has no port; it is alive as long as its process is, which the container's end shows by itself.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from pathlib import Path

#: What `offpoll serve` takes where it is not told.
DEFAULT_PORT = 8000

#: Seconds. Less than the HEALTHCHECK's own, so that the reason gets into the container's health log.
PATIENCE = 4.0


def port_of(command: Sequence[str]) -> int | None:
    """Return the port that a command line serves the API at, None where it serves none."""
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
    """End with 0 where the process is well, else with 1 and the reason."""
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
