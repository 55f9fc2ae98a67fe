"""What the environment says of the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from offpoll.aws.network import ca_bundle, names_a_proxy
from offpoll.errors import ConfigurationError


def test_names_a_proxy() -> None:
    """Any of the three variables, in either case, where it is not empty."""
    assert names_a_proxy({"https_proxy": "http://p"})
    assert names_a_proxy({"ALL_PROXY": "http://p"})
    assert not names_a_proxy({"HTTP_PROXY": "", "NO_PROXY": "x"})


def test_certificates(tmp_path: Path) -> None:
    """They are read from the file that the variable names; one that cannot be read is said by name, not by a traceback."""
    file = tmp_path / "ca.pem"
    file.write_bytes(b"pem")
    assert ca_bundle({}) is None
    assert ca_bundle({"AWS_CA_BUNDLE": str(file)}) == b"pem"
    with pytest.raises(ConfigurationError, match=r"AWS_CA_BUNDLE=.*No such file"):
        ca_bundle({"AWS_CA_BUNDLE": str(tmp_path / "none.pem")})
