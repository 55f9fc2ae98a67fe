"""Reads a compose file: fills in the variables, and tells which environment a service gets. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["environment", "interpolate", "read_variables"]

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<rest>[^}]*))?\}")


def read_variables(text: str) -> dict[str, str]:
    """Read a file of variables without quotes, as compose's --env-file and systemd's EnvironmentFile accept it."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def interpolate(text: str, variables: Mapping[str, str]) -> Any:
    """Return the parsed file with the variables filled in.

    Raises:
        KeyError: a required variable (`:?`) is not set. It has the name, and the file's message.
    """
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))

    def fill(match: re.Match[str]) -> str:
        value = variables.get(match["name"], "")
        if match["how"] == ":?" and not value:
            raise KeyError(match["name"], match["rest"])
        return value or (match["rest"] if match["how"] == ":-" else "")

    return yaml.safe_load(_VARIABLE.sub(fill, code))


def environment(service: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a service's container. A variable without a value is passed on if it is set, and otherwise left out."""
    given = service.get("environment", {})
    return {name: variables[name] if value is None else value for name, value in given.items() if value is not None or name in variables}
