"""The template's parameters and the kinds' limits, checked before any request to AWS."""

from __future__ import annotations

from typing import Any

import pytest

from offpoll import ConfigurationError, Offpoll, Settings
from offpoll.deploy.parameters import BODY_LIMIT, MARKS, OURS, Template, check_limits, read_assignments
from offpoll.deploy.target import Target

TEMPLATE = Template()


def test_the_template_fits_into_a_request() -> None:
    """A larger template would need a bucket before the user has agreed to anything."""
    assert len(TEMPLATE.body.encode()) <= BODY_LIMIT


def test_the_template_has_what_the_command_needs() -> None:
    """The template has the parameters that the command fills in or reads, and those that mark a stack as ours."""
    assert {*OURS, *MARKS, "Runtime", "Architecture", "WorkerTimeout", "MostAttempts", "AllowedCidrs"} <= TEMPLATE.parameters.keys()
    assert set(TEMPLATE.retained()) == {"Documents", "AccessLogBucket", "Records", "Secret"}


def test_defaults_can_be_deployed() -> None:
    """No default is refused, and wheels exist for the default runtime and architecture."""
    TEMPLATE.check({name: str(each["Default"]) for name, each in TEMPLATE.parameters.items() if "Default" in each})
    target = Target(
        runtime=TEMPLATE.value("Runtime", given={}, before={}), architecture=TEMPLATE.value("Architecture", given={}, before={})
    )
    assert (target.runtime, target.machine) == ("python3.13", "aarch64")


@pytest.mark.parametrize("runtime", TEMPLATE.parameters["Runtime"]["AllowedValues"])
@pytest.mark.parametrize("architecture", TEMPLATE.parameters["Architecture"]["AllowedValues"])
def test_each_runtime_is_known(runtime: str, architecture: str) -> None:
    """Each runtime has wheel tags; every Lambda runs the oldest of them."""
    target = Target(runtime=runtime, architecture=architecture)
    assert target.platforms[-1] == f"manylinux2014_{target.machine}"
    assert (f"manylinux_2_28_{target.machine}" in target.platforms) == (runtime != "python3.11")  # Amazon Linux 2 has glibc 2.26


def test_an_unknown_parameter() -> None:
    """The error names it, suggests the nearest one, and lists all."""
    with pytest.raises(
        ConfigurationError, match=r"no parameter 'WorkerTimout'; did you mean WorkerTimeout\? There are: AccessLogs, .*CorsOrigins"
    ):
        TEMPLATE.check({"WorkerTimout": "300"})
    with pytest.raises(ConfigurationError, match=r"no parameter 'zzz'\. There are: "):
        TEMPLATE.check({"zzz": "1"})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("10.0.0.0", "CIDR blocks, as 203.0.113.0/24"),
        ("10.0.0.0/33", "CIDR blocks, as 203.0.113.0/24"),
        ("office", "CIDR blocks, as 203.0.113.0/24"),
        ("10.0.0.0/8, 10.1.0.0/16", "CIDR blocks, as 203.0.113.0/24"),
        ("999.1.1.0/24", "CIDR blocks|not a block of addresses"),
        ("2001:db8:::/32", "2001:db8:::/32 is not a block of addresses"),
        ("203.0.113.5/24", r"203\.0\.113\.5/24 has bits set beyond its prefix; write 203\.0\.113\.0/24 or 203\.0\.113\.5/32"),
        ("2001:db8::1/32", r"write 2001:db8::/32 or 2001:db8::1/128"),
    ],
)
def test_an_invalid_cidr(value: str, why: str) -> None:
    """S3 would refuse the bucket's policy in the middle of a deployment."""
    with pytest.raises(ConfigurationError, match=f"parameter AllowedCidrs cannot be .*{why}"):
        TEMPLATE.check({"AllowedCidrs": value})


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("WorkerTimeout", "90", "one of 60, 120, 180, 300, 600, 900"),
        ("WorkerConcurrency", "1", "it must be from 2 to 1000"),
        ("WorkerConcurrency", "many", "it must be a number from 2 to 1000"),
        ("AlarmAge", "1", "it must be from 60"),
        ("Architecture", "arm", "one of arm64, x86_64"),
        ("CorsOrigins", "shop.example.com", "origins without a path"),
        ("KmsKeyArn", "alias/mine", "the ARN of a key, not of an alias"),
    ],
)
def test_an_invalid_value(name: str, value: str, why: str) -> None:
    """The parameter's own declaration refuses it and describes a valid value."""
    with pytest.raises(ConfigurationError, match=f"parameter {name} cannot be '{value}': {why}"):
        TEMPLATE.check({name: value})


@pytest.mark.parametrize("value", ["203.0.113.0/24", "203.0.113.7/32,2001:db8::/32", ""])
def test_valid_values(value: str) -> None:
    """Blocks of both kinds are valid, and so is an empty value, which removes one."""
    TEMPLATE.check({"AllowedCidrs": value, "LatenessWeight": "10", "WorkerMemory": "128"})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["WorkerTimeout"], "sets no parameter: write Name=value"),
        (["=3"], "sets no parameter"),
        (["AlarmAge=60", "AlarmAge=90"], "AlarmAge is given twice"),
        (["App=other:app"], "App follows from what is deployed"),
        (["CodeKey=x"], "CodeKey follows from what is deployed"),
    ],
)
def test_invalid_assignments(given: list[str], why: str) -> None:
    """An argument that is not Name=value, comes twice, or sets a parameter of the command's own is refused."""
    with pytest.raises(ConfigurationError, match=why):
        read_assignments(given)


def test_assignments() -> None:
    """A value may have an equals sign, or be empty."""
    assert read_assignments(["KmsKeyArn=a=b", "CorsOrigins="]) == {"KmsKeyArn": "a=b", "CorsOrigins": ""}


def test_the_order_of_values() -> None:
    """A given value beats the stack's, which beats the default."""
    assert TEMPLATE.value("WorkerTimeout", given={"WorkerTimeout": "60"}, before={"WorkerTimeout": "300"}) == "60"
    assert TEMPLATE.value("WorkerTimeout", given={}, before={"WorkerTimeout": "300"}) == "300"
    assert TEMPLATE.value("WorkerTimeout", given={}, before={}) == "900"


def check(*, worker_timeout: int = 300, most_attempts: int = 3, **limits: Any) -> None:
    app = Offpoll()

    @app.operation("order", **limits)
    def order(input: dict[str, Any]) -> None: ...

    check_limits(app.kinds(Settings()).values(), worker_timeout=worker_timeout, most_attempts=most_attempts)


def test_a_timeout_beyond_the_function() -> None:
    """The function keeps 30 s for itself; a kind may use the rest, to the second."""
    check(timeout=270)
    why = r"'order' is 271 s, but the worker function ends after 300 s .* at most 270 s, .* WorkerTimeout"
    with pytest.raises(ConfigurationError, match=why):
        check(timeout=271)


def test_more_attempts_than_deliveries() -> None:
    """After that number of attempts the queue makes a message a dead letter."""
    check(attempts=3)
    with pytest.raises(ConfigurationError, match="'order' has 4 attempts, but the queue is made for 3: set parameter MostAttempts to 4"):
        check(attempts=4)


def test_the_stack_limits_kinds_without_limits() -> None:
    """The template sets OFFPOLL_TIMEOUT from the function's timeout, so this machine's default does not matter."""
    check(worker_timeout=60, most_attempts=1)
