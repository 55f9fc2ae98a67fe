"""The template's parameters: reads the given ones, checks their values, and checks the app's kinds against the resulting limits.

All of that happens before the first call to AWS. CloudFormation checks values later too, and the template's rules, but not CIDR blocks.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any

import yaml

from offpoll.errors import ConfigurationError
from offpoll.kind import Kind
from offpoll.work.batch import RESERVE

__all__ = ["BODY_LIMIT", "MARKS", "OURS", "Template", "check_limits", "read_assignments"]

#: Parameters that `offpoll deploy` fills in itself.
OURS = ("App", "CodeBucket", "CodeKey")

#: Parameters that mark a stack as made from this template, or from an earlier version.
MARKS = frozenset({*OURS, "LatenessWeight"})

#: Most bytes of a template that a request can carry. A larger one would have to be in a bucket.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
BODY_LIMIT = 51_200


class _Loader(yaml.SafeLoader):
    """Reads YAML and ignores the values that CloudFormation's tags mark."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


class Template:
    """The template of this version of offpoll."""

    @cached_property
    def body(self) -> str:
        """The text that CloudFormation gets."""
        return (files("offpoll") / "aws" / "template.yaml").read_text(encoding="utf-8")

    @cached_property
    def _source(self) -> Mapping[str, Any]:
        source: Mapping[str, Any] = yaml.load(self.body, _Loader)  # noqa: S506 - it is a SafeLoader
        return source

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The declarations of the parameters, by name."""
        parameters: Mapping[str, Mapping[str, Any]] = self._source["Parameters"]
        return parameters

    def retained(self) -> frozenset[str]:
        """Return the logical ids of the resources that outlive their stack."""
        found = self._source["Resources"].items()
        return frozenset(name for name, each in found if each.get("DeletionPolicy", "Delete") != "Delete")

    def value(self, name: str, *, given: Mapping[str, str], before: Mapping[str, str]) -> str:
        """Return the value that a parameter will have: the given one, else the stack's, else the default."""
        return given.get(name, before.get(name, str(self.parameters[name].get("Default", ""))))

    def check(self, given: Mapping[str, str]) -> None:
        """Refuse unknown parameters and unusable values.

        Raises:
            ConfigurationError: there is no such parameter, or it cannot have that value.
        """
        for name, value in given.items():
            if name not in self.parameters:
                raise ConfigurationError(_unknown(name, self.parameters))
            fault = _fault(self.parameters[name], value) or (_address_fault(value) if name == "AllowedCidrs" else "")
            if fault:
                raise ConfigurationError(f"parameter {name} cannot be {value!r}: {fault}")


def read_assignments(given: list[str]) -> dict[str, str]:
    """Read parameters from the command line: `Name=value`.

    Raises:
        ConfigurationError: an argument does not have that form, or its parameter is given twice or filled in by the command.
    """
    values: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"{each!r} sets no parameter: write Name=value, for example WorkerTimeout=300")
        if name in values:
            raise ConfigurationError(f"parameter {name} is given twice")
        if name in OURS:
            raise ConfigurationError(f"parameter {name} follows from what is deployed, and cannot be given")
        values[name] = value
    return values


def check_limits(kinds: Iterable[Kind], *, worker_timeout: int, most_attempts: int) -> None:
    """Refuse kinds that the stack cannot serve. A kind without its own limit gets the stack's.

    Args:
        kinds: the app's kinds, as registered.
        worker_timeout: seconds that the worker function may run.
        most_attempts: attempts that the queue allows for. After those receives and some spare ones, a message becomes a dead letter.

    Raises:
        ConfigurationError: names the kind, and the parameter to change.
    """
    for kind in kinds:
        longest = worker_timeout - int(RESERVE)
        if "timeout" in kind.said and kind.timeout > longest:
            raise ConfigurationError(
                f"the timeout of {kind.name!r} is {kind.timeout:g} s, but the worker function ends after {worker_timeout} s and keeps "
                f"{RESERVE:g} s for itself: give the kind at most {longest} s, or a larger parameter WorkerTimeout (Lambda's limit is 900)"
            )
        if "attempts" in kind.said and kind.attempts > most_attempts:
            raise ConfigurationError(
                f"{kind.name!r} has {kind.attempts} attempts, but the queue is made for {most_attempts}: set parameter MostAttempts to "
                f"{kind.attempts} or more"
            )


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    settable = sorted(set(known) - set(OURS))
    near = {each.lower(): each for each in settable}
    close = difflib.get_close_matches(name.lower(), near, n=1)
    meant = f"; did you mean {near[close[0]]}?" if close else ""
    return f"there is no parameter {name!r}{meant or '.'} There are: {', '.join(settable)}"


def _fault(declared: Mapping[str, Any], value: str) -> str:
    """Return what is wrong with a value, by the parameter's declaration; empty if nothing is."""
    allowed = [str(each) for each in declared.get("AllowedValues", ())]
    if allowed:
        return "" if value in allowed else f"one of {', '.join(allowed)}"
    if declared["Type"] == "Number":
        return _number_fault(declared, value)
    pattern = declared.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(str(pattern), value):
        return str(declared.get("ConstraintDescription", f"it must match {pattern}"))
    if len(value) < int(declared.get("MinLength", 0)):
        return "it must not be empty"
    return ""


def _number_fault(declared: Mapping[str, Any], value: str) -> str:
    least, most = declared.get("MinValue"), declared.get("MaxValue")
    bounds = " ".join([f"from {least}"] * (least is not None) + [f"to {most}"] * (most is not None))
    try:
        number = float(value)
    except ValueError:
        return f"it must be a number {bounds}".rstrip()
    inside = (least is None or number >= float(least)) and (most is None or number <= float(most))
    return "" if inside else f"it must be {bounds}"


def _address_fault(value: str) -> str:
    """Return which block is invalid; empty if none is.

    The declaration's pattern allows 203.0.113.7/24, and S3 would refuse the whole policy in the middle of a deployment.
    """
    for block in filter(None, value.split(",")):
        try:
            ipaddress.ip_network(block)
        except ValueError:
            try:
                around = ipaddress.ip_interface(block)
            except ValueError:
                return f"{block} is not a block of addresses; write it as 203.0.113.0/24 or 2001:db8::/32"
            return f"{block} has bits set beyond its prefix; write {around.network} or {around.ip}/{around.max_prefixlen}"
    return ""
