"""TLS: which authorities to trust, and a channel that encrypts what another one carries."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Generator
from typing import Protocol, TypeAlias, TypeVar

from offpoll.errors import ConfigurationError

__all__ = ["Channel", "Plain", "Steps", "Tls", "tls_context"]

T = TypeVar("T")

#: What a driver does for a conversation: send bytes, or for None receive some and give them back; no bytes mean the end.
Steps: TypeAlias = Generator[bytes | None, bytes, T]

#: Bytes to take at once: the longest TLS record and more.
CHUNK = 65_536


class Channel(Protocol):
    """Carries bytes both ways."""

    def send(self, data: bytes) -> Steps[None]:
        """Send bytes."""

    def receive(self) -> Steps[bytes]:
        """Return the bytes that came next; none at the end."""


class Plain:
    """The connection itself."""

    def send(self, data: bytes) -> Steps[None]:
        """Send bytes."""
        yield data

    def receive(self) -> Steps[bytes]:
        """Return the bytes that came next."""
        return (yield None)


class Tls:
    """TLS over another channel, which may be TLS too: a proxy that is reached by https carries https."""

    def __init__(self, below: Channel, *, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self) -> Steps[None]:
        """Agree on keys, and check the peer's certificate.

        Raises:
            SSLError: the peer speaks no TLS, or its certificate is not trusted.
        """
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield from self._flush()
                if not (yield from self._fill()):
                    raise ssl.SSLEOFError("the peer closed the connection in the handshake") from None
            except ssl.SSLError:
                yield from self._flush()  # the alert tells the peer why
                raise
        yield from self._flush()

    def send(self, data: bytes) -> Steps[None]:
        """Send bytes."""
        self._tls.write(data)  # all of them: a MemoryBIO has no limit
        yield from self._flush()

    def receive(self) -> Steps[bytes]:
        """Return the bytes that came next."""
        while True:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                yield from self._flush()
                if not (yield from self._fill()):
                    return b""

    def _flush(self) -> Steps[None]:
        if data := self._outgoing.read():
            yield from self._below.send(data)

    def _fill(self) -> Steps[bool]:
        data = yield from self._below.receive()
        self._incoming.write(data)
        return bool(data)


def tls_context(certificates: bytes | None) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR, and those of a PEM.

    Raises:
        ConfigurationError: SSL_CERT_FILE cannot be read.
        SSLError: the PEM is broken.
    """
    context = _system()
    context.set_alpn_protocols(["http/1.1"])
    if certificates is not None:
        context.load_verify_locations(cadata=certificates.decode("ascii", "ignore"))
    return context


def _system() -> ssl.SSLContext:
    file = os.environ.get("SSL_CERT_FILE")
    if sys.platform in ("darwin", "win32") and not file and not os.environ.get("SSL_CERT_DIR"):
        import truststore  # noqa: PLC0415 - a dependency on these systems only: OpenSSL cannot read their authorities

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if file:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:  # OpenSSL would trust nobody, silently
        raise ConfigurationError(f"SSL_CERT_FILE={file} cannot be used: {error.strerror or error}") from error
    return ssl.create_default_context()
