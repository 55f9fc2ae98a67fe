"""Starts the embedded AWS: ministack as a child process, on loopback only, with signatures and policies enforced.

Its data is in memory and ends with it. Its root keys bypass every policy; only `dev` uses them, to create the resources.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from offpoll.cli.dev.children import Children
from offpoll.cli.options import free_port
from offpoll.errors import OffpollError

__all__ = ["REGION", "ROOT", "require", "start_emulator"]

REGION = "eu-west-1"

#: Access key and secret key of the embedded account's root.
ROOT = "test"

#: How long it may take to start, seconds. It needs half a second, and more from a cold disk.
PATIENCE = 60.0

#: How long it may take to end by itself, seconds. It would wait for long polls without a listener, and has nothing to lose.
LAST_WORDS = 0.2

#: The variables that it inherits. No AWS variable: the user's session token would not fit its keys.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV", "PYTHONPATH")


def require(*, reload: bool) -> None:
    """Check that the modules that `dev` needs besides the server are installed.

    Raises:
        ModuleNotFoundError: an extra is not installed.
    """
    for name in ("ministack", "boto3", *(["watchfiles"] if reload else [])):
        if find_spec(name) is None:
            raise ModuleNotFoundError(name, name=name)


async def start_emulator(children: Children, data: Path, *, port: int = 0) -> str:
    """Start the embedded AWS on this port, or on a free one, and return its address once it listens.

    Raises:
        OffpollError: it did not listen in time.
    """
    port = port or free_port("127.0.0.1", 0)
    log, scratch = data / "emulator.log", data / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)  # holds the pid file of one that was killed
    scratch.mkdir(exist_ok=True)
    environ = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",  # it would listen on all interfaces
        "SFTP_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": ROOT,
        "AWS_SECRET_ACCESS_KEY": ROOT,
        "TMPDIR": str(scratch),
    }
    await children.start("the embedded AWS", "ministack", [], environ=environ, log=log, patience=LAST_WORDS)
    await listening("127.0.0.1", port, within=PATIENCE, what=f"the embedded AWS ({log})")
    return f"http://127.0.0.1:{port}"


async def listening(host: str, port: int, *, within: float, what: str) -> None:
    """Wait until a server listens.

    Raises:
        OffpollError: none did in time.
    """
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    _, writer = await asyncio.open_connection(host, port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return
    except TimeoutError:
        raise OffpollError(f"{what} did not start within {within:g} s") from None
