"""The fast path's routes under uvicorn, from its parser straight to the socket: their requests meet neither ASGI nor a framework.

Decides which requests are answered here: those for a route, with a short body and nothing to negotiate, on a connection with no other
request to answer. uvicorn answers all others by ASGI. It also keeps all that belongs to a connection: its time limits, pipelined requests,
draining and closing.

uvicorn's ASGI cycle and its two writes for each answer cost a tenth of what accepting an operation does (docs/decisions/0004).
"""

from __future__ import annotations

import logging
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from offpoll.exchange import Response
from offpoll.http.endpoint import CLIENT_GONE, headers_to_send, read_all
from offpoll.http.fast_path import FastPath, Route, Scope, request_of
from offpoll.http.proxies import BehindProxies

__all__ = ["DirectProtocol"]

log = logging.getLogger(__name__)

#: How long an idle connection stays open once the server ends, seconds: a request that is on its way to it then gets its answer.
LINGER = 0.5


class DirectProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which answers a `FastPath`'s routes by itself: `uvicorn.run(fast_path, http=DirectProtocol)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app: Any = self.app
        self._proxies = app if isinstance(app, BehindProxies) else None
        fast_path = app.app if isinstance(app, BehindProxies) else app
        self._direct = _Direct(self, fast_path) if isinstance(fast_path, FastPath) else None
        self._ending = False

    def shutdown(self) -> None:
        """End the connection after the answer that is being made, or the one to a request that is on its way."""
        free = self.cycle is None or self.cycle.response_complete
        if free and not self._ending:
            self._ending = True
            self.loop.call_later(LINGER, self.shutdown)
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Take bytes. A request to change the protocol is read once more as one that does not ask for it.

        Such a wish may be ignored (RFC 9110, 7.8), and the parser would not read the body: it would take that for the next request.
        """
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                data = self._as_it_is() + data[upgrade.args[0] :]
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            except HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")
                return

    def on_headers_complete(self) -> None:
        """Begin a request that is answered here, or let uvicorn begin it."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("this is no proxy")  # the parser makes an HttpParserError of it
            return
        direct, url, scope = self._direct, self.url, cast(Scope, self.scope)
        free = (self.cycle is None or self.cycle.response_complete) and not self._ending
        if direct is not None and free and url.isascii() and b"%" not in url and b"#" not in url and not self.expect_100_continue:
            raw_path, _, query = url.partition(b"?")
            path = raw_path.decode("ascii")
            scope.update(method=self.parser.get_method().decode("ascii"), path=path, raw_path=raw_path, query_string=query)
            if self._proxies is not None:
                scope["root_path"] = self._proxies.root_path
            found = direct.fast_path.find(scope)
            if found is not None and self._negotiates_nothing():
                if self._proxies is not None:
                    self._proxies.see(scope)
                direct.begin(*found, scope)
                self.cycle = cast(Any, direct)
                return
        super().on_headers_complete()
        if self._ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Answer a request that is here whole."""
        if self.parser.should_upgrade():
            return
        direct = self._direct
        if direct is None or direct is not cast(Any, self.cycle):
            super().on_message_complete()
            return
        direct.whole = True
        task = self.loop.create_task(direct.answer())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of a request that its client gave up, as its answer would have been told."""
        direct, waiting = self._direct, cast(Any, self.cycle)
        super().connection_lost(exc)
        if direct is not None and direct is waiting and not direct.whole and direct.fast_path.answered is not None:
            direct.fast_path.answered(direct.scope, CLIENT_GONE, "", 0.0)

    def _as_it_is(self) -> bytes:
        """Return the head of the request once more, without the wish for another protocol."""
        first = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [b"%b: %b" % each for each in self.headers if each[0] != b"upgrade"]
        return b"\r\n".join([first, *lines, b"\r\n"])

    def _negotiates_nothing(self) -> bool:
        """Tell whether the request has a short body and leaves the connection as it is."""
        parser = self.parser
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return False
        headers = dict(self.headers)
        return b"transfer-encoding" not in headers and int(headers.get(b"content-length", 0)) < HIGH_WATER_LIMIT


class _NobodyWaits:
    def set(self) -> None:
        """Be the event of a request that begins when it is here whole."""


class _Direct:
    """The request that a connection answers here: the twin of uvicorn's `RequestResponseCycle`, as far as its protocol looks at that.

    One for each connection, used again for each request.
    """

    message_event = _NobodyWaits()

    def __init__(self, protocol: DirectProtocol, fast_path: FastPath) -> None:
        self._protocol, self.fast_path = protocol, fast_path
        self.disconnected, self.keep_alive = False, True

    def begin(self, route: Route, operation_id: str, scope: Scope) -> None:
        """Begin with a request, of which the body is still to come."""
        self.route, self.operation_id, self.scope = route, operation_id, scope
        self.body = b""
        self.response_complete = self.whole = False

    async def answer(self) -> None:
        """Answer the request."""
        scope = self.scope
        try:
            request = request_of(scope, read_all(self.body))
            await self.route.run(self.operation_id, request, self.write, scope=scope, answered=self.fast_path.answered)
        except Exception:
            log.exception("a fault in offpoll: %s %s", scope["method"], scope["path"])
            self._protocol.transport.close()

    async def write(self, response: Response) -> None:
        """Write the whole answer at once."""
        protocol, flow = self._protocol, self._protocol.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        lines = [f"{name}: {value}\r\n" for name, value in headers_to_send(response).items()]
        if not self.keep_alive:
            lines.append("connection: close\r\n")
        head = "".join(lines)
        if head.count("\n") != len(lines) or head.count("\r") != len(lines):
            raise ValueError("a header holds a line break")
        default = [b"%b: %b\r\n" % pair for pair in protocol.server_state.default_headers]
        self.response_complete = True
        protocol.transport.write(b"".join((STATUS_LINE[response.status], *default, head.encode("latin-1"), b"\r\n", response.body)))
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()
