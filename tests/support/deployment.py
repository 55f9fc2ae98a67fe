"""A deployment on this machine: resources in a real server, and the API and workers in processes, started as users do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.servers import free_port

from offpoll import Client, Settings
from offpoll.cli.dev.resources import Resources

HERE = Path(__file__).parent

#: Seconds to wait for anything. Generous, because the machine is shared and no test measures speed.
PATIENCE = 60.0


@dataclass
class Process:
    """A process of the deployment, and its output."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")

    def await_line(self, text: str) -> None:
        """Wait until its output has this text."""
        await_true(lambda: text in self.output or self.popen.poll() is not None, f"{text!r} in the log:\n{self.output}")
        assert text in self.output, self.output

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> int:
        """End it as systemd would, and return its exit code."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.popen.poll() is None:
                self.popen.send_signal(number)
            try:
                return self.popen.wait(10)
            except subprocess.TimeoutExpired:
                continue
        return self.popen.wait()


@dataclass
class Deployment:
    """An app in processes.

    Args:
        resources: that it works with.
        directory: for logs and notes.
        environ: further variables.
    """

    resources: Resources
    directory: Path
    environ: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    api: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of its processes."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
        own = {"OFFPOLL_SECRET": "s" * 32, "AWS_EC2_METADATA_DISABLED": "true", "NOTES": str(self.directory / "notes")}
        return {**inherited, **self.resources.environ(), **own, **self.environ}

    def serve(self, *options: str) -> Process:
        """Start the API and wait until it listens."""
        port = free_port()
        self.api = f"http://127.0.0.1:{port}"
        process = self._start("serve", "--port", str(port), *options)
        await_true(lambda: answers(f"{self.api}/livez") or process.popen.poll() is not None, "the API to listen")
        assert process.popen.poll() is None, process.output
        return process

    def work(self, *options: str) -> Process:
        """Start a worker and wait until it works."""
        process = self._start("work", *options)
        process.await_line("working on")
        return process

    def client(self, **options: Any) -> Client:
        """Return a client of the API."""
        return Client(self.api, **options)

    def notes(self) -> list[tuple[str, int, str]]:
        """Return the handlers' notes: operation id, attempt, what happened."""
        path = self.directory / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(each.split()[0], int(each.split()[1]), each.split()[2]) for each in lines]

    def boto3(self, service: str, *, endpoint: str = "") -> Any:
        """Return a boto3 client with root's keys."""
        import boto3

        where = {"endpoint_url": endpoint or self.resources.endpoint, "region_name": "us-east-1" if endpoint else "eu-west-1"}
        return boto3.client(service, **where, aws_access_key_id="test", aws_secret_access_key="test")

    def messages(self) -> int:
        """Return how many messages the queue holds, in any state."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
        found = self.boto3("sqs").get_queue_attributes(QueueUrl=self.resources.queue_urls[0], AttributeNames=list(names))["Attributes"]
        return sum(int(found[name]) for name in names)

    def close(self) -> None:
        """End every process."""
        for process in self.processes:
            process.end()

    def _start(self, command: str, *options: str) -> Process:
        log = self.directory / f"{command}-{len(self.processes)}.log"
        with log.open("w") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", "offpoll.cli.main", command, "app_for_integration:app", *options],
                cwd=HERE,
                env=self.variables,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(Process(popen, log))
        return self.processes[-1]


@contextmanager
def deployed(resources: Resources, directory: Path, **environ: str) -> Iterator[Deployment]:
    """Yield a deployment whose processes end with the test."""
    deployment = Deployment(resources, directory, environ=environ)
    try:
        yield deployment
    finally:
        deployment.close()


def settings(**given: Any) -> Settings:
    """Return settings for making resources."""
    return Settings(secret="s" * 32, **given)


def await_true(condition: Any, what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}"
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Tell whether a URL answers."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def request(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], Any]:
    """Send a request, and return the status, the headers with lowercase names, and the JSON or the bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    try:
        response = urllib.request.urlopen(sent, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        content, named = response.read(), {name.lower(): value for name, value in response.headers.items()}
        return response.status, named, json.loads(content) if "json" in named.get("content-type", "") else content
