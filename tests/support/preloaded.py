"""A WSGI app for gunicorn, with everything made at import, as `--preload` shares it. `PRELOAD_USES` says whether it is used there, too."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from offpoll import Client, Offpoll, connect, status_board

app = Offpoll()


@app.operation("order")
def order(number: int) -> int:
    return number


service = connect(app)
board = status_board()
client = Client(os.environ["STUB_API"])


def use() -> str:
    service.submit("order", 1)
    board.open(secrets.token_hex(16), kind="order")
    client.submit("order", {})
    return str(os.getpid())


if os.environ.get("PRELOAD_USES"):
    use()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = use().encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
