"""Assumes roles: sends signed calls to STS and reads the credentials in its responses."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlencode

from offpoll.aws.credentials import Credentials, CredentialsProvider, FetchedCredentials, complete
from offpoll.aws.endpoints import AwsEndpoint
from offpoll.aws.faults import xml_fields
from offpoll.aws.service import AwsService
from offpoll.aws.wire import Wire
from offpoll.errors import DependencyUnavailable
from offpoll.instant import from_wire

__all__ = ["FORM", "assumed_role", "credentials_in", "form"]

#: Headers of every call.
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}

#: Longest session of a role that another role assumes (role chaining), seconds.
CHAINED_SESSION = 3600

_VERSION = "2011-06-15"


def assumed_role(
    wire: Wire, *, endpoint: AwsEndpoint, region: str, role_arn: str, session_name: str = "offpoll", duration: int = CHAINED_SESSION
) -> CredentialsProvider:
    """Return a provider of a role's credentials. The wire's own credentials must be allowed to assume that role.

    The provider renews the credentials after half of their life, so that a link they sign can live for the other half.

    CloudTrail shows `session_name`. The credentials live for `duration` seconds.
    """
    service = AwsService("STS", name="sts", region=region, endpoint=endpoint)
    remedies = {"AccessDenied": f"let this process call sts:AssumeRole on {role_arn}, and let that role's trust policy name it"}

    async def fetch() -> Credentials:
        fields = {"RoleArn": role_arn, "RoleSessionName": session_name, "DurationSeconds": str(duration)}
        response = await wire.call(service, "POST", endpoint.path or "/", headers=FORM, body=form("AssumeRole", fields))
        if response.status != 200:
            raise service.refusal(response, remedies)
        return credentials_in(response.body)

    return FetchedCredentials(fetch, clock=wire.clock, refresh_before=timedelta(seconds=duration / 2))


def form(action: str, fields: dict[str, str]) -> bytes:
    """Return the body of a request to STS."""
    return urlencode({"Action": action, "Version": _VERSION, **fields}).encode()


def credentials_in(body: bytes) -> Credentials:
    """Return the credentials in a response of STS.

    Raises:
        DependencyUnavailable: the response cannot be read.
        ConfigurationError: it lacks a key.
    """
    try:
        fields = xml_fields(body)
        expires_at: datetime | None = from_wire(fields["Expiration"])
    except (KeyError, ValueError) as error:
        raise DependencyUnavailable("STS", "the response cannot be read") from error
    return complete(fields.get("AccessKeyId"), fields.get("SecretAccessKey"), fields.get("SessionToken"), expires_at, source="STS")
