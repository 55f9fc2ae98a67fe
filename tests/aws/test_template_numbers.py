"""The AWS template and the code agree on every shared number: windows, timeouts, attempts and settings."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.cloudformation import EVERYTHING, environment_of, expiry, of_type, properties, source, values

from offpoll import Settings
from offpoll.document import MAX_BYTES
from offpoll.queue import SPARE_RECEIVES
from offpoll.setting_ranges import LONGEST_RETENTION, MAX_ATTEMPTS

DAY = 86_400

#: What comes before a queue's name in its URL.
SQS = "https://sqs.eu-west-1.amazonaws.com/123456789012/"


def test_messages_live_as_long_as_the_code_assumes() -> None:
    """The queue keeps messages for the message window, dead letters and parking as long as SQS allows; a dead letter keeps its age."""
    kept = {name: each["MessageRetentionPeriod"] for name, each in of_type("AWS::SQS::Queue").items()}
    assert kept == {"Operations": Settings().message_window, "DeadLetters": LONGEST_RETENTION, "Parking": LONGEST_RETENTION}


@pytest.mark.parametrize("days", values("RetentionDays"))
def test_records_and_documents_live_as_long_as_the_code_assumes(days: int) -> None:
    """The bucket deletes no document whose record still counts, and the settings agree with it."""
    settings = settings_of("ApiFunction", RetentionDays=days)
    rule = expiry("Documents", RetentionDays=days)
    assert settings.record_window == days * DAY
    assert settings.document_window == rule["ExpirationInDays"] * DAY
    assert settings.document_window > settings.record_window + settings.timeout
    assert rule["Prefix"] == f"{settings.prefix}/"


def test_defaults_equal_the_settings() -> None:
    """The template's defaults equal the settings', except what Lambda and STS limit: the timeout and the links' lifetime."""
    settings, own = settings_of("ApiFunction"), Settings()
    for name in ("record_window", "document_window", "link_lifetime_floor", "lateness_weight", "attempts", "prefix"):
        assert getattr(settings, name) == getattr(own, name), name
    assert source()["Parameters"]["LinkLifetime"]["MinValue"] == own.link_lifetime_floor
    assert source()["Parameters"]["MostAttempts"]["Default"] == own.attempts
    assert source()["Parameters"]["TransitionSize"]["Default"] == MAX_BYTES


@pytest.mark.parametrize("attempts", values("MostAttempts"))
def test_a_message_may_be_delivered_more_often_than_it_is_attempted(attempts: int) -> None:
    """Some deliveries meet a live lease, or a worker that is killed before its claim."""
    assert properties("Operations", MostAttempts=attempts)["RedrivePolicy"] == {
        "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:DeadLetters",
        "maxReceiveCount": attempts + SPARE_RECEIVES,
    }
    assert max(values("MostAttempts")) == MAX_ATTEMPTS


@pytest.mark.parametrize("timeout", values("WorkerTimeout"))
def test_a_message_is_hidden_for_six_timeouts(timeout: int) -> None:
    """Lambda asks this of a source queue. A kind has 30 s less than the function, to record how it ended."""
    assert properties("WorkerFunction", WorkerTimeout=timeout)["Timeout"] == str(timeout)
    assert properties("Operations", WorkerTimeout=timeout)["VisibilityTimeout"] >= 6 * timeout
    assert settings_of("WorkerFunction", WorkerTimeout=timeout).timeout == timeout - 30
    assert settings_of("ApiFunction", WorkerTimeout=timeout).timeout == timeout - 30  # both calculate records' lives with it


def test_a_dead_letter_is_hidden_for_six_timeouts() -> None:
    """A Lambda mapping feeds the dead-letter function too."""
    assert properties("DeadLetters")["VisibilityTimeout"] >= 6 * properties("DeadLettersFunction")["Timeout"]


def test_settings_match_the_resources() -> None:
    """Each function finds its bucket, queues and table; only the API gets the secret and the signer."""
    for name in ("ApiFunction", "WorkerFunction", "DeadLettersFunction"):
        environment, settings = environment_of(name), settings_of(name)
        assert environment["OFFPOLL_APP"] == "orders:app"
        assert (settings.bucket, settings.records_table, settings.metrics) == ("Documents", "Records", "emf")
        assert (settings.queue_url, settings.dead_letter_queue_url, settings.parking_queue_url) == (
            f"{SQS}Operations",
            f"{SQS}DeadLetters",
            f"{SQS}Parking",
        )
        assert settings.concurrency == 10
        assert ("OFFPOLL_SECRET" in environment) == ("OFFPOLL_SIGNER_ROLE_ARN" in environment) == (name == "ApiFunction")
    assert environment_of("ApiFunction")["OFFPOLL_SIGNER_ROLE_ARN"] == "arn:aws:iam::123456789012:role/SignerRole"
    assert environment_of("ApiFunction")["OFFPOLL_SECRET"] == "{{resolve:secretsmanager:Secret}}"
    assert properties("Secret")["GenerateSecretString"]["PasswordLength"] >= 32


def test_documents_name_the_buckets_own_encryption() -> None:
    """A policy that refuses a PUT without encryption, or with another than the bucket's, lets the functions write."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/0f5c1a9e-1234-4321-9876-0123456789ab"
    for name in ("ApiFunction", "WorkerFunction", "DeadLettersFunction"):
        for parameters, named in (({}, ("AES256", "", False)), ({"KmsKeyArn": key}, ("aws:kms", key, True))):
            settings = settings_of(name, **parameters)
            assert (settings.server_side_encryption, settings.sse_kms_key_id, settings.sse_bucket_key) == named
            assert settings.expected_bucket_owner == "123456789012"
            (rule,) = properties("Documents", **parameters)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            assert rule["ServerSideEncryptionByDefault"].get("SSEAlgorithm") == named[0]
            assert rule.get("BucketKeyEnabled", False) is named[2]


def test_parameters_become_settings() -> None:
    """The lateness weight, link lifetime, concurrency and API name reach the settings."""
    changed = {"LatenessWeight": 0.5, "LinkLifetime": 600, "WorkerConcurrency": 25, **EVERYTHING}
    settings = settings_of("ApiFunction", **changed)
    assert (settings.lateness_weight, settings.link_lifetime_cap, settings.concurrency) == (0.5, 600, 25)
    assert settings.public_url == "https://api.example.com"
    assert settings_of("ApiFunction").public_url == ""


def settings_of(function: str, **parameters: Any) -> Settings:
    """Return a function's settings. The secret is a reference until CloudFormation resolves it."""
    environ = {**environment_of(function, **parameters), "OFFPOLL_SECRET": "s" * 32}
    urls = {name: SQS + value for name, value in environ.items() if name.endswith("_QUEUE_URL")}  # a reference to a queue is its URL
    return Settings.load(environ={**environ, **urls})
