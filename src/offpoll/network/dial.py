"""Connects to a host with several addresses: it tries the next one while an earlier one does not answer (RFC 8305, "Happy Eyeballs")."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Iterable
from itertools import chain, zip_longest
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import asyncio

__all__ = ["dial", "dial_async"]

#: Seconds until the next address is tried too (RFC 8305, section 5, recommends 250 ms).
STAGGER = 0.25

#: What `getaddrinfo` returns: family, type, protocol, canonical name, address.
Found: TypeAlias = tuple[Any, Any, int, str, Any]

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)})


def dial(host: str, port: int, *, until: float) -> socket.socket:
    """Return a connected socket.

    Args:
        until: when to give up, as `time.monotonic` counts.

    Raises:
        OSError: no address took the connection, or not in time.
    """
    waiting = list(_alternating(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    failure: OSError = TimeoutError(errno.ETIMEDOUT, "no connection in time")
    begun: set[socket.socket] = set()
    try:
        with selectors.DefaultSelector() as selector:
            while waiting or begun:
                if waiting:
                    try:
                        begun.add(_begin(waiting.pop(0), selector))
                    except OSError as error:
                        failure = error
                        continue
                left = until - monotonic()
                if left <= 0:
                    raise TimeoutError(errno.ETIMEDOUT, "no connection in time")
                for key, _ in selector.select(min(STAGGER, left) if waiting else left):
                    made = key.fileobj
                    assert isinstance(made, socket.socket)  # noqa: S101 - as registered
                    selector.unregister(made)
                    begun.discard(made)
                    if code := made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        made.close()
                        failure = OSError(code, os.strerror(code))
                    else:
                        return made
        raise failure
    finally:
        for each in begun:
            each.close()


async def dial_async(host: str, port: int) -> socket.socket:
    """Return a connected socket, awaited; the caller limits the time.

    Raises:
        OSError: no address took the connection.
    """
    import asyncio  # noqa: PLC0415 - a blocking program does not pay for asyncio

    loop = asyncio.get_running_loop()
    if host.replace(".", "").isdecimal() or ":" in host:  # a literal address needs no resolver, and so no thread
        found: Iterable[Found] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    else:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    waiting = list(_alternating(found))
    failure: BaseException = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    begun: set[asyncio.Task[socket.socket]] = set()
    try:
        while waiting or begun:
            if waiting:
                begun.add(loop.create_task(_connected(loop, waiting.pop(0))))
            done, begun = await asyncio.wait(begun, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            made = [task.result() for task in done if task.exception() is None]
            for late in made[1:]:
                late.close()
            if made:
                return made[0]
            failure = next((error for task in done if (error := task.exception())), failure)
        raise failure
    finally:
        for task in begun:
            task.cancel()
            task.add_done_callback(_close)


def _alternating(found: Iterable[Found]) -> Iterable[Found]:
    """Return the addresses so that the second is of another family than the first, if there is one."""
    found = list(found)
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return (each for each in chain.from_iterable(zip_longest(first, others)) if each is not None)


def _begin(to: Found, selector: selectors.BaseSelector) -> socket.socket:
    made = socket.socket(*to[:3])
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = made.connect_ex(to[4])
        if code and code not in _UNDER_WAY:
            raise OSError(code, os.strerror(code))
        selector.register(made, selectors.EVENT_WRITE)
    except OSError:
        made.close()
        raise
    return made


async def _connected(loop: asyncio.AbstractEventLoop, to: Found) -> socket.socket:
    made = socket.socket(*to[:3])
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(made, to[4])
    except BaseException:
        made.close()
        raise
    return made


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of a task that lost the race."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
