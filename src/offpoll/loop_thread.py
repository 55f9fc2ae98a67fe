"""An event loop in a thread of its own, for code that does not await. Decides what happens when it is closed, forgotten or forked."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar
from weakref import WeakSet

from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.loops import leave_to_the_parent

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """Runs async calls on an event loop in a separate thread.

    Threads may share it. A forked child, which has no such thread, starts its own at its first call.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self) -> None:
        self._closed = False
        self._begin()
        _ALIVE.add(self)

    def close(self) -> None:
        """Close the connections and end the thread. Calls under way are cancelled; a second close waits for the first."""
        self._refuse_own_thread()
        with self._ending:
            with self._scheduling:
                if self._closed:
                    return
                self._closed = True  # what was scheduled before is cancelled by `_end`, and nothing is scheduled after it
            self._stop()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        loop = self._loop
        if loop is None or loop.is_closed() or sys.is_finalizing():
            return
        warnings.warn(f"a {type(self).__name__} was not closed", ResourceWarning, source=self, stacklevel=2)
        ending = asyncio.run_coroutine_threadsafe(_end(self._stack), loop)
        ending.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))

    def _begin(self) -> None:
        self._loop = None
        self._thread: threading.Thread | None = None
        self._stack = AsyncExitStack()
        self._ready = False
        self._scheduling, self._starting, self._ending = threading.Lock(), threading.Lock(), threading.Lock()

    def _forget(self) -> None:
        """Start afresh in a forked child, where no other thread is left: not the loop's, nor one that held a lock."""
        if self._loop is not None:
            leave_to_the_parent((self._loop, self._thread, self._stack))
        self._begin()

    async def _enter(self) -> None:
        """Do, on the loop, what comes before the first call."""

    def _start(self) -> None:
        """Start the thread unless it runs.

        Raises:
            ConfigurationError: this was closed, or the caller is on the thread itself.
        """
        self._refuse_own_thread()
        with self._starting:
            with self._scheduling:  # a `close` comes before all of this, or after it
                self._refuse_if_closed()
                if self._ready:
                    return
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_turn, args=(self._loop,), name="offpoll-blocking", daemon=True)
                self._thread.start()
                entering = asyncio.run_coroutine_threadsafe(_caught(self._enter()), self._loop)
            try:
                _result(entering)
            except BaseException:
                with self._ending:  # `close`, which may be why, stops it too, and a stopped loop would never answer a second time
                    self._stop()
                    self._loop, self._thread, self._stack = None, None, AsyncExitStack()
                raise
            self._ready = True

    def _stop(self) -> None:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or loop.is_closed():  # it never started, not in this process, or was stopped
            return
        try:
            _result(asyncio.run_coroutine_threadsafe(_caught(_end(self._stack)), loop))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Make a call on the loop and wait for its end."""
        try:
            if not self._ready or self._thread is threading.current_thread():
                self._start()
            with self._scheduling:
                self._refuse_if_closed()
                assert self._loop is not None  # noqa: S101 - it is ready
                future = asyncio.run_coroutine_threadsafe(_caught(call), self._loop)
        except BaseException:
            call.close()
            raise
        return _result(future)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ConfigurationError(f"this {type(self).__name__} was closed; make another one")

    def _refuse_own_thread(self) -> None:
        if self._thread is threading.current_thread():
            name = type(self).__name__
            raise ConfigurationError(
                f"a coroutine on this {name}'s own event loop called it, and would wait for itself: use Async{name} there"
            )


class _Exit:
    """An order to leave the process, which belongs to the caller's thread: raised on the loop, it would end that."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _caught(call: Coroutine[Any, Any, T]) -> T | _Exit:
    try:
        return await call
    except (SystemExit, KeyboardInterrupt) as error:
        return _Exit(error)


def _result(future: Future[T | _Exit]) -> T:
    try:
        result = future.result()
    except CancelledError:
        raise DependencyUnavailable("offpoll", "it was closed during the call, whose effect is unknown") from None
    if isinstance(result, _Exit):
        raise result.error
    return result


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _end(stack: AsyncExitStack) -> None:
    """Leave the contexts, then cancel what still runs here, as `asyncio.run` does: a read of the counters, say, that nobody awaits."""
    try:
        await stack.aclose()
    finally:
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await asyncio.sleep(0)  # dropped connections tell their protocols in the loop's next round


#: What a forked child must start afresh.
_ALIVE: WeakSet[LoopThread] = WeakSet()


def _after_fork() -> None:
    for each in _ALIVE:
        each._forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
