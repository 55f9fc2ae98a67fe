"""Finds the credentials, region and account to deploy with, as every AWS tool does, and turns AWS's errors into offpoll's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from offpoll.aws.profiles import failure, find_region, refuse_codes
from offpoll.errors import ConfigurationError, DependencyRefused, DependencyUnavailable

if TYPE_CHECKING:
    from botocore.session import Session

__all__ = ["Account", "refusal", "speaking_to"]

#: Seconds to connect to AWS, and for a response.
CONNECT, READ = 10, 60

#: Most tries of one call: AWS often throttles while a stack is watched.
CALLS = 6

#: botocore's errors that are the shared files' fault, or a login's that has ended.
_OF_THE_PROFILE = frozenset(
    {
        "ConfigParseError",
        "CredentialRetrievalError",
        "InfiniteLoopConfigurationError",
        "InvalidConfigError",
        "ProfileNotFound",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)

#: STS's codes for keys that a region does not know. It sends them too if the account has not enabled the region.
_UNKNOWN_KEYS = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId", "AuthFailure"}
)


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account, by its twelve digits, in a region, `eu-west-1`."""

    id: str
    region: str
    session: Session = field(repr=False)

    def client(self, service: str) -> Any:
        """Make a client for AWS, or for AWS_ENDPOINT_URL if it is set."""
        return _client(self.session, service, region=self.region)

    @classmethod
    def find(cls, *, region: str | None = None) -> Account:
        """Ask AWS whose credentials these are. This is the first call of every deployment, and changes nothing.

        Raises:
            ConfigurationError: no region is set, it is unknown, or AWS accepts no credentials there.
            DependencyUnavailable: no response came.
        """
        from botocore.session import Session  # noqa: PLC0415 - takes 0.3 s

        session, region = Session(), region or find_region(os.environ)
        if not region:
            raise ConfigurationError("no region is set: pass --region, for example --region eu-west-1, or set AWS_REGION")
        _check_region(session, region)
        return cls(id=_account_id(session, region), region=region, session=session)


@contextmanager
def speaking_to(service: str) -> Iterator[None]:
    """Turn botocore's errors into offpoll's.

    Raises:
        ConfigurationError: there are no credentials.
        DependencyRefused: AWS refused; the text is AWS's own.
        DependencyUnavailable: no response came, or a server error after retries.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError  # noqa: PLC0415 - see find

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ConfigurationError(
            f"no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({error})"
        ) from error
    except ClientError as error:
        code, message = refusal(error)
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500:
            raise DependencyUnavailable(service, f"{code}: {message}") from error
        raise DependencyRefused(service, f"{code}: {message}") from error
    except BotoCoreError as error:
        translated = failure(error, os.environ.get("AWS_PROFILE") or "default")
        if isinstance(translated, ConfigurationError) and type(error).__name__ in _OF_THE_PROFILE:
            raise translated from error
        raise DependencyUnavailable(service, str(error)) from error


def refusal(error: Any) -> tuple[str, str]:
    """Return a ClientError's code and message."""
    fields = error.response.get("Error", {})
    return str(fields.get("Code", "")), str(fields.get("Message", error))


def _client(session: Session, service: str, *, region: str) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - see find

    retries: Any = {"mode": "standard", "total_max_attempts": CALLS}
    return session.create_client(service, region_name=region, config=Config(connect_timeout=CONNECT, read_timeout=READ, retries=retries))


def _check_region(session: Session, region: str) -> None:
    from botocore.exceptions import ProfileNotFound, UnknownRegionError  # noqa: PLC0415 - see find

    try:
        session.get_partition_for_region(region)
    except UnknownRegionError as error:
        raise ConfigurationError(f"there is no region {region!r}") from error
    except ProfileNotFound as error:
        raise ConfigurationError(f"{error}: AWS_PROFILE names it") from error


def _account_id(session: Session, region: str) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - see find

    try:
        with speaking_to("STS"):
            if not sys.stdin.isatty():
                refuse_codes(session.get_component("credential_provider"), os.environ.get("AWS_PROFILE") or "default")
            identity = _client(session, "sts", region=region).get_caller_identity()
    except (OSError, ValueError, AttributeError, EOFError) as error:  # a credential_process that fails; a code that nobody can type
        raise failure(error, os.environ.get("AWS_PROFILE") or "default") from error
    except DependencyRefused as error:
        code = refusal(error.__cause__)[0] if isinstance(error.__cause__, ClientError) else ""
        if code in _UNKNOWN_KEYS:
            raise ConfigurationError(
                f"AWS does not know these credentials in {region} ({code}): check the keys, and that the account has enabled that region"
            ) from error
        if code in ("ExpiredToken", "ExpiredTokenException"):
            raise ConfigurationError("the AWS credentials have expired: get new ones, and repeat the command") from error
        raise
    return str(identity["Account"])
