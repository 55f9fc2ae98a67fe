"""Variables that Kubernetes and Docker add for neighbours stop no process from starting; mistyped settings still do."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from offpoll.errors import ConfigurationError
from offpoll.settings import Settings

#: Names of Services (RFC 1035 labels) and of their ports.
services = st.from_regex(r"offpoll(-[a-z0-9]{1,8}){0,4}", fullmatch=True)
ports = st.tuples(
    st.integers(1, 65535), st.sampled_from(["TCP", "UDP", "SCTP"]), st.from_regex(r"([a-z0-9]{1,5}-)?[a-z]{1,6}", fullmatch=True)
)
addresses = st.ip_addresses().map(str)


def kubernetes(service: str, address: str, ports: list[tuple[int, str, str]]) -> dict[str, str]:
    """Return a Service's variables, as the kubelet writes them (kubernetes/pkg/kubelet/envvars)."""
    name = service.upper().replace("-", "_")
    host = f"[{address}]" if ":" in address else address
    first, protocol, _ = ports[0]
    found = {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(first),
        f"{name}_PORT": f"{protocol.lower()}://{host}:{first}",
    }
    for number, protocol, label in ports:
        link = f"{name}_PORT_{number}_{protocol}"
        found[f"{name}_SERVICE_PORT_{label.upper().replace('-', '_')}"] = str(number)
        found[link] = f"{protocol.lower()}://{host}:{number}"
        found |= {f"{link}_PROTO": protocol.lower(), f"{link}_PORT": str(number), f"{link}_ADDR": address}
    return found


@given(services, addresses, st.lists(ports, min_size=1, max_size=3))
def test_any_service(service: str, address: str, ports: list[tuple[int, str, str]]) -> None:
    """A Service of any name and with any ports leaves the settings as they are, and all of them can be listed."""
    environ = {"OFFPOLL_BUCKET": "b", **kubernetes(service, address, ports)}
    settings = Settings.load(environ=environ)
    assert settings == Settings(bucket="b")
    assert next(each.source for each in settings.describe(environ=environ) if each.name == "bucket") == "environment"


DOCKER = {
    "OFFPOLL_NAME": "/web/offpoll",
    "OFFPOLL_PORT": "tcp://172.17.0.5:8000",
    "OFFPOLL_PORT_8000_TCP": "tcp://172.17.0.5:8000",
    "OFFPOLL_PORT_8000_TCP_START": "tcp://172.17.0.5:8000",
    "OFFPOLL_PORT_8000_TCP_END": "tcp://172.17.0.5:8002",
    "OFFPOLL_PORT_8000_TCP_PORT_START": "8000",
    "OFFPOLL_PORT_8000_TCP_PORT_END": "8002",
    "OFFPOLL_PORT_8000_TCP_ADDR": "172.17.0.5",
    "OFFPOLL_PORT_8000_TCP_PROTO": "tcp",
    "OFFPOLL_ENV_PATH": "/usr/bin:/bin",
    "OFFPOLL_ENV_OFFPOLL_BUCKET": "theirs",
}


def test_docker_links() -> None:
    """What Docker writes for `--link`, a neighbour's own variables included, is passed over."""
    numbered = {name.replace("OFFPOLL_", "OFFPOLL_API_1_", 1): value for name, value in DOCKER.items()}
    assert Settings.load(environ={**DOCKER, **numbered}) == Settings()


@pytest.mark.parametrize(
    "environ",
    [
        {"OFFPOLL_PORT": "8000"},
        {"OFFPOLL_PORT": "http://api:8000"},
        {"OFFPOLL_SERVICE_HOST": "api.example.com"},
        {"OFFPOLL_SERVICE_PORT": "http"},
        {"OFFPOLL_NAME": "orders"},
        {"OFFPOLL_ENV": "production"},
        {"OFFPOLL_ENV_BUCKET": "b"},
        {"OFFPOLL_API_PORT_8000_TCP_PROTO": "8000"},
        {"offpoll_SERVICE_PORT": "8000", "OFFPOLL_service_port": "8000"},
    ],
    ids=str,
)
def test_what_only_resembles_a_link(environ: Mapping[str, str]) -> None:
    """A variable whose name or value alone resembles a link is refused by its name."""
    with pytest.raises(ConfigurationError, match=r"OFFPOLL_.* is not a setting of offpoll"):
        Settings.load(environ=environ)


@given(st.sampled_from([each.variable for each in Settings().describe(environ={})]), st.data())
def test_mistyped_settings(variable: str, data: st.DataObject) -> None:
    """Beside a neighbour's variables, a setting with a letter missing, doubled or changed is refused, with a suggestion."""
    at = data.draw(st.integers(len("OFFPOLL_"), len(variable) - 1))
    letter = data.draw(st.sampled_from(["", variable[at] * 2, "Q"]))
    mistyped = variable[:at] + letter + variable[at + 1 :]
    assume(mistyped not in {each.variable for each in Settings().describe(environ={})})
    with pytest.raises(ConfigurationError, match=re.escape(f"{mistyped} is not a setting of offpoll (did you mean OFFPOLL_")):
        Settings.load(environ={**DOCKER, mistyped: "8000"})
