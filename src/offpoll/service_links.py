"""Recognises the variables that Kubernetes and Docker add to a container for other services. They are not settings.

A Service `offpoll-api` gives every pod beside it, among others:

    OFFPOLL_API_SERVICE_HOST=10.0.0.1               OFFPOLL_API_PORT=tcp://10.0.0.1:8000
    OFFPOLL_API_SERVICE_PORT=8000                   OFFPOLL_API_PORT_8000_TCP=tcp://10.0.0.1:8000
    OFFPOLL_API_SERVICE_PORT_HTTP=8000              OFFPOLL_API_PORT_8000_TCP_ADDR=10.0.0.1, …_PORT=8000, …_PROTO=tcp

Name and value must both fit, so that a mistyped setting is still refused.

Source: kubernetes.io/docs/concepts/services-networking/service/#environment-variables and docs.docker.com/engine/network/links.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["is_service_link"]

_IP, _PORT = r"[0-9.]{7,15}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", r"[0-9]{1,5}"
_URL = rf"(?:tcp|udp|sctp)://(?:\[[0-9a-fA-F:.]+\]|[0-9.]+):{_PORT}"

#: How names end, and what their values look like. Docker alone writes START and END, of a range of ports.
_FORMS = tuple(
    (re.compile(rf"[A-Z][A-Z0-9_]*_{name}").fullmatch, re.compile(value).fullmatch)
    for name, value in (
        ("SERVICE_HOST", _IP),
        ("SERVICE_PORT(?:_[A-Z0-9_]+)?", _PORT),
        ("PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_START|_END)?)?", _URL),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_PORT(?:_START|_END)?", _PORT),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_PROTO", "tcp|udp|sctp"),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_ADDR", _IP),
        ("NAME", "/[^/]+/[^/]+"),
    )
)

_DOCKERS_COPY = re.compile(r"([A-Z][A-Z0-9_]*?)_ENV_")


def is_service_link(variable: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a variable of the environment describes another service, by its name and its value."""
    value = environ[variable]
    if any(name(variable) and form(value) for name, form in _FORMS):
        return True
    copied = _DOCKERS_COPY.match(variable)  # Docker copies another container's own variables, under any name and with any value
    return copied is not None and is_service_link(f"{copied[1]}_NAME", {f"{copied[1]}_NAME": "", **environ})
