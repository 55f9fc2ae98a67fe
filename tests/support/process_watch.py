"""Watches a command's processes while it runs, and checks that none is left afterwards."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

#: Seconds for a process to end.
PATIENCE = 90.0


class ProcessWatch:
    """The processes seen while a command ran."""

    def __init__(self) -> None:
        self.pids: set[int] = set()

    def see(self, pid: int) -> None:
        """Remember a process and its descendants."""
        self.pids |= {pid, *descendants(pid)}

    def read_until(self, process: subprocess.Popen[str], text: str) -> str:
        """Read its output until this text appears; an empty text means to the end."""
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            self.see(process.pid)
            if text and text in line:
                return seen
        assert not text, f"it ended without {text!r}:\n{seen}"
        return seen

    def read_to_end(self, process: subprocess.Popen[str]) -> str:
        """Read all its output and wait for its end."""
        output = self.read_until(process, "")
        process.wait(PATIENCE)
        return output

    def assert_gone(self, *, ports: list[int]) -> None:
        """Assert that within 20 s no process is left, and that none listens on these ports."""
        end = time.monotonic() + 20
        while (left := [command_line(pid) for pid in self.pids if command_line(pid)]) and time.monotonic() < end:
            time.sleep(0.1)
        assert not left
        assert not listening() & set(ports)


def descendants(pid: int) -> set[int]:
    """Return the descendants of a process."""
    parents: dict[int, list[int]] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                fields = (each / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            parents.setdefault(int(fields[1]), []).append(int(each.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def command_line(pid: int) -> str:
    """Return a process's command line; empty if it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def listening() -> set[int]:
    """Return the TCP ports with a listener."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(fields[1].rpartition(":")[2], 16) for fields in map(str.split, lines) if fields[3] == "0A"}
