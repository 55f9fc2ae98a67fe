"""The shared options of `submit` and `wait`: how to reach an API, and how to read files and standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from offpoll.errors import ConfigurationError
from offpoll.json_types import refuse_constant

__all__ = ["AsJson", "Ca", "Headers", "Proxy", "Timeout", "headers_of", "json_of", "text_of"]

Headers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        "-H",
        metavar="'NAME: VALUE'",
        help="A header for the API, such as credentials; the object store never gets it. `@FILE`: one per line. Repeatable.",
        show_default=False,
    ),
]
Proxy: TypeAlias = Annotated[
    str | None, typer.Option(metavar="URL", help="A proxy for all requests, instead of HTTP_PROXY and HTTPS_PROXY.", show_default=False)
]
Ca: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FILE", help="Certificate authorities (PEM) to trust besides the system's.", show_default=False)
]
Timeout: TypeAlias = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait; `inf` for no limit.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, however the operation ends.")]


def headers_of(given: Sequence[str] | None) -> dict[str, str] | None:
    """Return the given headers, or None.

    Raises:
        ConfigurationError: a file is unreadable, or a line is no header. The message never repeats a header's value.
    """
    lines: list[str] = []
    for each in given or ():
        lines += [line for line in text_of(each[1:]).splitlines() if line.strip()] if each.startswith("@") else [each]
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ConfigurationError("a header is 'NAME: VALUE', for example 'Authorization: Bearer …'")
        headers[name.strip()] = value.strip()
    return headers or None


def json_of(data: str) -> Any:
    """Return the JSON value of `--data`: JSON itself, `@FILE`, or `-` and `@-` for standard input.

    Raises:
        ConfigurationError: the file is unreadable, or not JSON.
    """
    text = text_of(data[1:]) if data.startswith("@") else text_of("-") if data == "-" else data
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--data is not JSON: {error}") from error


def text_of(path: str) -> str:
    """Return the text of a file, or of standard input for `-`.

    Raises:
        ConfigurationError: it is unreadable.
    """
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not text in UTF-8") from error
