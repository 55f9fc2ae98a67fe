"""Settings: an argument beats a variable, which beats the default; each mistake is refused by name."""

from __future__ import annotations

from functools import partial
from typing import Any, get_type_hints

import pytest

from offpoll import Offpoll, async_connect, async_status_board, connect, status_board
from offpoll.errors import ConfigurationError
from offpoll.settings import Settings, SettingsArguments


def test_precedence() -> None:
    """An argument beats a variable, which beats the default. `describe` names the source."""
    environ = {"OFFPOLL_BUCKET": "from-env", "OFFPOLL_LEASE": "30", "OFFPOLL_OPERATION_LOCATION": "yes", "PATH": "/bin"}
    settings = Settings.load(environ=environ, bucket="argued")
    assert (settings.bucket, settings.lease, settings.operation_location, settings.attempts) == ("argued", 30.0, True, 3)
    sources = {each.name: each.source for each in settings.describe(environ=environ)}
    assert sources["bucket"] == "argument"
    assert sources["lease"] == sources["operation_location"] == "environment"
    assert sources["attempts"] == "default"


def test_secrets_are_masked() -> None:
    """No description and no error shows a secret."""
    described = Settings(secret="s" * 40).describe(environ={})
    assert next(each.value for each in described if each.name == "secret") == "(set)"
    with pytest.raises(ConfigurationError) as raised:
        Settings(secret="short-one")
    assert "short-one" not in str(raised.value)


def test_unknown_variable() -> None:
    """An unknown `OFFPOLL_*` variable is refused, and the error suggests the nearest known one."""
    with pytest.raises(ConfigurationError, match=r"OFFPOLL_BUCKETT is not a setting.*OFFPOLL_BUCKET"):
        Settings.load(environ={"OFFPOLL_BUCKETT": "x"})
    with pytest.raises(ConfigurationError, match="OFFPOLL_bucket"):
        Settings.load(environ={"OFFPOLL_bucket": "x"})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("LEASE", "soon"),
        ("LEASE", "nan"),
        ("LEASE", "inf"),
        ("LEASE", "0"),
        ("ATTEMPTS", "2.5"),
        ("ATTEMPTS", "0"),
        ("OPERATION_LOCATION", "maybe"),
        ("TIMEOUT", "43200"),
        ("INPUT_LIMIT", "262145"),
        ("RESULT_LIMIT", "358401"),
        ("LINK_LIFETIME_CAP", "604801"),
        ("LINK_LIFETIME_FLOOR", "21601"),
        ("ADDRESSING_STYLE", "dns"),
        ("SERVER_SIDE_ENCRYPTION", "aes256"),
        ("SERVER_SIDE_ENCRYPTION", "KMS"),
        ("SSE_KMS_KEY_ID", "a key"),
        ("SSE_KMS_KEY_ID", "alias/a"),
        ("SSE_BUCKET_KEY", "true"),
        ("EXPECTED_BUCKET_OWNER", "1234"),
        ("METRICS", "prometheus"),
        ("MESSAGE_WINDOW", "1209600"),
        ("RECORD_WINDOW", "864000"),
        ("DOCUMENT_WINDOW", "1209600"),
        ("PREFIX", ""),
        ("PREFIX", "status/"),
        ("PREFIX", "a b"),
        ("LATENESS_WEIGHT", "0"),
        ("LATENESS_WEIGHT", "soon"),
        ("LATENESS_WEIGHT", "30/hour"),
        ("LATENESS_WEIGHT", "nan/duration"),
        ("PUBLIC_URL", "api.example.com"),
        ("PUBLIC_URL", "https://" + "a" * 400),
        ("SIGNER_ROLE_ARN", "signer"),
        ("SIGNER_ROLE_ARN", "arn:aws:iam::123456789012:user/signer"),
    ],
)
def test_wrong_values(variable: str, text: str) -> None:
    """A value of the wrong type or out of range is refused, and the error names the variable."""
    with pytest.raises(ConfigurationError, match=f"OFFPOLL_{variable}|windows must grow"):
        Settings.load(environ={f"OFFPOLL_{variable}": text})


@pytest.mark.parametrize(
    ("encryption", "key", "bucket_key"),
    [
        ("", "", False),
        ("AES256", "", False),
        ("aws:kms", "", False),
        ("aws:kms", "alias/documents", True),
        ("aws:kms", "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/0f5c1a9e-1234-4321-9876-0123456789ab", True),
        ("aws:kms:dsse", "mrk-0123456789abcdef0123456789abcdef", False),
    ],
)
def test_encryption(encryption: str, key: str, bucket_key: bool) -> None:
    """Every encryption that S3 knows can be asked for, with each form of a key."""
    assert Settings(server_side_encryption=encryption, sse_kms_key_id=key, sse_bucket_key=bucket_key).sse_kms_key_id == key


@pytest.mark.parametrize(
    ("encryption", "key", "bucket_key"), [("AES256", "alias/a", False), ("AES256", "", True), ("aws:kms:dsse", "", True), ("", "", True)]
)
def test_encryption_that_contradicts_itself(encryption: str, key: str, bucket_key: bool) -> None:
    """A key without KMS, or a bucket key for what has none, would fail at the first document: it is refused at the start."""
    with pytest.raises(ConfigurationError, match="OFFPOLL_SERVER_SIDE_ENCRYPTION"):
        Settings(server_side_encryption=encryption, sse_kms_key_id=key, sse_bucket_key=bucket_key)


@pytest.mark.parametrize(
    "arguments",
    [
        {"lease": "60"},
        {"attempts": 2.0},
        {"attempts": True},
        {"bucket": None},
        {"operation_location": 1},
        {"secret": 7},
        {"lateness_weight": None},
        {"lateness_weight": True},
    ],
    ids=str,
)
def test_wrong_types(arguments: dict[str, Any]) -> None:
    """An argument of the wrong type is refused at once, like a wrong variable, and not on first use."""
    with pytest.raises(ConfigurationError, match="wrong type"):
        Settings(**arguments)


@pytest.mark.parametrize(("name", "close"), [("buckets", "bucket"), ("bukcet", "bucket"), ("nothing_like_it", "")])
def test_an_unknown_argument(name: str, close: str) -> None:
    """The factories refuse an unknown setting as they refuse an unknown variable, and suggest the nearest one."""
    for make in (partial(connect, app()), partial(async_connect, app()), status_board, async_status_board):
        with pytest.raises(ConfigurationError, match=f"{name} is not a setting" + (f".*did you mean {close}" if close else "")):
            make(environ={}, **{name: "b"})  # type: ignore[operator]


def test_every_setting_is_an_argument() -> None:
    """The factories' typed arguments are the settings, except `app`, which only Lambda's environment needs."""
    settings = get_type_hints(Settings)
    del settings["app"]
    assert get_type_hints(SettingsArguments) == settings


def app() -> Offpoll:
    made = Offpoll()
    made.operation("order")(handle)
    return made


def handle(number: int) -> int:
    return number


def test_need_lists_missing_settings() -> None:
    """`need` lists the variables that a process is missing."""
    with pytest.raises(ConfigurationError, match="OFFPOLL_SECRET, OFFPOLL_QUEUE_URL"):
        Settings(bucket="b").need("bucket", "secret", "queue_url")
    Settings(bucket="b").need("bucket")


def test_every_setting_is_explained() -> None:
    """Each setting has a sentence for the table of settings."""
    assert all(each.doc.endswith(".") for each in Settings().describe(environ={}))


@pytest.mark.parametrize(("text", "value"), [("4", 4.0), ("0.05", 0.05), ("30/duration", "30/duration")])
def test_the_weight_is_a_number_or_relative(text: str, value: float | str) -> None:
    """`OFFPOLL_LATENESS_WEIGHT` is polls per second or per expected duration; `describe` shows it as the user wrote it."""
    environ = {"OFFPOLL_LATENESS_WEIGHT": text}
    settings = Settings.load(environ=environ)
    assert settings.lateness_weight == value
    described = next(each for each in settings.describe(environ=environ) if each.name == "lateness_weight")
    assert (described.value, described.source) == (text, "environment")
