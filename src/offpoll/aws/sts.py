"""Credentials of an assumed role, from STS.

Decides how a role is assumed, with a signature or with a web identity token. Must not know what the credentials will sign.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlencode

from offpoll.aws.connections import Unreachable
from offpoll.aws.credentials import Credentials, CredentialsProvider, FetchedCredentials, complete
from offpoll.aws.endpoints import Endpoint, is_loopback
from offpoll.aws.faults import Fault, parse_fault, remedy, xml_fields
from offpoll.aws.retry import is_transient
from offpoll.aws.service import Service
from offpoll.aws.transport import ask, client
from offpoll.aws.wire import Wire
from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.instant import from_wire

__all__ = ["assume_role_with_web_identity", "assumed_role"]

#: The longest session of a role that is assumed with another role's credentials (role chaining), seconds.
CHAINED = 3600

#: Seconds for one unsigned call.
TIMEOUT = 5.0

_VERSION = "2011-06-15"
_FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def assumed_role(
    wire: Wire, *, endpoint: Endpoint, region: str, role_arn: str, session_name: str = "offpoll", duration: int = CHAINED
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
    service = Service("STS", name="sts", region=region, endpoint=endpoint)
    remedies = {"AccessDenied": f"let this process call sts:AssumeRole on {role_arn}, and let that role's trust policy name it"}

    async def fetch() -> Credentials:
        fields = {"RoleArn": role_arn, "RoleSessionName": session_name, "DurationSeconds": str(duration)}
        answer = await wire.call(service, "POST", endpoint.path or "/", headers=_FORM, body=_form("AssumeRole", fields))
        if answer.status != 200:
            raise service.refusal(answer, remedies)
        return _credentials(answer.body)

    return FetchedCredentials(fetch, clock=wire.clock, refresh_before=timedelta(seconds=duration / 2))


async def assume_role_with_web_identity(
    *, endpoint: Endpoint, region: str, role_arn: str, token: str, session_name: str, certificates: bytes | None = None
) -> Credentials:
    """Exchange a web identity token, as EKS and CI systems give one, for a role's credentials. The token is the proof: nothing is signed.

    Raises:
        ConfigurationError: STS refused the token or the role.
        DependencyUnavailable: STS did not answer.
    """
    fields = {"RoleArn": role_arn, "RoleSessionName": session_name, "WebIdentityToken": token}
    body = _form("AssumeRoleWithWebIdentity", fields)
    async with client(direct=is_loopback(endpoint.host), certificates=certificates) as http:
        try:
            url = endpoint.origin + (endpoint.path or "/")
            status, answer = await ask(http, "POST", url, headers=_FORM, body=body, timeout=TIMEOUT)
        except Unreachable as error:
            raise DependencyUnavailable("STS", f"{endpoint.origin} gave no answer: {error}") from error
    if status == 200:
        return _credentials(answer)
    fault = parse_fault(status, {}, answer)
    # IDPCommunicationError: STS could not reach the identity provider; AWS says to retry it.
    if is_transient(status, fault.code) or fault.code == "IDPCommunicationError":
        raise DependencyUnavailable("STS", f"{endpoint.origin} answered {fault.code or status}: {fault.message}")
    raise ConfigurationError(f"STS refused the web identity of AWS_WEB_IDENTITY_TOKEN_FILE for {role_arn}: {_why(fault, region)}")


def _why(fault: Fault, region: str) -> str:
    return remedy(fault, region=region, remedies={"AccessDenied": "the role's trust policy does not name this identity"})


def _form(action: str, fields: dict[str, str]) -> bytes:
    return urlencode({"Action": action, "Version": _VERSION, **fields}).encode()


def _credentials(body: bytes) -> Credentials:
    try:
        fields = xml_fields(body)
        expires_at: datetime | None = from_wire(fields["Expiration"])
    except (KeyError, ValueError) as error:
        raise DependencyUnavailable("STS", "the answer cannot be read") from error
    return complete(fields.get("AccessKeyId"), fields.get("SecretAccessKey"), fields.get("SessionToken"), expires_at, source="STS")
