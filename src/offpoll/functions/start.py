"""Makes a function's entry point from the environment's variables.

Only the API gets what submitting needs: the secret, and the role that signs links. Each entry point imports only its own modules, and
late, because a cold start waits for every module.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from offpoll.app import Offpoll
from offpoll.dependencies import Dependencies
from offpoll.functions.environment import Environment, Function
from offpoll.log_lines import AboutFilter, JsonLines, TextLines
from offpoll.service import AsyncService
from offpoll.settings import Settings
from offpoll.wiring import dependencies, load_app

__all__ = ["start"]


def start(name: str, *, environ: Mapping[str, str]) -> Function:
    """Make an entry point.

    Args:
        name: `api`, `worker` or `dead_letters`.
        environ: the environment's variables. Metrics go to CloudWatch unless OFFPOLL_METRICS says otherwise.

    Raises:
        ConfigurationError: a setting is missing or wrong, or the app cannot be imported.
    """
    settle_logs(environ)
    settings = Settings.load(environ={"OFFPOLL_METRICS": "emf", "OFFPOLL_LOG_FORMAT": "json", **environ})
    settings.need("app")
    app = load_app(settings.app)
    own = dependencies(settings, environ=environ, links=name == "api")
    entry_points = _EntryPoints(app, settings, own, log_stream=environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""))
    return {"api": entry_points.api, "worker": entry_points.worker, "dead_letters": entry_points.dead_letters}[name]()


def settle_logs(environ: Mapping[str, str]) -> None:
    """Make every log line JSON, with the fields of what it is about, or text if OFFPOLL_LOG_FORMAT says so.

    Keeps the runtime's own handler, which frames records so that none is cut; it needs a line break at the end of each. If the function's
    logging configuration asks for JSON, its format stays too, because Lambda filters such lines by level.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stderr))
    for handler in root.handlers:
        if environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
            handler.addFilter(AboutFilter())
            continue
        end = "" if isinstance(handler, logging.StreamHandler) else "\n"
        if environ.get("OFFPOLL_LOG_FORMAT", "json").strip() == "text":
            handler.addFilter(AboutFilter())
            handler.setFormatter(TextLines(end=end))
        else:
            handler.setFormatter(JsonLines(end=end))
    level = environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()  # Lambda's logging configuration: TRACE to FATAL
    root.setLevel({"TRACE": "DEBUG"}.get(level, level if level in logging.getLevelNamesMapping() else "INFO"))


class _EntryPoints:
    """Makes entry points of one app."""

    def __init__(self, app: Offpoll, settings: Settings, dependencies: Dependencies, *, log_stream: str) -> None:
        self._app, self._settings, self._dependencies, self._log_stream = app, settings, dependencies, log_stream

    def api(self) -> Function:
        from offpoll.functions.http_function import HttpFunction  # noqa: PLC0415 - see the module's docstring
        from offpoll.http.endpoint import Endpoint  # noqa: PLC0415

        service = AsyncService(self._app, settings=self._settings, dependencies=self._dependencies)
        environment = self._environment(self._app.running())
        service.state = environment.state
        return HttpFunction(environment=environment, endpoint=Endpoint(service), kinds=service.kinds)

    def worker(self) -> Function:
        from offpoll.functions.batches import QueueFunction  # noqa: PLC0415 - see the module's docstring
        from offpoll.work.batch import BatchWorker  # noqa: PLC0415
        from offpoll.work.handle import InProcess  # noqa: PLC0415
        from offpoll.work.job import Ambient, claim_token  # noqa: PLC0415

        kinds, dependencies = self._app.kinds(self._settings), self._dependencies
        environment = self._environment(self._app.running())
        runner = InProcess(state=environment.state, threads=self._settings.concurrency, result_limit=self._settings.result_limit)
        # A record names the log stream of the function that holds it: that is where its lines are.
        ambient = Ambient(token=partial(claim_token, self._log_stream)) if self._log_stream else Ambient()
        batches = BatchWorker(kinds=kinds, settings=self._settings, dependencies=dependencies, runner=runner, ambient=ambient)
        return QueueFunction(environment=environment, queue=dependencies.queue, work=batches.work)

    def dead_letters(self) -> Function:
        """Make the function that settles dead letters. It runs no handler, so it does not enter the lifespan."""
        from offpoll.functions.batches import QueueFunction  # noqa: PLC0415 - see the module's docstring
        from offpoll.work.batch import DeadLetterBatchWorker  # noqa: PLC0415

        kinds, dependencies = self._app.kinds(self._settings), self._dependencies
        settling = DeadLetterBatchWorker(kinds=kinds, settings=self._settings, dependencies=dependencies)
        environment = self._environment(nullcontext())
        return QueueFunction(environment=environment, queue=dependencies.dead_letters, work=settling.settle)

    def _environment(self, lifespan: AbstractAsyncContextManager[Any]) -> Environment:
        return Environment(lifespan=lifespan, close=self._dependencies.close, loop=asyncio.new_event_loop())
