"""Exchanges a web identity token for a role's credentials: the one call to STS that nobody signs."""

from __future__ import annotations

import os

from offpoll.aws.connections import Unreachable
from offpoll.aws.credentials import Credentials
from offpoll.aws.endpoints import AwsEndpoint, is_loopback
from offpoll.aws.faults import parse_fault, remedy
from offpoll.aws.retry import is_transient
from offpoll.aws.sts import FORM, credentials_in, form
from offpoll.aws.transport import ask, client
from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.proxies import proxy_for

__all__ = ["assume_role_with_web_identity"]

#: Seconds for one unsigned call.
TIMEOUT = 5.0


async def assume_role_with_web_identity(
    *, endpoint: AwsEndpoint, region: str, role_arn: str, token: str, session_name: str, certificates: bytes | None = None
) -> Credentials:
    """Exchange a web identity token, as EKS and CI systems issue, for a role's credentials. The token proves the identity.

    Raises:
        ConfigurationError: STS refused the token or the role.
        DependencyUnavailable: STS did not respond, or not usefully.
    """
    fields = {"RoleArn": role_arn, "RoleSessionName": session_name, "WebIdentityToken": token}
    body = form("AssumeRoleWithWebIdentity", fields)
    url = endpoint.origin + (endpoint.path or "/")
    proxy = None if is_loopback(endpoint.host) else proxy_for(url, os.environ)
    async with client(direct=proxy is None, proxy=proxy, certificates=certificates) as http:
        try:
            status, response = await ask(http, "POST", url, headers=FORM, body=body, timeout=TIMEOUT)
        except Unreachable as error:
            raise DependencyUnavailable("STS", f"{endpoint.origin} gave no answer: {error}") from error
    if status == 200:
        return credentials_in(response)
    fault = parse_fault(status, {}, response)
    if is_transient(status, fault.code):
        raise DependencyUnavailable("STS", f"{endpoint.origin} answered {fault.code or status}: {fault.message}")
    why = remedy(fault, region=region, remedies={"AccessDenied": "the role's trust policy does not name this identity"})
    raise ConfigurationError(f"STS refused the web identity of AWS_WEB_IDENTITY_TOKEN_FILE for {role_arn}: {why}")
