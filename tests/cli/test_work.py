"""What signals do to `offpoll work`. Real workers that get them are in tests/integration/test_workers.py."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from offpoll.cli import work


class Worker:
    """Notes what it is told."""

    held = 0

    def __init__(self) -> None:
        self.told: list[str] = []

    def drain(self) -> None:
        self.told.append("drain")

    def stop(self) -> None:
        self.told.append("stop")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_two_signals(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first signal drains and sets no limit; the second stops, and the process is left after the patience that it was given."""
    left: list[tuple[float, int]] = []
    monkeypatch.setattr(work, "_leave_after", lambda seconds, *, code: left.append((seconds, code)))
    worker = Worker()

    async def main() -> None:
        with work._signals(worker, patience=25.0):  # type: ignore[arg-type]
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)
            assert (worker.told, left) == (["drain"], [])
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)

    asyncio.run(main())
    assert (worker.told, left) == (["drain", "stop"], [(25.0, 1)])
