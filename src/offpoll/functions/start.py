"""Starting a function: from the environment's variables to what Lambda's runtime calls.

Decides what is made for each entry point. Only the API has what submitting needs: the secret, and the role that signs links. Each imports
only its own side, late: a cold start waits for every module.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offpoll.dependencies import Dependencies
from offpoll.functions.environment import Environment, Function
from offpoll.log_lines import JsonLines
from offpoll.service import Offpoll, Service, lifetime
from offpoll.settings import Settings
from offpoll.wiring import dependencies, load_app

if TYPE_CHECKING:
    from offpoll.work.batch import Batches

__all__ = ["start"]


def start(name: str, *, environ: Mapping[str, str]) -> Function:
    """Make an entry point.

    Args:
        name: `api`, `worker` or `dead_letters`.
        environ: the environment's variables. Counts are written for CloudWatch unless OFFPOLL_METRICS says otherwise.

    Raises:
        ConfigurationError: a setting is missing or wrong, or the service cannot be imported.
    """
    log_as_json(environ)
    settings = Settings.load(environ={"OFFPOLL_METRICS": "emf", **environ})
    settings.need("app")
    app = load_app(settings.app)
    made = _Made(app=app, settings=settings, dependencies=dependencies(settings, environ=environ, links=name == "api"))
    return {"api": made.api, "worker": made.worker, "dead_letters": made.dead_letters}[name]()


def log_as_json(environ: Mapping[str, str]) -> None:
    """Let every line of the log be JSON. The runtime's own handler stays, where there is one: it frames lines, so that none is cut."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stderr))
    for handler in root.handlers:
        handler.setFormatter(JsonLines())
    level = environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()  # Lambda's logging configuration: TRACE to FATAL
    root.setLevel({"TRACE": "DEBUG"}.get(level, level if level in logging.getLevelNamesMapping() else "INFO"))


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What an entry point is made of."""

    app: Offpoll
    settings: Settings
    dependencies: Dependencies

    def api(self) -> Function:
        from offpoll.functions.answering import Answering  # noqa: PLC0415 - see the module's docstring
        from offpoll.http.endpoint import Endpoint  # noqa: PLC0415

        service = Service(self.app, settings=self.settings, dependencies=self.dependencies)
        environment = self._environment()
        service.state = environment.state
        return Answering(environment=environment, endpoint=Endpoint(service), kinds=service.kinds)

    def worker(self) -> Function:
        from offpoll.functions.consuming import Consuming  # noqa: PLC0415 - see the module's docstring

        environment = self._environment()
        return Consuming(environment=environment, queue=self.dependencies.queue, work=self._batches(environment.state).work)

    def dead_letters(self) -> Function:
        from offpoll.functions.consuming import Consuming  # noqa: PLC0415 - see the module's docstring

        environment = self._environment()
        return Consuming(environment=environment, queue=self.dependencies.dead_letters, work=self._batches(environment.state).settle)

    def _environment(self) -> Environment:
        return Environment(lifespan=self.app.running(), close=self.dependencies.close, loop=asyncio.new_event_loop())

    def _batches(self, state: Any) -> Batches:
        from offpoll.work.batch import Batches  # noqa: PLC0415 - see the module's docstring
        from offpoll.work.handle import InProcess  # noqa: PLC0415
        from offpoll.work.worker import Ambient  # noqa: PLC0415

        kinds, ambient = self.app.kinds(self.settings), Ambient()
        runner = InProcess(
            state=state,
            middleware=self.app.middleware,
            threads=self.settings.concurrency,
            result_limit=self.settings.result_limit,
            monotonic=ambient.monotonic,
        )
        return Batches(
            kinds=kinds,
            settings=self.settings,
            lifetime=lifetime(self.settings, kinds),
            dependencies=self.dependencies,
            runner=runner,
            ambient=ambient,
        )
