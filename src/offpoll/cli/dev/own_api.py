"""Runs an API of the user's own for `offpoll dev`: an ASGI application, or a WSGI one in threads.

python -m offpoll.cli.dev.own_api MODULE:APPLICATION INTERFACE PORT
"""

from __future__ import annotations

import sys
from typing import Any

from offpoll.reference import load_object

__all__ = ["main"]


def main() -> None:
    """Serve on loopback until a signal comes."""
    import uvicorn

    reference, interface, port = sys.argv[1:]
    application: Any = load_object(reference)
    if interface == "wsgi":
        from a2wsgi import WSGIMiddleware

        application = WSGIMiddleware(application)
    uvicorn.run(application, host="127.0.0.1", port=int(port), interface="asgi3", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
