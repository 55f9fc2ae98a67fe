"""Asks botocore for a profile's credentials and region, single sign-on included.

These are rarely needed and full of special cases, so botocore handles them; this module only decides when to ask it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from offpoll.aws.credentials import Credentials, complete
from offpoll.errors import ConfigurationError, DependencyUnavailable

__all__ = ["find_region", "from_profile"]

#: botocore's providers that this package replaces.
_OURS = ("env", "container-role", "iam-role")


async def from_profile(environ: Mapping[str, str]) -> Credentials | None:
    """Return the profile's credentials.

    Returns:
        Credentials; None if botocore finds none, or if no profile is named and either no shared file exists or botocore is not installed.

    Raises:
        ConfigurationError: a profile is named, but botocore is not installed or cannot use the profile.
        DependencyUnavailable: a service that botocore asked did not respond.
    """
    profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    if not profile and not any(path.is_file() for path in _shared_files(environ)):
        return None
    try:
        import botocore.session  # noqa: PLC0415 - an optional extra, and 377 ms
    except ImportError as error:
        if profile:
            raise ConfigurationError(f"AWS_PROFILE={profile} needs botocore: pip install offpoll[aws]") from error
        return None
    return await asyncio.to_thread(_ask_botocore, botocore.session, profile)


def find_region(environ: Mapping[str, str]) -> str | None:
    """Return the region that every SDK would use: AWS_REGION, AWS_DEFAULT_REGION, or the profile's; None if none of them names one.

    Raises:
        ConfigurationError: the named profile does not exist, or its file cannot be read.
    """
    written = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    files = _shared_files(environ)
    if written or not any(path.is_file() for path in files):
        return written
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see from_profile
        from botocore.session import Session  # noqa: PLC0415 - see from_profile
    except ImportError:
        return None
    session = Session(profile=profile)
    for variable, path in zip(("credentials_file", "config_file"), files, strict=True):
        session.set_config_variable(variable, str(path))
    try:
        return session.get_scoped_config().get("region")
    except BotoCoreError as error:
        raise ConfigurationError(f"profile {profile or 'default'} gives no region: {error}") from error


def _shared_files(environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "/nonexistent")
    named = (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config"))
    return [Path(environ.get(variable) or home / ".aws" / name) for variable, name in named]


def _ask_botocore(session_module: Any, profile: str | None) -> Credentials | None:
    """Run botocore's chain without the providers in `_OURS`."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415 - see from_profile

    try:
        session = session_module.Session(profile=profile)
        resolver = session.get_component("credential_provider")
        for name in _OURS:
            resolver.remove(name)
        found = resolver.load_credentials()
        if found is None:
            return None
        frozen = found.get_frozen_credentials()
        expires_at: datetime | None = getattr(found, "_expiry_time", None)
    except HTTPClientError as error:
        raise DependencyUnavailable("credentials", f"profile {profile or 'default'}: {error}") from error
    except (BotoCoreError, ClientError) as error:
        raise ConfigurationError(f"profile {profile or 'default'} gives no credentials: {error}") from error
    expires_at = expires_at.astimezone(UTC) if expires_at is not None else None
    return complete(frozen.access_key, frozen.secret_key, frozen.token, expires_at, source=f"profile {profile or 'default'}")
