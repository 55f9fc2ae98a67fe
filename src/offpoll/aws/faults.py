"""Reads AWS's error responses, and says what the operator can do about each.

The remedies here are general: adapters add those for their bucket, queue or table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Fault", "parse_fault", "remedy", "xml_fields"]

#: Longest text of an error in a log line, characters; the rest helps nobody.
MAX_MESSAGE = 300

#: Longest XML error that is read, bytes. Longer ones are not S3's.
_MAX_XML = 65_536

_DOCTYPE = re.compile(rb"<!DOCTYPE", re.IGNORECASE)

#: What some stores and proxies send before the document: spaces, line breaks, a byte order mark.
_SPACE = b"\xef\xbb\xbf \t\r\n"

_DENIED = "the role or user this process runs under lacks the permission"
_KMS = "the role or user this process runs under may not use the KMS key: grant kms:Decrypt and kms:GenerateDataKey"
_KEY = "the KMS key cannot be used: see that it exists in this region, is enabled, and encrypts"
_EXPIRED = "the credentials have expired: renew them"
_CLOCK = "the clock of this machine is wrong: synchronise it"
_REGION = "it is in another region than AWS_REGION says"
_CREDENTIALS = "the credentials are wrong: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role this process runs under"

#: What to do, by error code.
_REMEDIES: Mapping[str, str] = {
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidSignatureException": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "IncompleteSignature": _CREDENTIALS,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestTimeTooSkewed": "the clock of this machine is wrong by more than 15 minutes: synchronise it",
    "RequestExpired": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": f"{_REGION}, or was created minutes ago",
    "IllegalLocationConstraintException": _REGION,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "KMSAccessDeniedException": _KMS,
    "KmsAccessDenied": _KMS,
    "KMS.DisabledException": _KEY,
    "KMS.NotFoundException": _KEY,
    "KMS.KMSInvalidStateException": _KEY,
    "KmsDisabled": _KEY,
    "KmsInvalidState": _KEY,
    "KmsNotFound": _KEY,
    "KmsInvalidKeyUsage": _KEY,
    "ProxyAuthenticationRequired": "the proxy of HTTPS_PROXY or HTTP_PROXY needs a user and a password: write them into its URL",
    "OptInRequired": "the region or service is not enabled for this account",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """An error that AWS reported: its code (empty if it cannot be read), its message, and the region if S3 named one."""

    code: str
    message: str
    region: str = ""


def parse_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Read an error response: JSON (`__type`), XML (`<Code>`), or a header. One that cannot be read gives a fault without a code."""
    region = headers.get("x-amz-bucket-region", "")
    body = body.lstrip(_SPACE)
    start = body[:1]
    if start == b"{":
        code, message = _from_json(body)
    elif start == b"<":
        code, message = _from_xml(body)
    else:
        code, message = "", body[:MAX_MESSAGE].decode("utf-8", "replace").strip()
    code = code or _name(headers.get("x-amzn-errortype", ""))
    if code == "AccessDenied" and " kms:" in message:  # S3 passes on what KMS said; the object's own permissions are in order
        code = "KmsAccessDenied"
    if not code and status in {301, 307}:
        code = "PermanentRedirect" if status == 301 else "TemporaryRedirect"
    if not code and status == 407:
        code = "ProxyAuthenticationRequired"
    return Fault(code=code, message=message[:MAX_MESSAGE] or f"HTTP status {status}", region=region)


def remedy(fault: Fault, *, region: str, remedies: Mapping[str, str] | None = None) -> str:
    """Return the text for an error: what went wrong and what to do. `remedies` take precedence over the general ones."""
    text = (remedies or {}).get(fault.code) or _REMEDIES.get(fault.code) or ""
    said = f"{fault.code}: {fault.message}" if fault.code else fault.message
    if fault.region and fault.region != region:
        text = f"it is in region {fault.region}, not {region}: set AWS_REGION"
    return f"{text} ({said})" if text else said


def _from_json(body: bytes) -> tuple[str, str]:
    try:
        fields = json.loads(body)
    except ValueError:
        return "", body[:MAX_MESSAGE].decode("utf-8", "replace")
    if not isinstance(fields, dict):
        return "", ""
    code, message = fields.get("__type") or fields.get("code"), fields.get("message") or fields.get("Message")
    return _name(code) if isinstance(code, str) else "", message if isinstance(message, str) else ""


def _name(code: str) -> str:
    """Return a code without its namespace and without an address: `com.amazon.coral#Name:http://…`."""
    return code.partition(":")[0].rpartition("#")[2].strip()


def _from_xml(body: bytes) -> tuple[str, str]:
    """Read `<Error><Code>`, wrapped (STS) or not (S3)."""
    try:
        found = xml_fields(body)
    except ValueError:
        found = {}
    if "Code" not in found:
        return "", body[:MAX_MESSAGE].decode("utf-8", "replace")  # a proxy's page: show the start of its text
    return found["Code"], found.get("Message", "")


def xml_fields(body: bytes) -> dict[str, str]:
    """Return the text of every element of a small XML document by the element's name, at any depth.

    Refuses a document type: AWS sends none, and entities can explode.

    Raises:
        ValueError: the document is not well-formed, is too long, or has a document type.
    """
    if len(body) > _MAX_XML or _DOCTYPE.search(body):
        raise ValueError("not an XML document of AWS")
    from xml.etree import ElementTree  # noqa: PLC0415 - rarely needed, and it would slow every cold start

    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - bounded in size and without document type
    except ElementTree.ParseError as error:
        raise ValueError("not well-formed XML") from error
    return {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root.iter()}
