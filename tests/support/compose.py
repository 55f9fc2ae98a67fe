"""A compose file as tests read it: variables filled in, merged, with what each service is given. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["environment", "interpolate", "read_variables"]

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<rest>[^}]*))?\}")


def read_variables(text: str) -> dict[str, str]:
    """Read a file of variables, as compose's --env-file and systemd's EnvironmentFile take it, without quotes."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def interpolate(text: str, variables: Mapping[str, str]) -> Any:
    """Return the file with the variables filled in.

    Raises:
        KeyError: a variable that is needed (`:?`) is not set; it has its name and what the file says of it.
    """
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))

    def fill(match: re.Match[str]) -> str:
        value = variables.get(match["name"], "")
        if match["how"] == ":?" and not value:
            raise KeyError(match["name"], match["rest"])
        return value or (match["rest"] if match["how"] == ":-" else "")

    return yaml.safe_load(_VARIABLE.sub(fill, code))


def environment(service: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """Return what a service's container is given: a variable without a value is handed on where it is set, and left out where not."""
    given = service.get("environment", {})
    return {name: variables[name] if value is None else value for name, value in given.items() if value is not None or name in variables}
