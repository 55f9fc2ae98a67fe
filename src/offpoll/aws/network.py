"""What the environment says of the network: a proxy, certificates of one's own. Read where every SDK reads them.

Must not know what is sent over it, nor load what sends it: a process without a proxy needs no HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from offpoll.errors import ConfigurationError

__all__ = ["ca_bundle", "names_a_proxy"]


def names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment names a proxy for http or https, as curl and the SDKs read it."""
    return any(environ.get(name) or environ.get(name.lower()) for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"))


def ca_bundle(environ: Mapping[str, str]) -> bytes | None:
    """Return the certificates that AWS_CA_BUNDLE names, None where it is not set.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    path = environ.get("AWS_CA_BUNDLE")
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"AWS_CA_BUNDLE={path}: {error.strerror}") from error
