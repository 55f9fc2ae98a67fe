"""AWS's own settings, as every SDK reads them: a variable, else a key of the profile in the shared files.

The files are read as botocore reads them, without botocore, which is an optional extra: `aws/profiles` asks it only for credentials.

Source: docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html and file-format.html.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from offpoll.errors import ConfigurationError

__all__ = ["Configuration", "check_supported", "expanded", "has_shared_file", "profile_name", "shared_files"]

#: Settings that change where or how requests go in a way that offpoll does not follow: variable, key, what still can be used, why the rest
#: cannot. Any other documented setting is followed, or has no effect on the calls that offpoll makes (docs/configuration.md).
_UNSUPPORTED = (
    ("", "s3.use_accelerate_endpoint", ("false",), "offpoll does not use S3 Transfer Acceleration"),
    ("AWS_ENDPOINT_DISCOVERY_ENABLED", "endpoint_discovery_enabled", ("false", "auto"), "offpoll does not discover DynamoDB's endpoints"),
    ("AWS_RETRY_MODE", "retry_mode", ("standard", "legacy"), "offpoll retries as in standard mode, and does not limit its own rate"),
    *(("", f"{service}.signature_version", ("v4", "s3v4"), "offpoll signs with version 4") for service in ("s3", "sqs", "dynamodb", "sts")),
)

#: Tries of one call in the retry mode `legacy`.
LEGACY_ATTEMPTS = 5

#: A key's value: text, or the keys that are indented below it.
_Value: TypeAlias = "str | Mapping[str, str]"
_Section: TypeAlias = Mapping[str, _Value]

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The variables, and the sections of the shared files that the profile uses.

    Attributes:
        environ: the variables.
        profile: the profile's keys.
        services: the section `services` that the profile names.
    """

    environ: Mapping[str, str]
    profile: _Section = field(default_factory=dict)
    services: _Section = field(default_factory=dict)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Configuration:
        """Read the shared files.

        Raises:
            ConfigurationError: a file cannot be read, or there is no such profile or section `services`.
        """
        name = profile_name(environ)
        credentials, config = (_sections(path) for path in shared_files(environ))
        profiles = _titled("profile", config)
        for section, keys in credentials.items():
            profiles[section] = {**profiles.get(section, {}), **keys}
        if name and name not in profiles:
            raise ConfigurationError(f"the profile {name} of AWS_PROFILE or AWS_DEFAULT_PROFILE is in neither of {_named(environ)}")
        profile = profiles.get(name or "default", {})
        return cls(environ=environ, profile=profile, services=_services(name or "default", profile, config))

    @property
    def region(self) -> str:
        """The region that every SDK would use; empty if none is set."""
        return self.environ.get("AWS_REGION") or self.text("AWS_DEFAULT_REGION", "region")

    @property
    def attempts(self) -> int | None:
        """Tries of one call; None if no setting says how many.

        Raises:
            ConfigurationError: the number cannot be used.
        """
        setting = ("AWS_MAX_ATTEMPTS", "max_attempts")
        written = self.text(*setting)
        if not written:
            return LEGACY_ATTEMPTS if self.text("AWS_RETRY_MODE", "retry_mode").lower() == "legacy" else None
        if not written.isascii() or not written.isdigit() or int(written) < 1:
            raise ConfigurationError(f"{self.shown(*setting)} cannot be used: write a whole number from 1")
        return int(written)

    @property
    def checksums(self) -> bool:
        """Whether requests carry a checksum even where none is required.

        Raises:
            ConfigurationError: the setting's value is invalid.
        """
        setting = ("AWS_REQUEST_CHECKSUM_CALCULATION", "request_checksum_calculation")
        return self.choice(*setting, "when_supported", "when_required") == "when_supported"

    def text(self, variable: str, key: str) -> str:
        """Return the variable's value, else the key's (`a.b` is `b` below `a`), else nothing."""
        return self.environ.get(variable, "").strip() or self.key(key)

    def key(self, key: str) -> str:
        """Return the value of the profile's key, or nothing."""
        outer, _, inner = key.partition(".")
        found = self.profile.get(outer, "")
        if inner:
            found = found.get(inner, "") if isinstance(found, Mapping) else ""
        return found if isinstance(found, str) else ""

    def flag(self, variable: str, key: str) -> bool:
        """Tell whether a setting is `true`.

        Raises:
            ConfigurationError: it is neither true nor false.
        """
        return self.choice(variable, key, "true", "false") == "true"

    def choice(self, variable: str, key: str, *choices: str) -> str:
        """Return a setting that has one of a few values, in lower case, or nothing.

        Raises:
            ConfigurationError: it has another value.
        """
        value = self.text(variable, key).lower()
        if value and value not in choices:
            raise ConfigurationError(f"{self.shown(variable, key)} cannot be used: write {' or '.join(choices)}")
        return value

    def shown(self, variable: str, key: str) -> str:
        """Return a setting as its user wrote it, for an error."""
        if self.environ.get(variable, "").strip():
            return f"{variable}={self.environ[variable]}"
        return f"{key} = {self.key(key)} in the profile {profile_name(self.environ) or 'default'}"


def check_supported(given: Configuration) -> None:
    """Refuse settings that offpoll would otherwise ignore.

    Raises:
        ConfigurationError: it names the setting.
    """
    for variable, key, usable, why in _UNSUPPORTED:
        value = given.text(variable, key).lower()
        if value and value not in usable:
            raise ConfigurationError(f"{given.shown(variable, key)} cannot be used: {why}. Unset it, or write {' or '.join(usable)}")


def profile_name(environ: Mapping[str, str]) -> str:
    """Return the name of the profile that the variables name, in botocore's order; empty if they name none."""
    return environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or ""


def shared_files(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the paths of the credentials file and of the config file, whether they exist or not."""
    credentials = environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    return expanded(credentials, environ), expanded(environ.get("AWS_CONFIG_FILE") or "~/.aws/config", environ)


def has_shared_file(environ: Mapping[str, str]) -> bool:
    """Tell whether one of the two files exists."""
    return any(os.path.isfile(path) for path in shared_files(environ))


def expanded(path: str, environ: Mapping[str, str]) -> str:
    """Replace variables and `~` in a path, as a shell would have done. Without HOME the user's home is the system's entry for it."""
    named = _VARIABLE.sub(lambda found: environ.get(found[1].strip("{}"), found[0]), path)
    home = environ.get("HOME") or environ.get("USERPROFILE")
    if home and (named == "~" or named.startswith("~/")):
        return home.rstrip("/") + named[1:] or "/"
    return os.path.expanduser(named)


def _named(environ: Mapping[str, str]) -> str:
    return " and ".join(shared_files(environ))


def _sections(path: str) -> dict[str, _Section]:
    """Return the keys of each section of a file; nothing if there is no such file."""
    if not os.path.isfile(path):
        return {}
    from configparser import Error, RawConfigParser  # noqa: PLC0415 - few machines have such a file

    parser = RawConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        return {name: {key: _value(value) for key, value in parser.items(name)} for name in parser.sections()}
    except (OSError, ValueError, Error) as error:
        raise ConfigurationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _titled(title: str, sections: Mapping[str, _Section]) -> dict[str, _Section]:
    """Return the sections `[title name]` by their names, which may be quoted, and `[default]` among the profiles."""
    import shlex  # noqa: PLC0415 - see _sections

    found: dict[str, _Section] = {}
    for section, keys in sections.items():
        if section == "default" and title == "profile":
            found[section] = keys
        elif section.startswith(title):
            try:
                words = shlex.split(section)
            except ValueError:
                continue
            if len(words) == 2:
                found[words[1]] = keys
    return found


def _value(written: str) -> _Value:
    """Read a value: text, or indented lines `key = value`."""
    if not written.startswith("\n"):
        return written
    lines = [line.partition("=") for line in written.splitlines() if line.strip()]
    if not all(equals for _, equals, _ in lines):
        raise ValueError(f"an indented line without = in {written.strip()!r}")
    return {key.strip(): value.strip() for key, _, value in lines}


def _services(of: str, profile: _Section, config: Mapping[str, _Section]) -> _Section:
    name = profile.get("services")
    if name is None:
        return {}
    found = _titled("services", config).get(str(name))
    if found is None:
        raise ConfigurationError(f"the profile {of} uses the section [services {name}], which the config file does not have")
    return found
