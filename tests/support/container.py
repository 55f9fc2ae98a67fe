"""Runs commands in an image that `image` built, as containers that share one empty network. Ends only its own processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.image import PATH, Image, Mount

__all__ = ["Container", "Network", "network"]

#: Seconds for a container to mount its file system.
ENTRY = 20.0

#: Brings loopback up, says so, and stays until its stdin is closed.
_LOOPBACK = """
import fcntl, socket, struct, sys
UP, LOOPBACK, RUNNING = 0x1, 0x8, 0x40
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH22x", b"lo", UP | LOOPBACK | RUNNING))
print("up", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network with only loopback. Containers share it, as in a pod."""

    pid: int


@contextmanager
def network() -> Iterator[Network]:
    """Make a network, which ends with the block, or with this process."""
    holder = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", _LOOPBACK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin
    assert holder.stdout
    try:
        assert holder.stdout.readline() == "up\n"
        yield Network(pid=holder.pid)
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()


class Container:
    """A command that runs in an image, as process 1 in a new process namespace. Its output goes to a file."""

    def __init__(self, image: Image, process: subprocess.Popen[bytes], log: Path) -> None:
        self._image, self.process, self.log = image, process, log

    @classmethod
    @contextmanager
    def run(
        cls, image: Image, command: Sequence[str], *, environ: Mapping[str, str], net: Network, log: Path,
        mounts: Sequence[Mount] = (), access: str = "rw",
    ) -> Iterator[Container]:  # fmt: skip
        """Start a container, and kill it at the end of the block if it still runs."""
        with log.open("wb") as file:
            arguments = image.arguments(command, environ=environ, mounts=mounts, access=access, net=net.pid)
            process = subprocess.Popen(arguments, env={"PATH": PATH}, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        container = cls(image, process, log)
        try:
            container._await_entry()
            yield container
        finally:
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended by itself
                os.kill(container.first or process.pid, signal.SIGKILL)
            process.wait(10)

    @property
    def first(self) -> int:
        """Its process 1, by its id on this machine."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _await_entry(self) -> None:
        """Wait until process 1 is in its file system. A command executed beside it before then would run outside."""
        end = time.monotonic() + ENTRY
        while self.process.poll() is None and not (self.first and os.readlink(f"/proc/{self.first}/root") == str(self._image.root)):
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def execute(self, command: Sequence[str], *, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `docker exec` and HEALTHCHECK do."""
        variables = [f"{name}={value}" for name, value in self._image.environ.items()]
        user, _, group = self._image.user.partition(":")
        spaces = ["--mount", "--pid", "--net", "--root", "--wd"]
        inside = ["nsenter", f"--target={self.first}", *spaces, f"--setuid={user}", f"--setgid={group or 0}"]
        return subprocess.run(
            [*inside, "/usr/bin/env", "-i", *variables, *command], check=False, capture_output=True, text=True, timeout=timeout
        )
