"""The console entry point: runs the command line, and turns offpoll's errors into one paragraph and an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

from offpoll.cli.exit_codes import FAILED, INTERRUPTED, MISUSED
from offpoll.errors import ConfigurationError, DependencyRefused, OffpollError

__all__ = ["main", "run"]

#: The extra that installs each optional module.
_EXTRAS = {
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
    "yaml": "aws",
}


def run() -> NoReturn:
    """Run the command line, and end the process."""
    main()
    sys.exit(0)


def main() -> None:
    """Run the command line."""
    try:
        from offpoll.cli.commands import app

        app()
    except (ConfigurationError, DependencyRefused) as error:
        _end(f"offpoll: configuration error: {error}", MISUSED)
    except OffpollError as error:
        _end(f"offpoll: {error}", FAILED)
    except KeyboardInterrupt:  # during the imports; commands handle it themselves
        _end("offpoll: interrupted", INTERRUPTED)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        extras = _EXTRAS[missing] if missing == "typer" else f"cli,{_EXTRAS[missing]}"
        _end(f'offpoll: this command needs {missing}, which is not installed: pip install "offpoll[{extras}]"', MISUSED)


def _end(text: str, code: int) -> None:
    sys.stdout.flush()
    print(text, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    run()
