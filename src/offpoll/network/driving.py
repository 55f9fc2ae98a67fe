"""Runs a conversation on a socket, blocking or awaited."""

from __future__ import annotations

from socket import socket
from time import monotonic
from typing import TYPE_CHECKING, TypeVar, cast

from offpoll.network.channel import CHUNK, Steps

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["run", "run_async"]

#: Receives after which other tasks, and the timeout, get their turn: while bytes are there already, a receive does not wait.
TURN = 16

T = TypeVar("T")


def run(steps: Steps[T], sock: socket, until: float) -> T:
    """Run a conversation until its end, or until that time as `time.monotonic` counts.

    Raises:
        TimeoutError: the time is over, and the conversation did not handle that.
    """
    try:
        step = next(steps)
        while True:
            try:
                left = until - monotonic()
                if left <= 0:
                    raise TimeoutError("none came in time")
                sock.settimeout(left)
                received = b""
                if step is None:
                    received = sock.recv(CHUNK)
                else:
                    sock.sendall(step)
            except OSError as error:
                step = steps.throw(error)
            else:
                step = steps.send(received)
    except StopIteration as end:
        return cast(T, end.value)


async def run_async(steps: Steps[T], sock: socket, loop: AbstractEventLoop) -> T:
    """Run a conversation until its end; the caller limits the time."""
    from asyncio import sleep  # noqa: PLC0415 - a blocking program does not pay for asyncio

    receives = 0
    try:
        step = next(steps)
        while True:
            try:
                received = b""
                if step is None:
                    received = await loop.sock_recv(sock, CHUNK)
                    receives += 1
                    if receives % TURN == 0:
                        await sleep(0)
                else:
                    await loop.sock_sendall(sock, step)
            except OSError as error:
                step = steps.throw(error)
            else:
                step = steps.send(received)
    except StopIteration as end:
        return cast(T, end.value)
