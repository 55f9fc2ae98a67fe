"""`offpoll dev`, as a user runs it: every part in a process, and nothing left at the end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.process_watch import ProcessWatch, command_line, descendants
from tests.support.servers import free_port

pytestmark = pytest.mark.ministack

Start = Callable[..., subprocess.Popen[str]]
Run = Callable[..., Any]

PATIENCE = 90.0


def test_once_shows_an_operation_and_leaves_nothing(start: Start, folder: Path) -> None:
    """Exit code 0, a two-line summary, every host that was asked, and neither a process nor a port left."""
    port = free_port()
    process = start("dev", "shop:app", "--once", "--port", str(port))
    group = ProcessWatch()
    output = group.read_to_end(process)
    assert process.returncode == 0, output
    assert len(re.findall("^API requests: 2$", output, re.MULTILINE)) == 1, output
    polls = re.findall("^Polls to the object store: ([0-9]+)$", output, re.MULTILINE)
    assert len(polls) == 1
    emulator = re.search("object store (http://127.0.0.1:([0-9]+))", output)
    assert emulator is not None
    asked = re.findall(r"GET +200 +object store +(127.0.0.1:\d+) ", output)
    assert asked == [f"127.0.0.1:{emulator[2]}"] * int(polls[0])
    assert len(re.findall(f"(POST +202|GET +200) +API +127.0.0.1:{port} ", output)) == 2
    assert '"sku": "A1"' in output
    assert "X-Amz-" not in output
    group.assert_gone(ports=[port, int(emulator[2])])
    assert (folder / ".offpoll" / "secret").stat().st_mode & 0o777 == 0o600
    assert (folder / ".offpoll" / ".gitignore").read_text() == "*\n"
    assert not (folder / ".offpoll" / "env").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_all_of_it(start: Start, folder: Path, number: int) -> None:
    """A terminate or kill signal leaves neither process nor port."""
    port = free_port()
    process = start("dev", "shop:app", "--no-example", "--port", str(port))
    group = ProcessWatch()
    group.read_until(process, "Ctrl-C ends everything")
    group.see(process.pid)
    assert len(descendants(process.pid)) == 3  # the embedded AWS, API, worker
    process.send_signal(number)
    process.wait(PATIENCE)
    assert process.returncode == (-number if number == signal.SIGKILL else 0)
    group.assert_gone(ports=[port])
    assert (folder / ".offpoll" / "env").exists() == (number == signal.SIGKILL)


@pytest.mark.parametrize("name", ["serve", "work", "ministack"])
def test_a_child_that_dies_ends_all_of_it(start: Start, name: str) -> None:
    """The output names the child and its exit code; nothing is left, and the exit code is not 0."""
    port = free_port()
    process = start("dev", "shop:app", "--no-example", "--port", str(port))
    group = ProcessWatch()
    group.read_until(process, "Ctrl-C ends everything")
    group.see(process.pid)
    os.kill(next(pid for pid in group.pids if name in command_line(pid) and pid != process.pid), signal.SIGKILL)
    output = group.read_to_end(process)
    assert process.returncode == 1
    assert "ended by itself with exit code -9" in output
    group.assert_gone(ports=[port])


def test_an_app_without_an_example_is_told_how_to_add_one(start: Start, folder: Path) -> None:
    """Nothing is submitted, and with --once that is a failure, so that a script notices."""
    (folder / "shop.py").write_text(
        "from typing import Annotated\nfrom pydantic import AfterValidator\nfrom offpoll import Offpoll\napp = Offpoll()\n"
        "def known(sku: str) -> str:\n    raise ValueError('there is no such sku')\n"
        "@app.operation('order')\ndef order(value: Annotated[str, AfterValidator(known)]) -> str:\n    return value\n"
    )
    process = start("dev", "shop:app", "--once", "--port", "0")
    output = ProcessWatch().read_to_end(process)
    assert process.returncode == 1, output
    assert "No example to submit" in output
    assert "examples" in output


def test_an_example_that_fails_is_a_failure(start: Start, folder: Path) -> None:
    """`--once` exits with 1 if the operation did not succeed."""
    shop = folder / "shop.py"
    shop.write_text(shop.read_text().replace("return {", "from offpoll import Fail; raise Fail('sold_out', 'No.'); return {"))
    process = start("dev", "shop:app", "--once", "--port", "0")
    output = ProcessWatch().read_to_end(process)
    assert process.returncode == 1
    assert "sold_out" in output


def test_a_lifespan_that_fails_ends_it(start: Start, folder: Path) -> None:
    """The output has the reason, and nothing hangs."""
    shop = folder / "shop.py"
    shop.write_text(
        shop.read_text().replace("app = Offpoll()", "def lifespan(app): raise RuntimeError('no table')\napp = Offpoll(lifespan=lifespan)")
    )
    process = start("dev", "shop:app", "--once", "--port", "0")
    output = ProcessWatch().read_to_end(process)
    assert process.returncode == 1
    assert "no table" in output
    assert "ended by itself" in output


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("jq"), reason="needs curl and jq")
def test_the_printed_commands_work(start: Start) -> None:
    """The printed commands can be pasted, and need no client."""
    process = start("dev", "shop:app", "--port", "0")
    output = ProcessWatch().read_until(process, "Ctrl-C ends everything")
    lines = [line.strip() for line in output.splitlines() if re.match(r"  (API=|curl )", line)]
    assert len(lines) == 3
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 0, ran.stderr
    status, _, order = ran.stdout.partition("\n")
    assert status in ('"queued"', '"running"', '"succeeded"')
    assert json.loads(order) == {"sku": "A1"}


def test_a_signal_before_the_end_of_the_example(start: Start, folder: Path) -> None:
    """With --once that is no failed example: it has its own exit code."""
    shop = folder / "shop.py"
    shop.write_text(shop.read_text().replace("return {", "__import__('time').sleep(60); return {"))
    process = start("dev", "shop:app", "--once", "--port", "0")
    group = ProcessWatch()
    group.read_until(process, "running")
    process.send_signal(signal.SIGTERM)
    group.read_to_end(process)
    assert process.returncode == 128 + signal.SIGTERM
    group.assert_gone(ports=[])


def test_nobody_reads(start: Start) -> None:
    """`offpoll dev … | head -1`: everything ends, with the exit code for that."""
    process = start("dev", "shop:app", "--no-example", "--port", "0")
    group = ProcessWatch()
    group.read_until(process, "starting the embedded AWS")
    group.see(process.pid)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
    group.assert_gone(ports=[])


@pytest.mark.parametrize("given", ['{"sku": "B2"}', "@input.json"])
def test_an_input_for_the_example(start: Start, folder: Path, given: str) -> None:
    """It is submitted instead of the type's own example, and stands in the commands to try."""
    (folder / "input.json").write_text('{"sku": "B2"}')
    process = start("dev", "shop:app", "--input", given, "--port", "0")
    output = ProcessWatch().read_until(process, "Ctrl-C ends everything")
    assert 'Submitting: order {"sku": "B2"}' in output
    assert """-d '{"sku": "B2"}'""" in output


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (("shop:app", "--input", '{"sku": 1}'), ("--input: ", "not a valid input for 'order'", "/sku")),
        (("shop:app", "--input", "{"), ("not JSON",)),
        (("shop:app", "--api", "shop:app"), ("shop:app is a Offpoll, and neither an ASGI nor a WSGI application",)),
        (("--api", "shop:app", "--once"), ("leave out --once",)),
        ((), ("name the app",)),
        (("--api", "two:api"), ("two has several apps", "two:app or two:other")),
        (("shop:create_app('x'",), ("write module:attribute",)),
    ],
)
def test_what_is_refused(start: Start, folder: Path, arguments: tuple[str, ...], texts: tuple[str, ...]) -> None:
    """Exit code 2, with what to do, and nothing left."""
    (folder / "two.py").write_text(
        "from shop import app\nfrom offpoll import Offpoll\nother = Offpoll()\ndef api(scope, receive, send): ...\n"
    )
    process = start("dev", *arguments, "--port", "0")
    group = ProcessWatch()
    output = group.read_to_end(process)
    assert process.returncode == 2, output
    for text in texts:
        assert text in output, output
    group.assert_gone(ports=[])


def test_the_environment(start: Start, offpoll: Run, folder: Path) -> None:
    """A program with the environment reaches the same stores; commands in the folder find it; a second `dev` there is refused."""
    process = start("dev", "shop:app", "--port", "0", OFFPOLL_LEASE="45")
    output = ProcessWatch().read_until(process, "Ctrl-C ends everything")
    assert "set -a; . .offpoll/env; set +a" in output
    operation_id = re.findall("POST +202 .*\n(?:.*\n)*? api .*/order/([0-9a-f]{32})", output)[0]
    code = "import os; from offpoll import Settings; print(Settings.load(environ=os.environ).lease)"
    shell = ["env", "-i", "/bin/sh", "-c", f"set -a; . .offpoll/env; set +a; exec {sys.executable} -c '{code}'"]
    assert subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=True).stdout.strip() == "45.0"
    for arguments, text in (
        (("inspect", operation_id), "succeeded"),
        (("stats", "shop:app"), "order"),
        (("submit", "order", "-d", '{"sku": "A1"}', "--wait"), '{\n  "sku": "A1"\n}'),
    ):
        ended = offpoll(*arguments)
        assert (ended.code, text in ended.out, "using the offpoll dev that runs here" in ended.err) == (0, True, True), ended
    second = offpoll("dev", "shop:app", "--port", "0")
    assert (second.code, "offpoll dev already runs" in second.err) == (2, True)


def test_ports_stay_from_run_to_run(start: Start, folder: Path) -> None:
    """The second run has the first one's ports; where one is taken meanwhile, it takes another and says so."""

    def run(*arguments: str) -> tuple[str, str]:
        process = start("dev", "shop:app", "--no-example", *arguments)
        group = ProcessWatch()
        output = group.read_until(process, "Ctrl-C ends everything")
        process.send_signal(signal.SIGINT)
        group.read_to_end(process)
        found = re.search(r"API http://127.0.0.1:(\d+) +object store http://127.0.0.1:(\d+)", output)
        assert found is not None
        return output, ",".join(found.groups())

    _, first = run("--port", "0")
    _, second = run()
    assert second == first
    with socket.create_server(("127.0.0.1", int(first.partition(",")[0]))):
        output, third = run()
    assert f"port {first.partition(',')[0]} is taken: the API gets {third.partition(',')[0]}" in output
    assert third.partition(",")[2] == first.partition(",")[2]


OWN = """
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from offpoll import async_connect
from shop import Order, app
service = async_connect(app)  # while it is imported, as the documentation shows
def create():
    async def lifespan(api):
        async with service.running():
            yield
    from contextlib import asynccontextmanager
    api = FastAPI(lifespan=asynccontextmanager(lifespan))
    @api.post("/checkout")
    async def checkout(order: Order):
        ticket = await service.submit("order", order, owner="ada")
        return JSONResponse(ticket.body, 202, ticket.headers)
    return api
api = create()
"""

FLASK = """
import json
from offpoll import connect
from shop import app
service = connect(app)
def api(environ, start_response):
    ticket = service.submit("order", environ["wsgi.input"].read(), owner="ada")
    start_response("202 Accepted", [("Content-Type", "application/json")])
    return [json.dumps(dict(ticket.body)).encode()]
"""


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        (OWN, ("shop:app", "--api", "own:api")),
        (OWN, ("--api", "own:api")),
        (OWN, ("--api", "own:create()")),
        (FLASK, ("shop:app", "--api", "own:api")),
    ],
    ids=["asgi", "its app is found", "factory", "wsgi"],
)
def test_an_api_of_ones_own(start: Start, offpoll: Run, folder: Path, source: str, arguments: tuple[str, ...]) -> None:
    """It runs beside the worker, with the environment, and an operation that it submits is worked on."""
    (folder / "own.py").write_text(source)
    process = start("dev", *arguments, "--port", "0")
    group = ProcessWatch()
    output = group.read_until(process, "Ctrl-C ends everything")
    address = re.search(r"API (http://127.0.0.1:\d+) ", output)
    assert address is not None
    request = urllib.request.Request(f"{address[1]}/checkout", data=b'{"sku": "A1"}', headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        ticket = json.loads(answer.read())
    assert answer.status == 202
    end = time.monotonic() + PATIENCE
    while json.loads(offpoll("inspect", ticket["id"], "--owner", "ada", "--json").out)["document"]["status"] != "succeeded":
        assert time.monotonic() < end
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    group.read_to_end(process)
    assert process.returncode == 0
    group.assert_gone(ports=[])


def test_an_api_without_any_app(start: Start, folder: Path) -> None:
    """An API that uses the board alone runs with the environment, and no worker does."""
    (folder / "own.py").write_text(
        "import os\nasync def api(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        await send({'type': 'http.response.start', 'status': 200})\n"
        "        await send({'type': 'http.response.body', 'body': os.environ['OFFPOLL_BUCKET'].encode()})\n"
    )
    process = start("dev", "--api", "own:api", "--port", "0")
    output = ProcessWatch().read_until(process, "Ctrl-C ends everything")
    assert "no worker" in output
    address = re.search(r"API (http://127.0.0.1:\d+) ", output)
    assert address is not None
    with urllib.request.urlopen(address[1], timeout=PATIENCE) as answer:
        assert answer.read() == b"offpoll-documents"


def test_reload(start: Start, offpoll: Run, folder: Path) -> None:
    """API and worker run the new code, the stores keep their data, and a file that cannot be imported is said and waited out."""
    process = start("dev", "shop:app", "--reload", "--port", "0")
    group = ProcessWatch()
    output = group.read_until(process, "Ctrl-C ends everything")
    operation_id = re.findall("/order/([0-9a-f]{32})", output)[0]
    shop, source = folder / "shop.py", (folder / "shop.py").read_text()
    shop.write_text("1 / 0\n")
    output = group.read_until(process, "the worker has ended; the reason is above")
    assert "shop.py changed" in output
    assert "ZeroDivisionError" in output
    shop.write_text(source.replace('{"sku": order.sku}', '{"sku": order.sku, "by": "new code"}'))
    group.read_until(process, "✓ starting API and worker again")
    assert offpoll("inspect", operation_id).code == 0
    ended = offpoll("submit", "order", "-d", '{"sku": "A1"}', "--wait")
    assert json.loads(ended.out) == {"sku": "A1", "by": "new code"}
    process.send_signal(signal.SIGINT)
    group.read_to_end(process)
    assert process.returncode == 0
    group.assert_gone(ports=[])
