"""TLS: which authorities to trust, and a channel that encrypts what another one carries."""

from __future__ import annotations

import os
import ssl
import sys

from offpoll.errors import ConfigurationError
from offpoll.network.channel import CHUNK, Channel, Steps
from offpoll.network.failure import NetworkFailure

__all__ = ["Tls", "secured", "tls_context"]


def secured(channel: Channel, *, context: ssl.SSLContext, host: str, whom: str) -> Steps[Tls]:
    """Return TLS over a channel, after the handshake. `whom`: who is at its other end, for people.

    Raises:
        NetworkFailure: they speak no TLS, or their certificate is not trusted.
    """
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

    @property
    def holds(self) -> bool:
        """Whether it took bytes off the connection that nobody has received yet: a second record came with the first."""
        return bool(self._incoming.pending or self._tls.pending()) or self._below.holds

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
    except OSError as error:  # OpenSSL would silently trust nobody
        raise ConfigurationError(f"SSL_CERT_FILE={file} cannot be used: {error.strerror or error}") from error
    return ssl.create_default_context()
