"""Starts and ends the real servers that tests use, on free ports of loopback: ministack (AWS in one process), Ceph RGW (a real S3), nginx.

It ends each server by the ids of its own processes.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent

#: Seconds for a server to answer. Both need less than three; a loaded machine needs more.
START = 60.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that speaks AWS's protocols, and the keys of a user with all permissions."""

    origin: str
    region: str
    access_key: str
    secret_key: str
    certificates: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that point every SDK to this server."""
        return {
            "AWS_ENDPOINT_URL": self.origin,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"AWS_CA_BUNDLE": str(self.certificates)} if self.certificates else {}),
        }


def free_port() -> int:
    """Return a port of loopback that is free at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def has_ceph() -> bool:
    """Tell whether Ceph's programs are installed."""
    return all(shutil.which(program) for program in ("radosgw", "ceph-mon", "ceph-osd", "radosgw-admin", "monmaptool"))


def require_ceph() -> None:
    """Skip the test if Ceph is not installed; fail it instead if REQUIRE_CEPH is set, as in CI."""
    if not has_ceph() and os.environ.get("REQUIRE_CEPH"):
        pytest.fail("Ceph RGW is not installed, and REQUIRE_CEPH is set")
    if not has_ceph():
        pytest.skip("Ceph RGW is not installed")


def require_nginx() -> None:
    """Skip the test if nginx is not installed; fail it instead if REQUIRE_NGINX is set, as in CI."""
    if not shutil.which("nginx") and os.environ.get("REQUIRE_NGINX"):
        pytest.fail("nginx is not installed, and REQUIRE_NGINX is set")
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")


@contextmanager
def nginx(directory: Path, servers: str) -> Iterator[None]:
    """Run nginx with the content of an `http` block. Its files are in `directory`."""
    root = directory / "nginx"
    root.mkdir()
    temporary = "".join(f"{name}_temp_path {root}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (root / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; worker_rlimit_nofile 1000;"
        f"events {{ worker_connections 500; }}\nhttp {{ access_log off; {temporary}\n{servers}\n}}\n"
    )
    with (root / "output.log").open("w") as log:
        process = subprocess.Popen(["nginx", "-p", str(root), "-c", str(root / "nginx.conf")], stdout=log, stderr=log)
        try:
            end = time.monotonic() + START
            while not (root / "pid").exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            if process.poll() is not None:
                raise RuntimeError(f"nginx did not start: {(root / 'output.log').read_text()} {(root / 'error.log').read_text()}")
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def ministack(directory: Path, *, tls: bool = False) -> Iterator[Server]:
    """Run ministack with authentication on. Its log is in `directory`. With `tls`, it and its functions speak only TLS."""
    port, scheme = free_port(), "https" if tls else "http"
    secured, certificates = _certificates(directory) if tls else ({}, None)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",  # it would listen on all interfaces
        "SFTP_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **secured,
    }
    with (directory / "ministack.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "ministack"], env=environ, cwd=directory, stdout=log, stderr=log)
        try:
            _await(f"{scheme}://127.0.0.1:{port}/_ministack/health", process, directory / "ministack.log", certificates)
            origin = f"{scheme}://127.0.0.1:{port}"
            yield Server(origin=origin, region="us-east-1", access_key="test", secret_key="test", certificates=certificates)
        finally:
            process.terminate()
            try:
                process.wait(2)  # it would wait for functions and long polls, which end with it
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def ceph(directory: Path, *, sts: bool = False, https: tuple[int, Path] | None = None, day: int | None = None) -> Iterator[Server]:
    """Run a Ceph RGW in memory. Its configuration and logs are in `directory`.

    Args:
        directory: for its files.
        sts: whether it offers roles and sessions; its errors then say less about signatures.
        https: another port, for TLS, and a PEM file with key and certificate.
        day: seconds that a day of lifecycle rules lasts.
    """
    access_key = secret_key = "test"  # ministack's root keys, because a deployment uses one pair for all servers
    root, port = directory / "ceph", free_port()
    arguments = [str(root), str(port), str(free_port()), access_key, secret_key, "true" if sts else "false"]
    arguments += [str(https[0]), str(https[1])] if https else ["", ""]
    arguments += [str(day)] if day else []
    try:
        subprocess.run(["bash", str(HERE / "ceph" / "start.sh"), *arguments], check=True, timeout=START)
        yield Server(origin=f"http://127.0.0.1:{port}", region="us-east-1", access_key=access_key, secret_key=secret_key)
    finally:
        if (root / "pids").exists():
            subprocess.run(["bash", str(HERE / "ceph" / "stop.sh"), str(root)], check=True)


def _certificates(directory: Path) -> tuple[dict[str, str], Path]:
    """Make an authority, and a certificate for ministack. Return ministack's variables, and the file that its clients must trust."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost", "*.execute-api.localhost")
    chain, key, trusted = (directory / name for name in ("chain.pem", "key.pem", "authority.pem"))
    chain.write_bytes(b"".join(each.bytes() for each in (*issued.cert_chain_pems, authority.cert_pem)))  # its functions trust the chain
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))
    return {"USE_SSL": "1", "MINISTACK_SSL_CERT": str(chain), "MINISTACK_SSL_KEY": str(key)}, trusted


def _await(url: str, process: subprocess.Popen[bytes], log: Path, certificates: Path | None = None) -> None:
    end, trust = time.monotonic() + START, ssl.create_default_context(cafile=certificates) if certificates else None
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5, context=trust):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
