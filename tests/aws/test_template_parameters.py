"""The values that the template's parameters accept, and those it refuses before anything is created, with advice."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.cloudformation import EVERYTHING, NEEDED, REGION, refusals, source, text, values
from tests.support.servers import Server

from offpoll.document import MAX_BYTES
from offpoll.lateness import read_weight

ROLE = "arn:aws:iam::123456789012:role"

TAKEN = {
    "App": ["orders:app", "shop.orders:app"],
    "CorsOrigins": ["", "*", "https://shop.example.com", "http://localhost:3000,https://a.example"],
    "AllowedCidrs": ["", "203.0.113.255/24", "0.0.0.0/0", "2001:db8::/32,10.0.0.0/8,::/0"],
    "AllowedVpcEndpoints": ["", "vpce-0123456789abcdef0", "vpce-0a,vpce-0b"],
    "ClientRoleArns": [
        "",
        "arn:aws:iam::123456789012:role/path/client",
        "arn:aws-cn:iam::123456789012:role/a,arn:aws:iam::123456789012:role/b",
    ],
    "KmsKeyArn": ["", "arn:aws:kms:eu-west-1:123456789012:key/mrk-12ab"],
    "AlarmTopicArn": ["", "arn:aws:sns:eu-west-1:123456789012:alarms"],
    "DomainName": ["", "api.example.com"],
    "HostedZoneId": ["", "Z0123ABC"],
    "LatenessWeight": ["4", "0.5", "30/duration"],
}

REFUSED = {
    "App": ["", "orders", "orders:", "orders:app:x"],
    "CorsOrigins": ["shop.example.com", "https://shop.example.com/path", "https://a.example, https://b.example"],
    "AllowedCidrs": [
        "203.0.113.0",
        "203.0.113.0/33",
        "203.0.256.0/24",
        "2001:db8::/129",
        "everybody",
        "10.0.0.0/8,",
        "10.0.0.0/8 192.168.0.0/16",
    ],
    "AllowedVpcEndpoints": ["vpc-0a", "vpce-"],
    "ClientRoleArns": ["*", "arn:aws:iam::123456789012:user/somebody", "arn:aws:iam::123456789012:role/*"],
    "KmsKeyArn": ["alias/mine", "arn:aws:kms:eu-west-1:123456789012:alias/mine"],
    "AlarmTopicArn": ["alarms"],
    "DomainName": ["https://api.example.com", "api.example.com.", "api"],
    "HostedZoneId": ["example.com"],
    "LatenessWeight": ["", "many", "30/second", "-1"],
}


@pytest.mark.parametrize("name", TAKEN)
def test_valid_values(name: str) -> None:
    """A parameter accepts no value, one, and several if it is a list."""
    pattern = source()["Parameters"][name]["AllowedPattern"]
    assert [each for each in TAKEN[name] if not re.fullmatch(pattern, each)] == []


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_values(name: str) -> None:
    """A parameter refuses an invalid value, and its constraint describes a valid one."""
    parameter = source()["Parameters"][name]
    assert [each for each in REFUSED[name] if re.fullmatch(parameter["AllowedPattern"], each)] == []
    assert len(parameter["ConstraintDescription"]) > 15


def test_weights_are_read_by_the_code() -> None:
    """The code reads every weight that the template accepts."""
    assert all(read_weight(each) for each in TAKEN["LatenessWeight"])
    for each in REFUSED["LatenessWeight"]:
        with pytest.raises(ValueError, match="polls"):
            read_weight(each)


def test_parameters_that_need_each_other() -> None:
    """A domain needs its certificate; a certificate, a zone or VPC endpoints alone have no effect and are refused."""
    certificate = EVERYTHING["CertificateArn"]
    assert "needs CertificateArn" in one(refusals(DomainName="api.example.com"))
    assert "have no effect without DomainName" in one(refusals(CertificateArn=certificate))
    assert "have no effect without DomainName" in one(refusals(HostedZoneId="Z1"))
    assert "without AllowedCidrs" in one(refusals(AllowedVpcEndpoints="vpce-0a"))
    assert refusals() == refusals(**EVERYTHING) == refusals(DomainName="api.example.com", CertificateArn=certificate) == []


# Storage classes


@dataclass(frozen=True, kw_only=True)
class Class:
    """The prices of a storage class in USD: a GB-month; a thousand transitions and GETs; a GB read. Days and KiB are billed minimums."""

    month: float
    days: int = 30
    kib: int = 128
    transition: float = 0.01
    get: float = 0.001
    read: float = 0.01


#: us-east-1, autumn 2026, from the S3 pricing page.
STANDARD, STANDARD_GET = 0.023, 0.0004
CLASSES = {
    "STANDARD_IA": Class(month=0.0125),
    "ONEZONE_IA": Class(month=0.01),
    "GLACIER_IR": Class(month=0.004, days=90, transition=0.02, get=0.01, read=0.03),
}

#: Intelligent-Tiering charges this per thousand objects and month, from 128 KiB on, and moves them after 30 and 90 days unread.
WATCHING, INFREQUENT, ARCHIVE = 0.0025, 0.0125, 0.004

MONTH = 365.25 / 12


def stays(size: int, days: int) -> float:
    """Return the cost of an object that stays in Standard and is read once."""
    return STANDARD * size / 2**30 * days / MONTH + STANDARD_GET / 1000


def moves(storage_class: str, size: int, days: int) -> float:
    """Return the cost of the same object if it moves after 30 days and is read once after that."""
    gigabytes, rest = size / 2**30, days - 30
    before = STANDARD * gigabytes * 30 / MONTH
    if storage_class == "INTELLIGENT_TIERING":
        watched = size >= 128 * 1024
        prices = [STANDARD if day < 30 or not watched else INFREQUENT if day < 90 else ARCHIVE for day in range(rest)]
        after = sum(prices) * gigabytes / MONTH + watched * WATCHING / 1000 * rest / MONTH
        return before + after + (0.01 + STANDARD_GET) / 1000
    price = CLASSES[storage_class]
    billed = max(size, price.kib * 1024) / 2**30
    after = price.month * billed * max(rest, price.days) / MONTH
    return before + after + (price.transition + price.get) / 1000 + price.read * gigabytes


@pytest.mark.parametrize("size", values("TransitionSize"))
@pytest.mark.parametrize("storage_class", [each for each in values("TransitionClass") if each != "none"])
def test_a_transition_is_refused_if_it_costs_more_than_it_saves(storage_class: str, size: int) -> None:
    """This holds for the smallest object that the rule moves, kept as long as a document and read once after the move."""
    for retention in values("RetentionDays"):
        days = source()["Mappings"]["Retention"][str(retention)]["DocumentDays"]
        pays = days > 30 and moves(storage_class, size, days) < stays(size, days)
        refused = refusals(TransitionClass=storage_class, TransitionSize=size, RetentionDays=retention)
        assert (refused == []) == pays, (storage_class, size, retention)


def test_documents_never_move() -> None:
    """A status document stays below every limit. The template refuses to move it, and gives the figures."""
    for storage_class in CLASSES:
        why = one(refusals(TransitionClass=storage_class, TransitionSize=MAX_BYTES, RetentionDays=365))
        assert "at most 4 KiB" in why
        years = CLASSES["STANDARD_IA"].transition / 1000 / (STANDARD * MAX_BYTES / 2**30 * 12)
        assert f"{int(years)} years" in why


# CloudFormation's rules, as an emulator applies them


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"AllowedCidrs": "203.0.113.0"}, "CIDR blocks, as 203.0.113.0/24"),
        ({"DomainName": "api.example.com"}, "DomainName needs CertificateArn"),
        ({"TransitionClass": "STANDARD_IA"}, "let documents expire"),
        ({"WorkerTimeout": "61"}, "WorkerTimeout"),
    ],
)
def test_nothing_is_created_from_a_bad_parameter(ministack_server: Server, parameters: dict[str, str], said: str) -> None:
    """The change set for an invalid value or combination is refused with advice."""
    with pytest.raises(ClientError) as caught:
        change_set(ministack_server, **parameters)
    assert said in str(caught.value)


def test_a_change_set_can_be_made(ministack_server: Server) -> None:
    """The shipped template needs only CreateChangeSet: CloudFormation does SAM's translation."""
    changes = change_set(ministack_server, **{name: str(value) for name, value in EVERYTHING.items()})
    assert len(changes) > 40


def change_set(server: Server, **parameters: str) -> list[Any]:
    """Create a change set for a new stack, which creates nothing, and return its changes."""
    keys = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    client = boto3.client("cloudformation", endpoint_url=server.origin, region_name=REGION, **keys)
    stack = f"t{uuid.uuid4().hex[:12]}"
    client.create_change_set(
        StackName=stack,
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in {**NEEDED, **parameters}.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    client.get_waiter("change_set_create_complete").wait(
        StackName=stack, ChangeSetName="first", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    changes: list[Any] = client.describe_change_set(StackName=stack, ChangeSetName="first")["Changes"]
    return changes


def one(found: list[str]) -> str:
    """Return the only item."""
    (only,) = found
    return only
