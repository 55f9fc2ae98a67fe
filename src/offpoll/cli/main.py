"""The console entry point: runs the command line, and turns offpoll's errors into one paragraph and an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

from offpoll.cli.exit_codes import FAILED, FAULT, INTERRUPTED, MISUSED, READER_GONE, UNAVAILABLE
from offpoll.cli.signals import TakenAsInterrupt
from offpoll.cli.standard_streams import Unwritable, prepare, unwritten
from offpoll.errors import ConfigurationError, DependencyRefused, DependencyUnavailable, OffpollError
from offpoll.import_faults import has_users_frames

__all__ = ["main", "run"]

#: The extra that installs each optional module.
_EXTRAS = {
    "a2wsgi": "dev",
    "boto3": "dev",
    "botocore": "aws",
    "fastapi": "server",
    "httptools": "server",
    "ministack": "dev",
    "packaging": "aws",
    "pydantic": "server",
    "rich": "cli",
    "starlette": "server",
    "typer": "cli",
    "uvicorn": "server",
    "watchfiles": "dev",
    "yaml": "aws",
}


def run() -> NoReturn:
    """Run the command line, and end the process."""
    prepare()
    signals = TakenAsInterrupt()
    code: int | str | None = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:  # a second one, while the command ended
        code = INTERRUPTED
    failure = unwritten()
    if failure is not None and code != failure.code:
        code = _unwritable(failure)
    code = signals.code(code if isinstance(code, int) else 0 if code is None else FAILED)
    sys.exit(code)


def main() -> None:
    """Run the command line."""
    try:
        from offpoll.cli.commands import app

        app(prog_name="offpoll")
    except Unwritable as error:
        sys.exit(_unwritable(error))
    except (ConfigurationError, DependencyRefused) as error:
        _end(f"offpoll: configuration error: {error}", MISUSED)
    except DependencyUnavailable as error:
        _end(f"offpoll: {error}", UNAVAILABLE)
    except OffpollError as error:
        _end(f"offpoll: {error}", FAILED)
    except KeyboardInterrupt:  # during the imports; commands handle it themselves
        _end("offpoll: interrupted", INTERRUPTED)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            _end_unexpectedly(error)
        extras = _EXTRAS[missing] if missing == "typer" else f"cli,{_EXTRAS[missing]}"
        _end(f'offpoll: this command needs {missing}, which is not installed: pip install "offpoll[{extras}]"', MISUSED)
    except Exception as error:
        _end_unexpectedly(error)


def _end(text: str, code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except Unwritable:
        pass  # `run` says so
    print(text, file=sys.stderr)
    sys.exit(code)


def _unwritable(failure: Unwritable) -> int:
    """Say that standard output cannot be written, and return the exit code. A reader who has left (`| head`) has seen enough."""
    notes = getattr(failure, "__notes__", ())
    if failure.code != READER_GONE or notes:
        print("offpoll:", ". ".join([str(failure), *notes]), file=sys.stderr)
    return failure.code


def _end_unexpectedly(error: Exception) -> NoReturn:
    """End with a traceback: the app failed, for example in its lifespan, or offpoll has a fault."""
    traceback.print_exception(error)
    if has_users_frames(error):
        _end(f"offpoll: the app failed: {type(error).__name__}; the traceback shows where", FAILED)
    _end("offpoll: this is a fault in offpoll; please report it with the traceback", FAULT)


if __name__ == "__main__":
    run()
