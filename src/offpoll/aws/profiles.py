"""Asks botocore for a profile's credentials and region, single sign-on included.

These are rarely needed and full of special cases, so botocore handles them; this module only decides when to ask it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from offpoll.aws.configuration import Configuration, has_shared_file, profile_name, shared_files
from offpoll.aws.credentials import Credentials, complete
from offpoll.aws.retry import is_transient
from offpoll.errors import ConfigurationError, DependencyUnavailable, OffpollError

__all__ = ["failure", "find_region", "from_profile", "refuse_codes"]

#: Seconds for a credential_process, as in the SDK for Go; botocore waits forever.
PROCESS_LIMIT = 60.0

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
    return await _in_thread(profile or "default", lambda start: _ask_botocore(botocore.session, profile, shared_files(environ), start))


def find_region(environ: Mapping[str, str]) -> str | None:
    """Return the region that every SDK would use: AWS_REGION, AWS_DEFAULT_REGION, or the profile's; None if none of them names one.

    Raises:
        ConfigurationError: the named profile does not exist, or its file cannot be read.
    """
    return Configuration.load(environ).region or None


def _ask_botocore(session_module: Any, profile: str | None, files: tuple[str, str], start: Callable[..., Any]) -> Credentials | None:
    """Run botocore's chain without the providers in `_OURS`. `start` starts a credential_process, as `Popen` does."""
    name = profile or "default"
    try:
        session = session_module.Session(profile=profile)
        for variable, path in zip(("credentials_file", "config_file"), files, strict=True):
            session.set_config_variable(variable, path)
        resolver = session.get_component("credential_provider")
        for each in _OURS:
            resolver.remove(each)
        _silence(resolver, name, start)
        found = resolver.load_credentials()
        if found is None:
            return None
        frozen = found.get_frozen_credentials()
        expires_at: datetime | None = getattr(found, "_expiry_time", None)
        expires_at = expires_at.astimezone(UTC) if expires_at is not None else None
        return complete(frozen.access_key, frozen.secret_key, frozen.token, expires_at, source=f"profile {name}")
    except OffpollError:
        raise
    except Exception as error:  # botocore raises what its libraries raise: OSError, ValueError, AttributeError and others
        raise failure(error, name) from error


def _silence(resolver: Any, profile: str, start: Callable[..., Any]) -> None:
    """Make botocore ask nobody for a code, and start processes by `start`, for the profile and for those that it is based on."""
    refuse_codes(resolver, profile)
    roles = resolver.get_provider("assume-role")
    builder = roles._profile_provider_builder
    make = builder._create_process_provider

    def quiet(profile_name: str) -> Any:
        made = make(profile_name)
        made._popen = start
        return made

    builder._create_process_provider = quiet
    resolver.get_provider("custom-process")._popen = start


def refuse_codes(resolver: Any, profile: str) -> None:
    """Make botocore's resolver of credentials refuse a profile that needs a code of an MFA device, instead of asking for it."""

    def refuse(prompt: str) -> str:
        raise ConfigurationError(
            f"profile {profile} needs a code of an MFA device (mfa_serial); offpoll never prompts for one. Get a session's credentials "
            f'first, for example by: eval "$(aws configure export-credentials --profile {profile} --format env)"'
        )

    resolver.get_provider("assume-role")._prompter = refuse


def failure(error: Exception, profile: str) -> OffpollError:
    """Return the error of ours for what botocore raised while it looked for a profile's credentials."""
    from botocore import exceptions  # noqa: PLC0415 - see from_profile

    said = str(error) or type(error).__name__
    if isinstance(error, exceptions.ClientError):
        code, status = error.response.get("Error", {}).get("Code", ""), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if is_transient(status, code):
            return DependencyUnavailable("credentials", f"profile {profile}: {said}")
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return DependencyUnavailable("credentials", f"profile {profile}: {said}")
    if isinstance(error, exceptions.SSOError | exceptions.TokenRetrievalError):
        return ConfigurationError(f"profile {profile} gives no credentials: {said}. Log in: aws sso login --profile {profile}")
    if not type(error).__module__.startswith("botocore"):
        said = f"{type(error).__name__}: {said}"
    return ConfigurationError(
        f"profile {profile} gives no credentials: {said}. Correct the profile in the shared config files; "
        f"`aws sts get-caller-identity --profile {profile}` shows whether it works"
    )


async def _in_thread(profile: str, work: Callable[[Callable[..., Any]], Credentials | None]) -> Credentials | None:
    """Run blocking work beside the loop. The loop's own threads would keep a program from ending while a process hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Credentials | None] = loop.create_future()
    started: list[_CredentialProcess] = []

    def start(command: list[str], **options: Any) -> _CredentialProcess:
        try:
            process = _CredentialProcess(command, profile=profile, **options)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"the credential_process of profile {profile} cannot be started: {command[:1]}: {why}") from error
        started.append(process)
        return process

    def deliver(found: Credentials | None, error: Exception | None) -> None:
        if not done.done():
            if error is None:
                done.set_result(found)
            else:
                done.set_exception(error)

    def run() -> None:
        found, failure = None, None
        loggers = [logging.getLogger(f"botocore.{each}") for each in ("credentials", "tokens")]
        for each in loggers:
            each.addFilter(_not_here)
        try:
            found = work(start)
        except Exception as error:
            failure = _by_process(error, profile) if started and isinstance(error, ConfigurationError) else error
        finally:
            for each in loggers:
                each.removeFilter(_not_here)
        try:
            loop.call_soon_threadsafe(deliver, found, failure)
        except RuntimeError:
            pass  # the loop was closed meanwhile

    threading.Thread(target=run, name=_THREAD, daemon=True).start()
    try:
        return await done
    finally:
        for process in started:
            process.end()


_THREAD = "offpoll-credentials"


def _not_here(record: logging.LogRecord) -> bool:
    """Drop what botocore logs in our thread: it logs a traceback for each failure, and our own error already says what failed."""
    return record.threadName != _THREAD


def _by_process(error: ConfigurationError, profile: str) -> ConfigurationError:
    """Say that a credential_process ran, because botocore's error about its output does not."""
    return ConfigurationError(
        f"{error}. It ran its credential_process, which prints JSON with Version 1, AccessKeyId and SecretAccessKey: run it by hand"
    )


class _CredentialProcess(subprocess.Popen[bytes]):
    """A credential_process: it has no terminal to ask at, and limited time."""

    def __init__(self, command: list[str], *, profile: str, **options: Any) -> None:
        self._profile = profile
        super().__init__(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        try:
            return super().communicate(input, timeout=PROCESS_LIMIT)
        except subprocess.TimeoutExpired as error:
            self.end()
            text = f"the credential_process of profile {self._profile} printed nothing for {PROCESS_LIMIT:g} s, and was stopped"
            raise DependencyUnavailable("credentials", text) from error

    def end(self) -> None:
        """End the process with all that it started, if it runs."""
        if self.returncode is not None:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (OSError, AttributeError):
            self.kill()  # it ended just now, or this system has no process groups
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.wait()
