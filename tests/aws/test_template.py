"""The AWS template passes the linter after translation, and keeps promises that linters do not check."""

from __future__ import annotations

import json
import re
from typing import Any

import botocore.session
from tests.support.cloudformation import EVERYTHING, expiry, of_type, properties, resources, rules, source, text, translated

from offpoll.metrics import OPERATIONS_ENDED, EmfMetrics

# The whole template


def test_the_linter_finds_nothing_after_translation() -> None:
    """The linter checks CloudFormation's form, because SAM's form hides resources from it."""
    from cfnlint.api import ManualArgs, lint  # takes seconds, so not at every collection of tests

    found = lint(json.dumps(translated()), config=ManualArgs(regions=["eu-west-1"], include_checks=["I"]))
    assert [str(each) for each in found] == []


def test_each_suppressed_check_has_its_reason() -> None:
    """Each suppressed check of a scanner gives its reason on the resource that it concerns."""
    skips = [
        each for resource in source()["Resources"].values() for each in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skips
    assert all(re.fullmatch(r"CKV_AWS_\d+", each["id"]) and len(each["comment"]) > 30 for each in skips)


def test_cloudformation_can_read_it() -> None:
    """The template has no YAML aliases, which CloudFormation does not support, and fits into a request without a bucket."""
    assert not re.search(r"[:\-\[{,] [&*]\w|<<:", text())
    assert len(text().encode()) <= 51_200


def test_no_name_is_fixed() -> None:
    """CloudFormation names everything, so two stacks in one account never collide and a replacement never waits for a name."""
    named = {"BucketName", "QueueName", "TableName", "FunctionName", "RoleName", "LogGroupName", "AlarmName", "DashboardName"}
    own = {"ApiPermission": {"FunctionName"}, "WorkerFailures": {"LogGroupName"}, "DeadLettersFailures": {"LogGroupName"}}
    for name, each in resources(**EVERYTHING).items():
        if not each["Type"].startswith("AWS::Lambda::EventSource"):
            assert named & set(each["Properties"]) <= own.get(name, set()), name


# The bucket


def test_the_bucket_is_private_and_encrypted() -> None:
    """No grant makes the bucket public. A custom KMS key is used with a bucket key, because otherwise each poll would call KMS."""
    for name, each in of_type("AWS::S3::Bucket", AccessLogs="true").items():
        blocked = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        assert each["PublicAccessBlockConfiguration"] == dict.fromkeys(blocked, True), name
        assert each["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, name
        assert encryption(each) == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}, name
    assert encryption(properties("Documents", **EVERYTHING)) == {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": EVERYTHING["KmsKeyArn"]},
    }


def test_documents_move_only_on_request() -> None:
    """Without the parameter no rule has a transition. With it, only larger objects move, after the 30 days that S3 requires."""
    assert not [each for each in rules("Documents") if "Transitions" in each]
    moved = [each for each in rules("Documents", **EVERYTHING) if "Transitions" in each]
    assert [(each["ObjectSizeGreaterThan"], each["Transitions"]) for each in moved] == [
        ("1048576", [{"StorageClass": "STANDARD_IA", "TransitionInDays": 30}])
    ]
    for parameters in ({}, EVERYTHING):
        assert all(each["Status"] == "Enabled" for each in rules("Documents", **parameters))


def test_access_logs_are_optional_and_expire() -> None:
    """Access logs hold links, which work until they expire, so the logs expire too."""
    assert "LoggingConfiguration" not in properties("Documents")
    assert "AccessLogBucket" not in resources()
    assert properties("Documents", AccessLogs="true")["LoggingConfiguration"]["DestinationBucketName"] == "AccessLogBucket"
    assert expiry("AccessLogBucket", AccessLogs="true", LogRetentionDays=7)["ExpirationInDays"] == "7"
    assert "Prefix" not in expiry("AccessLogBucket", AccessLogs="true")


def test_browsers_are_admitted_to_both_or_to_neither() -> None:
    """Browsers poll the bucket and submit to the API, so both allow the headers that browsers send and read."""
    assert "CorsConfiguration" not in properties("Documents") | properties("Api")
    origins = ["https://shop.example.com", "https://example.com"]
    bucket = properties("Documents", **EVERYTHING)["CorsConfiguration"]["CorsRules"]
    assert [(each["AllowedOrigins"], each["AllowedMethods"]) for each in bucket] == [(origins, ["GET"])]
    assert bucket[0]["AllowedHeaders"] == ["if-none-match"]
    assert {"ETag", "Date"} <= set(bucket[0]["ExposedHeaders"])
    api = properties("Api", **EVERYTHING)["CorsConfiguration"]
    assert (api["AllowOrigins"], api["AllowMethods"]) == (origins, ["GET", "POST"])
    assert {"content-type", "idempotency-key", "authorization"} <= set(api["AllowHeaders"])
    assert {"location", "retry-after", "etag", "date"} <= set(api["ExposeHeaders"])


# Queues, table, functions, API


def test_queues_are_encrypted() -> None:
    """SQS itself encrypts the queues."""
    assert all(each["SqsManagedSseEnabled"] is True for each in of_type("AWS::SQS::Queue").values())


def test_the_table_is_as_the_code_uses_it() -> None:
    """The table has the code's key and TTL attribute, is billed on demand, and can be restored after a mistake."""
    table = properties("Records")
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "id", "AttributeType": "S"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_data_outlives_its_stack() -> None:
    """Deleting or replacing a stack keeps documents, records and the secret; a stack that was never complete leaves nothing behind."""
    for name in ("Documents", "Records", "Secret"):
        kept = resources()[name]
        assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain"), name


def test_functions_are_fed_by_their_queues() -> None:
    """One failed message does not fail its batch, and workers do not use up the account's concurrency."""
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    found = {each["FunctionName"]: (each["EventSourceArn"].rpartition(":")[2], int(each["BatchSize"])) for each in mappings}
    assert found == {"WorkerFunction": ("Operations", 1), "DeadLettersFunction": ("DeadLetters", 10)}
    assert all(each["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for each in mappings)
    assert {each["ScalingConfig"]["MaximumConcurrency"] for each in mappings} == {10, 2}
    many = properties("WorkerFunctionOperations", WorkerConcurrency=25, BatchSize=5)
    assert (many["ScalingConfig"], many["BatchSize"]) == ({"MaximumConcurrency": "25"}, "5")


def test_functions_are_made_from_one_zip() -> None:
    """Each function has its entry point, architecture and runtime, and a separate role and log."""
    functions = of_type("AWS::Lambda::Function", CodeBucket="bucket", CodeKey="key", Runtime="python3.13", Architecture="x86_64")
    assert {each["Handler"] for each in functions.values()} == {f"offpoll.functions.{name}" for name in ("api", "worker", "dead_letters")}
    for name, each in functions.items():
        assert (each["Code"], each["Runtime"], each["Architectures"]) == ({"S3Bucket": "bucket", "S3Key": "key"}, "python3.13", ["x86_64"])
        own = name.removesuffix("Function")
        assert (each["Role"].rpartition("/")[2], each["LoggingConfig"]) == (f"{own}Role", {"LogGroup": f"{own}Log"})
        assert each["TracingConfig"] == {"Mode": "PassThrough"}
        assert properties(name, Tracing="true")["TracingConfig"] == {"Mode": "Active"}


def test_the_runtimes_are_lambdas_pythons() -> None:
    """The runtimes are all of the pinned SDK's Pythons from 3.11 on; test_pythons.py tests the default. arm64 is cheaper than x86_64."""
    known = botocore.session.get_session().get_service_model("lambda").shape_for("Runtime").enum
    pythons = {each for each in known if each.startswith("python3.") and int(each.rpartition(".")[2]) >= 11}
    assert set(source()["Parameters"]["Runtime"]["AllowedValues"]) == pythons
    assert source()["Parameters"]["Architecture"]["Default"] == "arm64"


def test_logs_expire() -> None:
    """Without a retention a log group is kept, and billed, for ever."""
    groups = of_type("AWS::Logs::LogGroup", AccessLogs="true", LogRetentionDays=7)
    assert set(groups) == {"ApiLog", "WorkerLog", "DeadLettersLog", "AccessLog"}
    assert all(each == {"RetentionInDays": "7"} for each in groups.values())


def test_workers_are_deployed_before_the_api() -> None:
    """Whatever a new API accepts finds workers that know it."""
    assert {"WorkerFunction", "DeadLettersFunction"} <= set(resources()["ApiFunction"]["DependsOn"])


def test_only_the_api_may_call_its_function() -> None:
    """Every path goes to the function. The permission names this API and its one route, as SAM would write it."""
    found = resources(names={"Api": "a1b2"})
    assert found["ApiIntegration"]["Properties"]["IntegrationUri"] == "arn:aws:lambda:eu-west-1:123456789012:function:ApiFunction"
    assert (found["ApiRoute"]["Properties"]["RouteKey"], found["ApiStage"]["Properties"]["StageName"]) == ("$default", "$default")
    permissions = [each["Properties"] for each in found.values() if each["Type"] == "AWS::Lambda::Permission"]
    assert permissions == [
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": "ApiFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2/*/$default",
        }
    ]
    assert properties("ApiFunction")["Timeout"] < 30  # an HTTP API waits no longer


def test_a_custom_domain_is_optional() -> None:
    """A custom domain uses TLS 1.2, and gets a DNS record only if a zone is named."""
    own = {"Domain", "DomainMapping", "DomainRecord"}
    assert not own & set(resources())
    assert own <= set(resources(**EVERYTHING))
    assert "DomainRecord" not in resources(**{**EVERYTHING, "HostedZoneId": ""})
    assert properties("Domain", **EVERYTHING)["DomainNameConfigurations"][0]["SecurityPolicy"] == "TLS_1_2"


# Alarms


def test_there_is_an_alarm_for_what_needs_somebody() -> None:
    """Parked messages, old messages, old dead letters, failed operations, errors and throttles raise alarms; a quiet app raises none."""
    alarms = of_type("AWS::CloudWatch::Alarm")
    assert {(each["MetricName"], *(dimension["Value"] for dimension in each.get("Dimensions", []))) for each in alarms.values()} == {
        ("ApproximateNumberOfMessagesVisible", "Parking"),
        ("ApproximateAgeOfOldestMessage", "Operations"),
        ("ApproximateAgeOfOldestMessage", "DeadLetters"),
        ("FailedOperations",),
        ("Errors", "WorkerFunction"),
        ("Throttles", "ApiFunction"),
        ("Throttles", "WorkerFunction"),
    }
    assert all(each["TreatMissingData"] == "notBreaching" for each in alarms.values())
    assert not any("AlarmActions" in each for each in alarms.values())
    told = of_type("AWS::CloudWatch::Alarm", **EVERYTHING).values()
    assert all(each["AlarmActions"] == [EVERYTHING["AlarmTopicArn"]] for each in told)


def test_failed_operations_are_counted_from_the_log() -> None:
    """The filters match the functions' metrics and store them under the name that the alarm reads."""
    lines: list[str] = []
    EmfMetrics(lines.append).count(OPERATIONS_ENDED, kind="order", status="failed")
    (line,) = [json.loads(each) for each in lines]
    alarm = properties("FailedOperationsAlarm")
    for each in of_type("AWS::Logs::MetricFilter").values():
        ((name, status),) = re.findall(r'^\{ \(\$\.(\w+) = \*\) && \(\$\.status = "(\w+)"\) \}$', each["FilterPattern"])
        (counted,) = each["MetricTransformations"]
        assert (line[name], line["status"]) == (1, status)
        assert counted["MetricValue"] == f"$.{name}"
        assert (counted["MetricNamespace"], counted["MetricName"]) == (alarm["Namespace"], alarm["MetricName"])
    assert {each["LogGroupName"] for each in of_type("AWS::Logs::MetricFilter").values()} == {"WorkerLog", "DeadLettersLog"}


def test_the_dashboard_can_be_read() -> None:
    """The dashboard is valid JSON without placeholders."""
    body = properties("Dashboard")["DashboardBody"]
    widgets = json.loads(body)["widgets"]
    assert "${" not in body
    assert len({each["properties"]["title"] for each in widgets}) == len(widgets) >= 6
    assert len({(each["x"], each["y"]) for each in widgets}) == len(widgets)


def encryption(bucket: dict[str, Any]) -> Any:
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    return rule
