"""Credentials of an assumed role, from STS.

Decides how STS is asked, with a signature, and how its answers are read. Must not know what the credentials will sign.
"""

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

#: The longest session of a role that is assumed with another role's credentials (role chaining), seconds.
CHAINED = 3600

_VERSION = "2011-06-15"
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def assumed_role(
    wire: Wire, *, endpoint: AwsEndpoint, region: str, role_arn: str, session_name: str = "offpoll", duration: int = CHAINED
) -> CredentialsProvider:
    """Return a provider of the credentials of a role that the wire's credentials may assume.

    They are renewed at half of their life, so that what they sign can live for the other half at least.

    Args:
        wire: signs the call.
        endpoint: STS's address.
        region: as `eu-west-1`.
        role_arn: the role.
        session_name: shown in CloudTrail.
        duration: seconds that credentials live.
    """
    service = AwsService("STS", name="sts", region=region, endpoint=endpoint)
    remedies = {"AccessDenied": f"let this process call sts:AssumeRole on {role_arn}, and let that role's trust policy name it"}

    async def fetch() -> Credentials:
        fields = {"RoleArn": role_arn, "RoleSessionName": session_name, "DurationSeconds": str(duration)}
        answer = await wire.call(service, "POST", endpoint.path or "/", headers=FORM, body=form("AssumeRole", fields))
        if answer.status != 200:
            raise service.refusal(answer, remedies)
        return credentials_in(answer.body)

    return FetchedCredentials(fetch, clock=wire.clock, refresh_before=timedelta(seconds=duration / 2))


def form(action: str, fields: dict[str, str]) -> bytes:
    """Return the body of a request to STS."""
    return urlencode({"Action": action, "Version": _VERSION, **fields}).encode()


def credentials_in(body: bytes) -> Credentials:
    """Return the credentials in an answer of STS.

    Raises:
        DependencyUnavailable: there are none.
    """
    try:
        fields = xml_fields(body)
        expires_at: datetime | None = from_wire(fields["Expiration"])
    except (KeyError, ValueError) as error:
        raise DependencyUnavailable("STS", "the answer cannot be read") from error
    return complete(fields.get("AccessKeyId"), fields.get("SecretAccessKey"), fields.get("SessionToken"), expires_at, source="STS")
