"""Asks botocore for a profile's credentials and region, single sign-on included.

These are rarely needed and full of special cases, so botocore handles them; this module only decides when to ask it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from offpoll.aws.configuration import Configuration, has_shared_file, profile_name, shared_files
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
    profile = profile_name(environ) or None
    if not profile and not has_shared_file(environ):
        return None
    try:
        import botocore.session  # noqa: PLC0415 - an optional extra, and 377 ms
    except ImportError as error:
        if profile:
            raise ConfigurationError(f"AWS_PROFILE={profile} needs botocore: pip install offpoll[aws]") from error
        return None
    return await asyncio.to_thread(_ask_botocore, botocore.session, profile, shared_files(environ))


def find_region(environ: Mapping[str, str]) -> str | None:
    """Return the region that every SDK would use: AWS_REGION, AWS_DEFAULT_REGION, or the profile's; None if none of them names one.

    Raises:
        ConfigurationError: the named profile does not exist, or its file cannot be read.
    """
    return Configuration.load(environ).region or None


def _ask_botocore(session_module: Any, profile: str | None, files: tuple[str, str]) -> Credentials | None:
    """Run botocore's chain without the providers in `_OURS`."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415 - see from_profile

    try:
        session = session_module.Session(profile=profile)
        for variable, path in zip(("credentials_file", "config_file"), files, strict=True):
            session.set_config_variable(variable, path)
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
