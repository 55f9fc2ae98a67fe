"""Evaluates the template as CloudFormation does after SAM's translation, with the intrinsics resolved for given parameters.

So tests can check each resource's properties without an account. ARNs are those of a made-up account. A resource's name is its logical id,
unless the test gives another.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import SimpleNamespace
from typing import Any
from unittest import mock

from samtranslator.yaml_helper import yaml_parse

ACCOUNT, REGION = "123456789012", "eu-west-1"

#: The parameters without a default.
NEEDED = {"App": "orders:app", "CodeBucket": "code", "CodeKey": "app.zip"}

#: Every option at once.
EVERYTHING = {
    "AllowedCidrs": "203.0.113.0/24,2001:db8::/32",
    "AllowedVpcEndpoints": "vpce-0a,vpce-0b",
    "ClientRoleArns": "arn:aws:iam::123456789012:role/client",
    "CorsOrigins": "https://shop.example.com,https://example.com",
    "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1234",
    "AccessLogs": "true",
    "Tracing": "true",
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
    "DomainName": "api.example.com",
    "CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/1234",
    "HostedZoneId": "Z123",
    "TransitionClass": "STANDARD_IA",
    "TransitionSize": 1048576,
    "RetentionDays": 90,
}

_PSEUDO = {"AWS::Region": REGION, "AWS::Partition": "aws", "AWS::StackName": "orders"}

_NOTHING = object()

_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{{account}}:{{name}}",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{{account}}:table/{{name}}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{{account}}:function:{{name}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{{account}}:log-group:{{name}}:*",
}


def text() -> str:
    """Return the text of the shipped template."""
    return (files("offpoll") / "aws" / "template.yaml").read_text()


@functools.cache
def _source() -> str:
    return json.dumps(yaml_parse(text()))


def source() -> dict[str, Any]:
    """Return the template before SAM's translation."""
    found: dict[str, Any] = json.loads(_source())
    return found


@functools.cache
def _translated() -> str:
    from samtranslator.translator.transform import transform  # takes a second, which collecting tests should not pay

    with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": REGION}):
        return json.dumps(transform(source(), {}, SimpleNamespace(load=dict)))


def translated() -> dict[str, Any]:
    """Return the template after SAM's translation."""
    found: dict[str, Any] = json.loads(_translated())
    return found


def resources(*, names: Mapping[str, str] | None = None, account: str = ACCOUNT, **parameters: Any) -> dict[str, Any]:
    """Return the resources of a stack with these parameters. `names` are physical names by logical id."""
    return _Stack(translated(), parameters={**NEEDED, **parameters}, names=names or {}, account=account).resources()


def refusals(**parameters: Any) -> list[str]:
    """Return the descriptions of the template's rules that these parameters break."""
    stack = _Stack(translated(), parameters={**NEEDED, **parameters}, names={}, account=ACCOUNT)
    applying = [rule for rule in stack.template["Rules"].values() if stack.resolve(rule["RuleCondition"])]
    asserted = [each for rule in applying for each in rule["Assertions"]]
    return [each["AssertDescription"] for each in asserted if not stack.resolve(each["Assert"])]


def statements(role: str, **options: Any) -> list[dict[str, Any]]:
    """Return all statements for a role: from the policies inside it, and from those that name it."""
    found = resources(**options)
    documents = [each["PolicyDocument"] for each in found[role]["Properties"]["Policies"]]
    name = (options.get("names") or {}).get(role, role)
    apart = [each["Properties"] for each in found.values() if each["Type"] == "AWS::IAM::Policy"]
    documents += [each["PolicyDocument"] for each in apart if name in each["Roles"]]
    return [statement for document in documents for statement in document["Statement"]]


def values(parameter: str) -> list[Any]:
    """Return the allowed values of a parameter."""
    allowed: list[Any] = source()["Parameters"][parameter]["AllowedValues"]
    return allowed


def properties(name: str, **parameters: Any) -> dict[str, Any]:
    """Return a resource's properties in a stack with these parameters."""
    found: dict[str, Any] = resources(**parameters)[name]["Properties"]
    return found


def of_type(kind: str, **parameters: Any) -> dict[str, dict[str, Any]]:
    """Return the properties of all resources of a type, by logical id."""
    return {name: each["Properties"] for name, each in resources(**parameters).items() if each["Type"] == kind}


def environment_of(function: str, **parameters: Any) -> dict[str, str]:
    """Return a function's environment variables."""
    found: dict[str, str] = properties(function, **parameters)["Environment"]["Variables"]
    assert all(isinstance(each, str) for each in found.values())
    return found


def rules(bucket: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return a bucket's lifecycle rules."""
    found: list[dict[str, Any]] = properties(bucket, **parameters)["LifecycleConfiguration"]["Rules"]
    return found


def expiry(bucket: str, **parameters: Any) -> dict[str, Any]:
    """Return the rule by which a bucket's objects expire."""
    (rule,) = [each for each in rules(bucket, **parameters) if "ExpirationInDays" in each]
    return rule


@dataclass
class _Stack:
    template: Mapping[str, Any]
    parameters: Mapping[str, Any]
    names: Mapping[str, str]
    account: str
    _conditions: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.parameters) - set(self.template["Parameters"])
        assert not unknown, unknown
        defaults = {name: each["Default"] for name, each in self.template["Parameters"].items() if "Default" in each}
        self.parameters = {name: str(value) for name, value in {**defaults, **self.parameters}.items()}

    def resources(self) -> dict[str, Any]:
        found = copy.deepcopy(dict(self.template["Resources"]))
        return {
            name: {**each, "Properties": self.resolve(each.get("Properties", {}))}
            for name, each in found.items()
            if "Condition" not in each or self.holds(each["Condition"])
        }

    def holds(self, condition: str) -> bool:
        if condition not in self._conditions:
            self._conditions[condition] = self.resolve(self.template["Conditions"][condition])
        return self._conditions[condition]

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in (self.resolve(each) for each in value) if each is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref" or name.startswith("Fn::"):
                return getattr(self, "_" + name.removeprefix("Fn::").lower())(argument)
        resolved = {name: self.resolve(each) for name, each in value.items()}
        return {name: each for name, each in resolved.items() if each is not _NOTHING}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name == "AWS::AccountId":
            return self.account
        if name in _PSEUDO:
            return _PSEUDO[name]
        return self.parameters[name] if name in self.parameters else self.names.get(name, name)

    def _getatt(self, path: Any) -> str:
        name, attribute = path if isinstance(path, list) else path.split(".", 1)
        kind = self.template["Resources"][name]["Type"]
        if attribute == "Arn":
            return _ARNS[kind].format(account=self.account, name=self.names.get(name, name))
        return self.names.get(name, name) if attribute == "QueueName" else f"{name}.{attribute}"

    def _sub(self, pattern: str) -> str:
        def one(match: re.Match[str]) -> str:
            return self._getatt(match[1]) if "." in match[1] else str(self._ref(match[1]))

        return re.sub(r"\$\{([^}]+)\}", one, pattern)

    def _if(self, arguments: Any) -> Any:
        return self.resolve(arguments[1 if self.holds(arguments[0]) else 2])

    def _findinmap(self, arguments: Any) -> Any:
        name, first, second = (self.resolve(each) for each in arguments)
        return self.template["Mappings"][name][str(first)][second]

    def _split(self, arguments: Any) -> list[str]:
        separator, joined = arguments
        return str(self.resolve(joined)).split(separator)

    def _equals(self, arguments: Any) -> bool:
        left, right = (str(self.resolve(each)) for each in arguments)
        return left == right

    def _not(self, arguments: Any) -> bool:
        return not self.resolve(arguments[0])

    def _and(self, arguments: Any) -> bool:
        return all(self.resolve(arguments))

    def _or(self, arguments: Any) -> bool:
        return any(self.resolve(arguments))

    def _contains(self, arguments: Any) -> bool:
        several, one = (self.resolve(each) for each in arguments)
        return one in several
