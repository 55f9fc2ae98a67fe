"""Each of the template's roles may do exactly what its code does, statement by statement."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.support.cloudformation import EVERYTHING, of_type, properties, resources, statements

DOCUMENTS = "arn:aws:s3:::Documents/status/*"
OPERATIONS, DEAD_LETTERS, PARKING = (f"arn:aws:sqs:eu-west-1:123456789012:{name}" for name in ("Operations", "DeadLetters", "Parking"))
RECORDS = "arn:aws:dynamodb:eu-west-1:123456789012:table/Records"

CONSUME = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}

EXPECTED: dict[str, dict[str, tuple[set[str], str]]] = {
    "ApiRole": {
        "Documents": ({"s3:PutObject", "s3:GetObject"}, DOCUMENTS),
        "Enqueue": ({"sqs:SendMessage", "sqs:GetQueueAttributes"}, OPERATIONS),
        "Records": ({"dynamodb:GetItem", "dynamodb:UpdateItem"}, RECORDS),
        "Signer": ({"sts:AssumeRole"}, "arn:aws:iam::123456789012:role/SignerRole"),
    },
    "WorkerRole": {
        "Documents": ({"s3:PutObject", "s3:GetObject"}, DOCUMENTS),
        "Work": (CONSUME, OPERATIONS),
        "Park": ({"sqs:SendMessage"}, PARKING),
        "Records": ({"dynamodb:GetItem", "dynamodb:UpdateItem"}, RECORDS),
    },
    "DeadLettersRole": {
        "Documents": ({"s3:PutObject", "s3:GetObject"}, DOCUMENTS),
        "Settle": (CONSUME, DEAD_LETTERS),
        "EnqueueAgain": ({"sqs:SendMessage"}, OPERATIONS),
        "Park": ({"sqs:SendMessage"}, PARKING),
        "Records": ({"dynamodb:GetItem", "dynamodb:UpdateItem"}, RECORDS),
    },
    "SignerRole": {"Documents": ({"s3:GetObject"}, DOCUMENTS)},
}

LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}


def granted(role: str, **parameters: Any) -> dict[str, tuple[set[str], Any]]:
    """Return a role's statements by their ids."""
    found = statements(role, **parameters)
    assert all(set(each) == {"Sid", "Effect", "Action", "Resource"} and each["Effect"] == "Allow" for each in found)
    by_id = {each["Sid"]: (actions(each), each["Resource"]) for each in found}
    assert len(by_id) == len(found)
    return by_id


def actions(statement: dict[str, Any]) -> set[str]:
    """Return a statement's actions."""
    said = statement["Action"]
    return {said} if isinstance(said, str) else set(said)


@pytest.mark.parametrize("role", EXPECTED)
def test_a_role_may_do_what_its_code_does(role: str) -> None:
    """A function's role may also write the function's own log."""
    log = {} if role == "SignerRole" else {"Log": (LOG, f"arn:aws:logs:eu-west-1:123456789012:log-group:{role.removesuffix('Role')}Log:*")}
    assert granted(role) == {**EXPECTED[role], **log}


@pytest.mark.parametrize("role", EXPECTED)
def test_options_add_what_they_need(role: str) -> None:
    """A KMS key adds the calls of a bucket's readers and writers; tracing adds X-Ray's two verbs, which know no resource."""
    added = {sid: each for sid, each in granted(role, **EVERYTHING).items() if sid not in granted(role)}
    if role == "SignerRole":
        assert added == {"Key": ({"kms:Decrypt"}, EVERYTHING["KmsKeyArn"])}
    else:
        assert added == {
            "Key": ({"kms:GenerateDataKey", "kms:Decrypt"}, EVERYTHING["KmsKeyArn"]),
            "Trace": ({"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, "*"),
        }


def test_there_are_no_other_roles_and_no_managed_policies() -> None:
    """AWS's managed policies allow logs, and more, everywhere."""
    roles = of_type("AWS::IAM::Role", **EVERYTHING)
    assert set(roles) == set(EXPECTED)
    assert not any("ManagedPolicyArns" in each for each in roles.values())
    assert {each["Role"].rpartition("/")[2] for each in of_type("AWS::Lambda::Function").values()} == set(EXPECTED) - {"SignerRole"}


def test_nobody_lists_deletes_or_may_do_everything() -> None:
    """Without s3:ListBucket a missing document looks like a forbidden one. The only `*` is X-Ray's."""
    for role in EXPECTED:
        for sid, (allowed, resource) in granted(role, **EVERYTHING).items():
            assert not [each for each in allowed if re.search(r"List|\*|Scan|Query", each)]
            assert not [each for each in allowed if "Delete" in each and each != "sqs:DeleteMessage"]
            assert isinstance(resource, str)
            assert resource != "*" or sid == "Trace"


def test_only_the_api_may_be_the_signer() -> None:
    """Only Lambda may assume the functions' roles."""
    trusted = {name: each["AssumeRolePolicyDocument"]["Statement"] for name, each in of_type("AWS::IAM::Role").items()}
    signer = trusted.pop("SignerRole")
    assert signer == [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/ApiRole"}, "Action": "sts:AssumeRole"}]
    served = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    assert all(each == [served] for each in trusted.values())


# The bucket's policy


def bucket_policy(**parameters: Any) -> dict[str, dict[str, Any]]:
    """Return the statements of the documents' bucket by their ids."""
    return {each["Sid"]: each for each in properties("DocumentsPolicy", **parameters)["PolicyDocument"]["Statement"]}


def test_the_bucket_only_refuses() -> None:
    """The bucket's policy grants nobody anything, even by mistake."""
    for parameters in ({}, EVERYTHING):
        assert {each["Effect"] for each in bucket_policy(**parameters).values()} == {"Deny"}


def test_the_bucket_refuses_unsafe_requests() -> None:
    """Plain HTTP, declared or not; TLS before 1.2; SigV2; signatures older than any link: refused to everybody, for everything."""
    found = bucket_policy(LinkLifetime=600)
    assert {sid: each["Condition"] for sid, each in found.items()} == {
        "TlsOnly": {"Bool": {"aws:SecureTransport": "false"}},
        "TlsOnlyWhereUnsaid": {"Null": {"aws:SecureTransport": "true"}},
        "Tls12": {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        "SignatureVersion4Only": {"StringEquals": {"s3:signatureversion": "AWS"}},
        "NoOldSignatures": {"NumericGreaterThan": {"s3:signatureAge": "600000"}},
    }
    for each in found.values():
        assert (each["Principal"], each["Action"]) == ("*", "s3:*")
        assert each["Resource"] == ["arn:aws:s3:::Documents", "arn:aws:s3:::Documents/*"]


def test_addresses_are_refused_to_readers_only() -> None:
    """The allow-list applies to the roles of the signer and the clients, because our own functions' addresses are unknown."""
    assert "AllowedAddresses" not in bucket_policy()
    found = bucket_policy(AllowedCidrs="203.0.113.0/24")["AllowedAddresses"]
    assert found["Principal"] == {"AWS": "arn:aws:iam::123456789012:role/SignerRole"}
    assert (found["Action"], found["Resource"]) == ("s3:GetObject", DOCUMENTS)
    assert found["Condition"] == {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}


def test_addresses_and_vpc_endpoints_are_alternatives() -> None:
    """A request is refused only if it has neither a listed address nor a listed endpoint."""
    found = bucket_policy(**EVERYTHING)["AllowedAddresses"]
    assert found["Principal"] == {"AWS": ["arn:aws:iam::123456789012:role/SignerRole", "arn:aws:iam::123456789012:role/client"]}
    assert found["Condition"] == {
        "NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]},
        "StringNotEquals": {"aws:SourceVpce": ["vpce-0a", "vpce-0b"]},
    }


def test_only_s3_writes_access_logs() -> None:
    """S3 writes the logs of this bucket, from this account, over TLS."""
    refused, admitted = resources(AccessLogs="true")["AccessLogBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (refused["Effect"], refused["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (admitted["Principal"], admitted["Action"]) == ({"Service": "logging.s3.amazonaws.com"}, "s3:PutObject")
    assert admitted["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:s3:::Documents"},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }
