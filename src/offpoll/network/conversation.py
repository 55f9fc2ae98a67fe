"""What to say on a connection, and what comes back: generators, which a blocking and an awaiting driver both run.

connected ──► TLS with the proxy ──► CONNECT ──► TLS with the server ──► request ──► response ──► request …
              if it is https         if the server is https
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from offpoll.network.address import Address
from offpoll.network.channel import Channel, Plain, Steps
from offpoll.network.failure import NetworkFailure, Stale, Unsendable
from offpoll.network.http1 import Received, ResponseReader
from offpoll.network.proxies import Proxy

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Request", "ask", "open_channel", "write"]

_METHOD_WITHOUT_BODY = "GET"

#: A proxy's refusal to a tunnel is not read beyond this, bytes.
MAX_REFUSAL = 4096


class Request(NamedTuple):
    """A request to send."""

    method: str
    to: Address
    headers: Mapping[str, str]
    body: bytes


def write(request: Request, *, proxy: Proxy | None, user_agent: str) -> bytes:
    """Write a request. A proxy gets plain requests with their whole address.

    Raises:
        Unsendable: a header holds a line break, or a character that HTTP cannot express.
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
        raise Unsendable("a header holds a line break")
    try:
        return "\r\n".join([f"{request.method} {target} HTTP/1.1", *lines, "\r\n"]).encode("latin-1") + request.body
    except UnicodeEncodeError as error:
        raise Unsendable("a header holds a character that HTTP cannot express") from error


def open_channel(to: Address, *, proxy: Proxy | None, context: Callable[[], SSLContext]) -> Steps[Channel]:
    """Make a new connection ready for requests.

    Raises:
        NetworkFailure: the proxy or the server refused.
    """
    channel: Channel = Plain()
    if not to.secure and (proxy is None or not proxy.secure):
        return channel
    from offpoll.network.tls import secured  # noqa: PLC0415 - without https nobody pays for ssl

    if proxy is not None and proxy.secure:
        channel = yield from secured(channel, context=context(), host=proxy.host, whom="the proxy")
    if proxy is not None and to.secure:
        yield from _tunnel(channel, to, proxy)
    if to.secure:
        channel = yield from secured(channel, context=context(), host=to.host, whom="the server")
    return channel


def ask(channel: Channel, sent: bytes, *, limit: int, reused: bool, proxied: bool) -> Steps[tuple[Received, bool]]:
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
        raise _broken(error, plain=isinstance(channel, Plain) and not proxied, begun=reader.begun) from error
    response = reader.response
    if proxied and response.status == 407:
        raise NetworkFailure("the proxy asks for a user and a password (407)", sent=False)
    return response, reader.keep and not channel.holds  # what is left would be taken for the next response


def _broken(error: Exception, *, plain: bool, begun: bool) -> NetworkFailure:
    words = str(error) if isinstance(error, ValueError) else (getattr(error, "strerror", None) or str(error)).lower()
    if plain and "speaks TLS" in words:
        return NetworkFailure(f"{words}: use https:// instead of http://", sent=False, hopeless=True)
    if plain and not begun and not isinstance(error, TimeoutError):  # many servers say nothing to http on a port for https
        words += " before a response. Does the server expect https?"
    return NetworkFailure(words, timed_out=isinstance(error, TimeoutError))


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
