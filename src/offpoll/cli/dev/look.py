"""Finds out what an app has, in a process of its own and with the environment that its services will have.

The user's modules may connect to their stores while they are imported. `dev` itself imports none of them: it has no such environment.

    python -m offpoll.cli.dev.look       the question on stdin, the answer on stdout, both JSON
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from offpoll.app import Offpoll
from offpoll.errors import ConfigurationError, OffpollError, RequestError

__all__ = ["Found", "FoundKind", "Question", "look"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to look at. `reference` and `api` may be empty, but not both; `example` is JSON text for the first kind, or empty."""

    reference: str
    api: str = ""
    example: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundKind:
    """A kind: its name, its attempts, and an example input (JSON text), empty if there is none."""

    name: str
    attempts: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there is.

    Attributes:
        reference: of the app; empty if there is none beside an API of the user's own.
        kinds: the app's.
        interface: of the user's own API: `asgi3` or `wsgi`; empty if there is none.
    """

    reference: str
    kinds: list[FoundKind] = field(default_factory=list)
    interface: str = ""


async def look(question: Question, *, environ: Mapping[str, str]) -> Found:
    """Look, in another process.

    Raises:
        ConfigurationError: something cannot be imported, or is not what it should be.
        OffpollError: the process ended in another way; its own words are on stderr.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "offpoll.cli.dev.look"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environ,
        process_group=0,
    )
    try:
        said, _ = await process.communicate(json.dumps(asdict(question)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise OffpollError(f"the app cannot be loaded: its process ended with exit code {process.returncode}. See its output above")
    answer = json.loads(said)
    if "error" in answer:
        raise ConfigurationError(answer["error"])
    return Found(**{**answer, "kinds": [FoundKind(**each) for each in answer["kinds"]]})


def _find(question: Question) -> Found:
    from offpoll.reference import load_app, load_object
    from offpoll.settings import Settings

    interface = _interface(question.api, load_object(question.api)) if question.api else ""
    reference = question.reference or _only_app(question.api)
    if not reference:
        return Found(reference="", interface=interface)
    kinds = load_app(reference).kinds(Settings.load(environ=os.environ)).values()
    found = [FoundKind(name=each.name, attempts=each.attempts, example=_example(each)) for each in kinds]
    if question.example:
        first = next(iter(kinds))
        try:
            text = first.accept(question.example.encode())
        except RequestError as error:
            raise ConfigurationError(f"--input: {error}") from error
        found[0] = FoundKind(name=first.name, attempts=first.attempts, example=text)
    return Found(reference=reference, kinds=found, interface=interface)


def _example(kind: Any) -> str:
    from offpoll.cli.dev.example import example_input

    value = example_input(kind)
    return "" if value is None else json.dumps(value)


def _interface(reference: str, application: Any) -> str:
    """Tell how a server calls an application: by ASGI with three arguments, by WSGI with two."""
    call = application if inspect.isroutine(application) else getattr(application, "__call__", None)  # noqa: B004 - its signature
    if call is not None:
        try:
            parameters = inspect.signature(call).parameters.values()
        except (TypeError, ValueError):
            parameters = ()  # type: ignore[assignment]
        needed = [
            each for each in parameters if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
        if not inspect.isclass(application) and len(needed) in (2, 3):
            return {2: "wsgi", 3: "asgi3"}[len(needed)]
    raise ConfigurationError(
        f"{reference} is a {type(application).__name__}, and neither an ASGI nor a WSGI application: name one, such as shop:api, or a "
        f"function that makes it, such as shop:create_api"
    )


def _only_app(api: str) -> str:
    """Return the reference of the Offpoll in the API's module; empty if there is none.

    Raises:
        ConfigurationError: there are several.
    """
    from offpoll.reference import import_named, module_of

    module = module_of(api)
    names = {id(value): name for name, value in vars(import_named(module)).items() if isinstance(value, Offpoll)}
    if len(names) > 1:
        several = " or ".join(f"{module}:{name}" for name in sorted(names.values()))
        raise ConfigurationError(f"{module} has several apps: name the worker's, offpoll dev {several} --api {api}")
    return "".join(f"{module}:{name}" for name in names.values())


def main() -> None:
    """Answer the question. What the user's modules print goes to stderr."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    question = Question(**json.load(sys.stdin))
    try:
        said: dict[str, Any] = asdict(_find(question))
    except OffpollError as error:
        said = {"error": str(error)}
    with answer:
        json.dump(said, answer)
    sys.stderr.flush()
    os._exit(0)  # even if the user's modules have started threads


if __name__ == "__main__":
    main()
