"""Finds this process's AWS credentials. The sources are tried in the order that every SDK follows:

environment variables ─► profile, SSO (botocore) ─► web identity ─► container endpoint ─► instance metadata
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from offpoll.aws.configuration import expanded
from offpoll.aws.credentials import Credentials, CredentialsProvider, FetchedCredentials, StaticCredentials, complete
from offpoll.aws.endpoints import Endpoints, ca_bundle
from offpoll.aws.profiles import from_profile
from offpoll.errors import ConfigurationError
from offpoll.instant import from_wire, utc_now

__all__ = ["find_credentials"]

_NO_CREDENTIALS = (
    "no AWS credentials were found. Give this process a role (Lambda, ECS, EKS and EC2 do), or set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with `pip install offpoll[aws]`"
)


def find_credentials(environ: Mapping[str, str], *, endpoints: Endpoints, clock: Callable[[], datetime] = utc_now) -> CredentialsProvider:
    """Return the provider of this process's credentials, without any I/O yet.

    Raises:
        ConfigurationError: only one of the two keys is set, or AWS_CREDENTIAL_EXPIRATION is not an instant.
    """
    found = _from_environment(environ)
    if found is not None:
        return StaticCredentials(found)

    async def fetch() -> Credentials:
        # Lambda passes credentials as variables: do not load the HTTP library that only the other sources need.
        from offpoll.aws.metadata import from_container, from_instance  # noqa: PLC0415

        credentials = (
            await from_profile(environ)
            or await _from_web_identity(environ, endpoints)
            or await from_container(environ)
            or await from_instance(environ)
        )
        if credentials is None:
            raise ConfigurationError(_NO_CREDENTIALS)
        return credentials

    return FetchedCredentials(fetch, clock=clock)


def _from_environment(environ: Mapping[str, str]) -> Credentials | None:
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        raise ConfigurationError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: only one is set; set both, or neither")
    written = environ.get("AWS_CREDENTIAL_EXPIRATION")
    try:
        expires_at = from_wire(written) if written else None
    except ValueError as error:
        raise ConfigurationError(f"AWS_CREDENTIAL_EXPIRATION={written} is not an instant") from error
    token = environ.get("AWS_SECURITY_TOKEN") or environ.get("AWS_SESSION_TOKEN")  # the first is the old name, which botocore prefers
    return complete(access_key, secret_key, token, expires_at, source="the environment")


async def _from_web_identity(environ: Mapping[str, str], endpoints: Endpoints) -> Credentials | None:
    path, role_arn = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"), environ.get("AWS_ROLE_ARN")
    if not path:
        return None
    if not role_arn:
        raise ConfigurationError("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not: set it to the role to assume")
    from offpoll.aws.web_identity import assume_role_with_web_identity  # noqa: PLC0415 - see find_credentials

    return await assume_role_with_web_identity(
        endpoint=endpoints.service("sts"),
        region=endpoints.region,
        role_arn=role_arn,
        token=_read_token(expanded(path, environ)),
        session_name=environ.get("AWS_ROLE_SESSION_NAME") or "offpoll",
        certificates=ca_bundle(environ),
    )


def _read_token(path: str) -> str:
    """Read the token file anew each time: the platform replaces it."""
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"AWS_WEB_IDENTITY_TOKEN_FILE={path}: {error.strerror}") from error
    except ValueError:
        token = ""
    if not token:
        raise ConfigurationError(
            f"AWS_WEB_IDENTITY_TOKEN_FILE={path} holds no token: the platform has not written it, or it is another file"
        )
    return token
