"""The processes of `offpoll serve`: one that serves, or with `--workers` a parent and several that do.

    start all ── each reports that it serves ──► watch ── one dies ──────► start another, after a pause if it never served
        │                                          │      SIGHUP ────────► replace them one by one
        │ one ends before it serves                │      none serves ───► end with an error
        ▼                                          ▼
    end all, with an error                      SIGTERM, SIGINT: end all, cleanly

This replaces uvicorn's supervisor. If a worker cannot start, that one exits with 0, and service managers do not start it again. It also
leaves its workers behind when it is killed.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, TypeAlias

from offpoll.cli.exit_codes import FAILED
from offpoll.cli.logs import configure
from offpoll.errors import ConfigurationError, OffpollError

if TYPE_CHECKING:
    import uvicorn

__all__ = ["GRACE", "run_here", "run_workers"]

log = logging.getLogger("offpoll.serve")

#: Makes the ASGI application, given what to call once its lifespan is entered.
Make: TypeAlias = Callable[[Callable[[], None]], Any]

#: Seconds for open requests to finish after SIGTERM. A submit takes milliseconds.
GRACE = 10

#: Seconds after which a process that was told to end is killed: GRACE, and what the app's lifespan may take to end.
END = GRACE + 5.0

#: Seconds for a process to serve that is to replace another one, which serves.
START = 60.0

#: Seconds before a process is started again that ended before it served; doubled each time, up to the second.
PAUSES = (1.0, 30.0)


def run_here(make: Make, **options: Any) -> None:
    """Serve in this process until a signal ends it.

    Args:
        make: makes the application.
        options: uvicorn's.

    Raises:
        OffpollError: it could not start; the log says why.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn ends cleanly, then raises the signal again: that is no failure
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    server = _server(make, lambda: None, options)
    try:
        server.run()
    except SystemExit:
        pass
    if not server.started:
        raise OffpollError("the API could not start; the reason is above")


def run_workers(make: Make, count: int, *, host: str, port: int, log_level: str, **options: Any) -> None:
    """Serve in `count` processes until a signal ends them.

    Args:
        make: makes the application; each process calls it, so it is a function of a module.
        count: how many.
        host, port: where to listen.
        log_level: of the processes' logs.
        options: uvicorn's.

    Raises:
        ConfigurationError: the port is not free.
        OffpollError: they could not start, or none of them serves any longer; the log says why.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    start = partial(_Worker, partial(_serve, make, listener=listener, log_level=log_level, options=options))
    with listener, _Signals() as signals:
        _Workers(start, count, signals).run()


class _Signals:
    """The signals that came. A wait for `wakeup` returns when one comes."""

    def __init__(self) -> None:
        self.ending, self.replacing = 0, False
        self.wakeup, self._written = socket.socketpair()

    def __enter__(self) -> _Signals:
        self.wakeup.setblocking(False)
        self._written.setblocking(False)
        signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, self._replace)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        self.wakeup.close()
        self._written.close()

    def _end(self, *_: object) -> None:
        self.ending += 1

    def _replace(self, *_: object) -> None:
        self.replacing = True


class _Worker:
    """One process that serves, and what its parent knows about it."""

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        self.report, reporting = connection.Pipe(duplex=False)
        self.process: SpawnProcess = multiprocessing.get_context("spawn").Process(target=serve, args=(reporting,), daemon=False)
        self.process.start()
        reporting.close()  # so that the report ends when the process does
        self.serves = False

    def look(self) -> None:
        """Note whether it serves by now."""
        if not self.serves and self.report.poll():
            try:
                self.serves = bool(self.report.recv())
                log.info("worker %s serves", self.process.pid)
            except EOFError:
                pass  # it ended before it served

    def terminate(self) -> None:
        """Tell it to finish open requests and end."""
        if self.process.is_alive():
            self.process.terminate()


class _Workers:
    def __init__(self, start: Callable[[], _Worker], count: int, signals: _Signals) -> None:
        self._start, self._count, self._signals = start, count, signals
        self._workers: list[_Worker] = []
        self._begun, self._pause, self._not_before = False, PAUSES[0], 0.0

    def run(self) -> None:
        """Keep them running until a signal comes, or none of them serves."""
        try:
            self._workers = [self._start() for _ in range(self._count)]
            while not self._signals.ending:
                self._watch()
                self._wait(self._workers, 1.0)
        finally:
            self._end(self._workers)

    def _watch(self) -> None:
        for worker in [*self._workers]:
            worker.look()
            if not worker.process.is_alive():
                self._bury(worker)
        serving = [worker for worker in self._workers if worker.serves]
        self._begun = self._begun or len(serving) == self._count
        missing = self._count - len(self._workers)
        if missing and time.monotonic() >= self._not_before:
            self._workers += [self._start() for _ in range(missing)]
        elif self._signals.replacing and self._begun and not missing:
            self._signals.replacing = False
            self._replace()

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        code = worker.process.exitcode
        if worker.serves:
            log.error("worker %s ended with exit code %s: starting another", worker.process.pid, code)
            self._pause = PAUSES[0]
            return
        if not self._begun or not any(each.serves for each in self._workers):
            raise OffpollError(f"the API could not start: a worker ended with exit code {code}; the reason is above")
        log.error("worker %s could not start (exit code %s): trying again in %.0f s", worker.process.pid, code, self._pause)
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, PAUSES[1])

    def _replace(self) -> None:
        """Put a new process beside each one, and end the old one once the new one serves."""
        log.info("SIGHUP: replacing %d workers", len(self._workers))
        for old in [*self._workers]:
            new = self._start()
            until = time.monotonic() + START
            while new.process.is_alive() and not new.serves and not self._signals.ending and time.monotonic() < until:
                self._wait([new, *self._workers], 1.0)
                new.look()
                if not all(each.process.is_alive() for each in self._workers):  # `_watch` replaces that one
                    break
            if not new.serves:
                log.error("a new worker did not start: the old ones go on")
                self._end([new])
                return
            self._workers[self._workers.index(old)] = new
            self._end([old])

    def _wait(self, workers: Sequence[_Worker], seconds: float) -> None:
        """Wait until something happens to one of these processes, or a signal comes."""
        reports = [worker.report for worker in workers if not worker.serves]
        connection.wait([self._signals.wakeup, *reports, *(worker.process.sentinel for worker in workers)], seconds)
        try:
            self._signals.wakeup.recv(100)
        except BlockingIOError:
            pass  # no signal

    def _end(self, workers: Sequence[_Worker]) -> None:
        """End these processes. A second signal, or END seconds, kill those that do not."""
        signals, until = self._signals.ending, time.monotonic() + END
        for worker in workers:
            worker.terminate()
        while alive := [worker for worker in workers if worker.process.is_alive()]:
            if time.monotonic() >= until or self._signals.ending > max(1, signals):
                for worker in alive:
                    log.error("worker %s did not end in time: killing it", worker.process.pid)
                    worker.process.kill()
                    worker.process.join()
            else:
                connection.wait([worker.process.sentinel for worker in alive], 0.2)
        for worker in workers:
            worker.report.close()


def _serve(make: Make, reporting: Connection, *, listener: socket.socket, log_level: str, options: dict[str, Any]) -> None:
    """Serve, in a process of its own."""
    configure(log_level)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's goes to the parent too, which replaces this process
    try:
        _server(make, partial(reporting.send, True), options).run(sockets=[listener])
    except OffpollError as error:
        log.error("%s", error)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        pass  # uvicorn has ended cleanly, and raised the signal again


def _end_with_parent() -> None:
    """End when the parent has ended: nobody else would end this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END)
        os._exit(FAILED)


def _server(make: Make, started: Callable[[], None], options: dict[str, Any]) -> uvicorn.Server:
    import uvicorn

    from offpoll.http.direct import DirectProtocol

    fixed: dict[str, Any] = {"interface": "asgi3", "http": DirectProtocol, "access_log": False, "log_config": None, "server_header": False}
    return uvicorn.Server(
        uvicorn.Config(partial(make, started), factory=True, proxy_headers=False, timeout_graceful_shutdown=GRACE, **fixed, **options)
    )
