"""What to say on a connection, and what comes back: generators, which a blocking and an awaiting driver both run.

connected ──► TLS with the proxy ──► CONNECT ──► TLS with the server ──► request ──► response ──► request …
              if it is https         if the server is https
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple

from offpoll.network.address import Address
from offpoll.network.http1 import Response, ResponseReader
from offpoll.network.proxies import Proxy
from offpoll.network.tls import Channel, Plain, Steps, Tls

__all__ = ["NetworkFailure", "Request", "Stale", "Unsendable", "ask", "open_channel", "write"]

_METHOD_WITHOUT_BODY = "GET"

#: A proxy's refusal to a tunnel is not read beyond this, bytes.
MAX_REFUSAL = 4096


class NetworkFailure(Exception):  # noqa: N818 - users never see it: the caller translates it
    """No response came.

    Attributes:
        sent: whether the server may have received the request.
        hopeless: whether repeating the request cannot help: the other side speaks another protocol, or is not trusted.
        timed_out: whether none came in time.
    """

    def __init__(self, reason: str, *, sent: bool = True, hopeless: bool = False, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.sent, self.hopeless, self.timed_out = reason, sent, hopeless, timed_out


class Stale(Exception):  # noqa: N818 - expected of old connections, not an error
    """The peer closed a kept connection before it sent any byte of a response."""


class Unsendable(Exception):  # noqa: N818 - users never see it: the caller translates it
    """HTTP cannot express the request."""


class Request(NamedTuple):
    """A request to send."""

    method: str
    to: Address
    headers: Mapping[str, str]
    body: bytes


def write(request: Request, *, proxy: Proxy | None, user_agent: str) -> bytes:
    """Write a request. A proxy gets plain requests with their whole address.

    Raises:
        Unsendable: a header holds a line end, or a character that HTTP cannot express.
    """
    to, lines = request.to, [f"host: {request.to.authority}", f"user-agent: {user_agent}", "accept-encoding: identity"]
    target = to.target
    if proxy is not None and not to.secure:
        target = to.origin + target
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body or request.method != _METHOD_WITHOUT_BODY:  # some proxies refuse a request without its length (411)
        lines.append(f"content-length: {len(request.body)}")
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise Unsendable("a header holds a line end")
    try:
        return "\r\n".join([f"{request.method} {target} HTTP/1.1", *lines, "\r\n"]).encode("latin-1") + request.body
    except UnicodeEncodeError as error:
        raise Unsendable("a header holds a character that HTTP cannot express") from error


def open_channel(to: Address, *, proxy: Proxy | None, context: Callable[[], ssl.SSLContext]) -> Steps[Channel]:
    """Make a new connection ready for requests.

    Raises:
        NetworkFailure: the proxy or the server refused.
    """
    channel: Channel = Plain()
    if proxy is not None and proxy.secure:
        channel = yield from _secured(channel, context=context(), host=proxy.host, whom="the proxy")
    if proxy is not None and to.secure:
        yield from _tunnel(channel, to, proxy)
    if to.secure:
        channel = yield from _secured(channel, context=context(), host=to.host, whom="the server")
    return channel


def ask(channel: Channel, sent: bytes, *, limit: int, reused: bool, proxied: bool) -> Steps[tuple[Response, bool]]:
    """Send a written request and return its response, and whether the connection may be kept.

    Raises:
        Stale: the peer had closed this kept connection.
        NetworkFailure: no response came, or none that is HTTP.
    """
    reader = ResponseReader(limit=limit)
    try:
        yield from channel.send(sent)
        while not reader.feed((yield from channel.receive())):
            pass
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        if reused and not reader.begun and not isinstance(error, TimeoutError):
            raise Stale from error
        raise _broken(error, secure=not isinstance(channel, Plain)) from error
    response = reader.response
    if proxied and response.status == 407:
        raise NetworkFailure("the proxy asks for a user and a password (407)", sent=False)
    return response, reader.keep


def _broken(error: Exception, *, secure: bool) -> NetworkFailure:
    words = str(error) if isinstance(error, ValueError) else (getattr(error, "strerror", None) or str(error)).lower()
    if not secure and "speaks TLS" in words:
        return NetworkFailure(f"{words}: use https:// instead of http://", sent=False, hopeless=True)
    return NetworkFailure(words, timed_out=isinstance(error, TimeoutError))


def _secured(channel: Channel, *, context: ssl.SSLContext, host: str, whom: str) -> Steps[Tls]:
    tls = Tls(channel, context=context, host=host)
    try:
        yield from tls.handshake()
    except ssl.SSLCertVerificationError as error:
        raise NetworkFailure(f"{whom}'s certificate is not trusted: {error.verify_message}", sent=False, hopeless=True) from error
    except ssl.SSLEOFError as error:
        raise NetworkFailure(f"{whom} closed the connection in the TLS handshake", sent=False) from error
    except ssl.SSLError as error:
        plain = error.reason in _NOT_TLS
        words = (
            f"{whom} does not speak TLS on this port: use http:// instead of https://" if plain else f"no TLS with {whom}: {error.reason}"
        )
        raise NetworkFailure(words, sent=False, hopeless=plain) from error
    return tls


#: What OpenSSL says of bytes that are no TLS, by version.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"})


def _tunnel(channel: Channel, to: Address, proxy: Proxy) -> Steps[None]:
    where = f"[{to.host}]:{to.port}" if ":" in to.host else f"{to.host}:{to.port}"
    authorization = f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    reader = ResponseReader(limit=MAX_REFUSAL, tunnel=True)
    try:
        yield from channel.send(f"CONNECT {where} HTTP/1.1\r\nhost: {where}\r\n{authorization}\r\n".encode("latin-1"))
        while not reader.feed((yield from channel.receive())):
            pass
    except (OSError, ValueError) as error:
        raise NetworkFailure(f"the proxy gave no answer: {error}", sent=False, timed_out=isinstance(error, TimeoutError)) from error
    status = reader.response.status
    if status == 407:
        raise NetworkFailure("the proxy asks for a user and a password (407)", sent=False)
    if status != 200:
        raise NetworkFailure(f"the proxy refused the connection ({status})", sent=False)
