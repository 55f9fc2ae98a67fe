"""What `serve` and `work` check before they start, and how they end."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers import Server, free_port

Start = Callable[..., subprocess.Popen[str]]
Run = Callable[..., Any]

PATIENCE = 60.0


WRONG = [
    ("serve", {"OFFPOLL_BUCKET": "another-bucket"}, "another-bucket"),
    ("work", {"OFFPOLL_BUCKET": "another-bucket"}, "another-bucket"),
    ("serve", {"OFFPOLL_RECORDS_TABLE": "another-table"}, "another-table"),
    ("serve", {"OFFPOLL_QUEUE_URL": "http://127.0.0.1/000000000000/another-queue"}, "another-queue"),
    ("work", {"OFFPOLL_DEAD_LETTER_QUEUE_URL": "http://127.0.0.1/000000000000/no-dead-letters"}, "no-dead-letters"),
    ("work", {"OFFPOLL_PARKING_QUEUE_URL": "http://127.0.0.1/000000000000/no-parking"}, "no-parking"),
    ("serve", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS_SECRET_ACCESS_KEY"),
    ("serve", {"AWS_ACCESS_KEY_ID": "AKIAWRONGWRONGWRONG0"}, "AWS_ACCESS_KEY_ID"),
    ("work", {"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID"),
    ("work", {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "AWS_REGION"),
]


@pytest.mark.parametrize(("command", "wrong", "text"), WRONG, ids=[f"{command}-{text}" for command, _, text in WRONG])
def test_a_refusal_prevents_the_start(offpoll: Run, resources: dict[str, str], command: str, wrong: dict[str, str], text: str) -> None:
    """A wrong name, permission or key ends the command at once, with the remedy."""
    ended = offpoll(command, "shop:app", **{**resources, **wrong})
    assert ended.code == 2, ended.err
    assert ended.err.startswith("offpoll: configuration error: ")
    assert text in ended.err
    assert "Traceback" not in ended.err


def test_the_api_starts_during_an_outage(start: Start, resources: dict[str, str]) -> None:
    """It starts with a warning, responds, is ready for what needs no store, and ends cleanly on a signal."""
    port = free_port()
    process = start("serve", "shop:app", "--port", str(port), **{**resources, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    assert responds(f"http://127.0.0.1:{port}/livez?X-Amz-Signature=abc") == b'{"status":"ok"}'
    assert responds(f"http://127.0.0.1:{port}/readyz") == b'{"status":"degraded","unavailable":"S3"}'  # queue and table answer
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert "starting anyway" in output
    assert '127.0.0.1 "GET /livez" 200' in output
    assert "X-Amz" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_several_processes_end_cleanly(start: Start, resources: dict[str, str], number: int) -> None:
    """Exit code 0, and nothing listens any more."""
    port = free_port()
    process = start("serve", "shop:app", "--port", str(port), "--workers", "2", **resources)
    assert responds(f"http://127.0.0.1:{port}/livez") == b'{"status":"ok"}'
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5)


def test_a_taken_port(offpoll: Run, resources: dict[str, str], ministack_server: Server) -> None:
    """The error comes before anything starts."""
    port = ministack_server.origin.rpartition(":")[2]
    ended = offpoll("serve", "shop:app", "--port", port, **resources)
    assert ended.code == 2
    assert f"127.0.0.1:{port}: Address already in use" in ended.err
    assert "--port" in ended.err


@pytest.mark.parametrize("options", [(), ("--processes", "2"), ("--no-dead-letters",)])
def test_a_worker_drains(start: Start, resources: dict[str, str], options: tuple[str, ...]) -> None:
    """The worker logs what it works on. If it holds nothing, the first signal ends it with exit code 0."""
    process = start("work", "shop:app", *options, **resources)
    until(process, "working on order")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert "draining" in output
    assert "drained" in output


def test_a_thread_that_cannot_be_stopped_is_left_behind(start: Start, folder: Path, resources: dict[str, str]) -> None:
    """After the second signal the process ends although a plain function still sleeps in it; the exit code shows that."""
    (folder / "shop.py").write_text(
        "import time\nfrom offpoll import Offpoll\napp = Offpoll()\n"
        "@app.operation('nap')\ndef nap(seconds: int) -> None:\n    print('asleep', flush=True)\n    time.sleep(seconds)\n"
    )
    process = start("work", "shop:app", **resources)
    until(process, "working on nap")
    submit(resources, "nap", 300)
    until(process, "asleep")
    process.send_signal(signal.SIGTERM)
    until(process, "draining: ")
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, output
    assert "is abandoned" in output
    assert time.monotonic() - started < 30


def submit(variables: dict[str, str], kind: str, value: Any) -> None:
    """Submit an operation without an API."""
    from offpoll import Offpoll, connect

    app = Offpoll()

    @app.operation(kind)
    def handler(value: Any) -> None:
        """Do nothing: the worker has the real handler."""

    blocking = connect(app, environ=variables)
    blocking.submit(kind, value)
    blocking.close()


def responds(url: str) -> bytes:
    """Ask until something responds."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bytes(response.read())
        except OSError:
            assert time.monotonic() < end, f"nothing responds at {url}"
            time.sleep(0.05)


def until(process: subprocess.Popen[str], text: str) -> None:
    """Read a process's output until this text appears."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return
    raise AssertionError(f"it ended without {text!r}:\n{seen}")
