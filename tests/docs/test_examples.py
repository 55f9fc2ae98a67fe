"""The documentation's examples run. `pages` says how each is run."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
from tests.support.memory_dependencies import memory_dependencies
from tests.support.pages import PYTHON, Block, blocks, named

import offpoll
from offpoll import AsyncService, AsyncStatusBoard, Offpoll, Service, Settings, StatusBoard
from offpoll.document_store import MemoryDocumentStore
from offpoll.testing import System, run, system

Load: TypeAlias = Callable[[Block], types.ModuleType]


def how(*ways: str) -> pytest.MarkDecorator:
    chosen = [block for block in PYTHON if block.how in ways]
    return pytest.mark.parametrize("block", chosen, ids=map(named, chosen))


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Give a function that loads a `file:` block as a module for one test; docs/service.md's `orders` is there from the start."""

    def load(block: Block) -> types.ModuleType:
        module = types.ModuleType(block.file.removesuffix(".py"))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        block.run(module.__dict__)
        return module

    load(next(block for block in PYTHON if block.file == "orders.py"))
    return load


@pytest.fixture
def orders(modules: object) -> Iterator[System]:
    """The orders of docs/service.md, in memory."""
    with system(sys.modules["orders"].app) as running:
        yield running


def memory_service(app: Offpoll) -> Service:
    return Service(AsyncService(app, settings=Settings(secret="0" * 32), dependencies=memory_dependencies()))


def test_every_python_block_says_how_it_is_run() -> None:
    """No example is left untested by accident."""
    known = {"run", "submit", "blocking", "board", "celery"}
    assert [named(block) for block in PYTHON if not block.file and block.how not in known] == []


@how("run")
def test_client_examples_run(block: Block, orders: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders of docs/service.md answer them, in memory."""
    monkeypatch.setattr(offpoll, "Client", lambda url: orders.client, raising=False)
    monkeypatch.setattr(offpoll, "AsyncClient", lambda url: orders.async_client, raising=False)
    names: dict[str, Any] = {}
    block.run(names, loop=orders.run)
    assert names["order"]["quantity"] == 2


@how("submit")
def test_submit_examples_run(block: Block, orders: System) -> None:
    """A service's own submit gives a ticket to answer with."""
    names: dict[str, Any] = {"service": orders.service}
    block.run(names, loop=orders.run)
    body, status, headers = names["answer"]
    assert (body["status"], status, headers["location"]) == ("queued", 202, f"/order/{body['id']}")


@how("blocking")
def test_blocking_examples_run(block: Block, modules: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sync code submits without a loop of its own."""
    monkeypatch.setattr(offpoll, "connect", memory_service, raising=False)
    names: dict[str, Any] = {}
    block.run(names)
    with names["service"]:
        body, status, _ = names["create_order"](b'{"sku": "A1", "quantity": 2}', "ada", None)
    assert (body["status"], status) == ("queued", 202)


@pytest.mark.parametrize("page", sorted({block.page for block in PYTHON if block.how == "board"}), ids=lambda page: page.name)
def test_board_examples_run(page: Path) -> None:
    """What is published last is what a reader sees."""
    board = AsyncStatusBoard(store=MemoryDocumentStore())
    names: dict[str, Any] = {"board": board}
    ends = []
    for block in PYTHON:
        if (block.page, block.how) == (page, "board"):
            block.run(names)
            stored = asyncio.run(board.read(board.key(names["operation_id"], owner="ada" if '"ada"' in block.code else "public")))
            assert stored is not None
            ends.append((stored.document.status, stored.document.result))
    assert ("succeeded", {"confirmed": True}) in ends


def test_the_celery_example_runs(modules: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that raises is retried, and each attempt is published as one; a terminal document stays."""
    store = MemoryDocumentStore()

    async def nothing_to_close() -> None: ...

    with StatusBoard(AsyncStatusBoard(store=store), nothing_to_close) as board:
        monkeypatch.setattr(offpoll, "status_board", lambda **_: board, raising=False)
        monkeypatch.setitem(sys.modules, "celery", SimpleNamespace(Celery=_Celery))
        names: dict[str, Any] = {}
        next(block for block in PYTHON if block.how == "celery").run(names)
        for operation_id, order, end in (("1" * 32, {"sku": "A1"}, "succeeded"), ("2" * 32, {}, "failed")):
            board.open(operation_id, kind="order")
            names["create_order"](operation_id, order)
            stored = asyncio.run(AsyncStatusBoard(store=store).read(f"status/public/{operation_id}"))
            assert stored is not None
            assert (stored.document.status, stored.document.attempt) == (end, 1 if end == "succeeded" else 3)


class _Celery:
    """Runs tasks at once, and again as often as they say."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    class Retry(Exception):  # noqa: N818 - Celery's own name
        """Ends an attempt."""

    def task(self, *, bind: bool, max_retries: int, **_: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
        def decorate(function: Callable[..., None]) -> Callable[..., None]:
            def call(*arguments: object) -> None:
                for retries in range(max_retries + 1):
                    this = SimpleNamespace(
                        request=SimpleNamespace(retries=retries), max_retries=max_retries, retry=lambda **_: _Celery.Retry()
                    )
                    with suppress(_Celery.Retry):
                        function(this, *arguments)
                        return

            return call

        return decorate


def test_the_own_api_examples_answer(modules: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routes under a prefix know callers, refuse strangers, and make links that lead to them."""
    for block in (block for block in PYTHON if block.file == "shop.py"):
        with system(sys.modules["orders"].app) as running:
            monkeypatch.setattr(offpoll, "async_connect", lambda app, service=running.service: service, raising=False)
            api = modules(block).api
            status, _ = running.run(post(api, "/v1/order", authorization=None))
            assert status == 401
            paths = ["/v1/order", *(["/checkout"] if '"/checkout"' in block.code else [])]
            for path in paths:
                status, body = running.run(post(api, path, authorization="Bearer secret-of-ada"))
                assert (status, body["links"]["self"]) == (202, f"https://shop.example.com/v1/order/{body['id']}")
            running.advance(10)
            assert running.run(running.service.get("order", body["id"], owner="ada")).document.status == "succeeded"


async def post(api: Any, path: str, *, authorization: str | None) -> tuple[int, Any]:
    """Call an ASGI application, without a server."""
    headers = [(b"host", b"shop.example.com"), (b"content-type", b"application/json")]
    if authorization is not None:
        headers.append((b"authorization", authorization.encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "https", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers, "server": ("shop.example.com", 443),
    }  # fmt: skip
    incoming = [{"type": "http.request", "body": b'{"sku": "A1", "quantity": 2}', "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await api(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


_TESTS = [block for block in PYTHON if block.file.startswith("test_")]


@pytest.mark.parametrize("block", _TESTS, ids=map(named, _TESTS))
def test_the_test_examples_pass(block: Block, modules: Load, offpoll_system: Callable[..., System]) -> None:
    """They are run as pytest would, with the fixture that comes with the package."""
    module = modules(block)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test(**({"offpoll_system": offpoll_system} if inspect.signature(test).parameters else {}))


def test_the_board_of_the_library_page_signs_links(modules: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines make a working board, without I/O."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(name, value)
    board = modules(next(block for block in PYTHON if block.file == "status.py")).board
    link = board.link(board.key("0" * 32, owner="ada"))
    assert link.href.startswith(f"https://shop-status.s3.eu-west-1.amazonaws.com/status/ada/{'0' * 32}?X-Amz-")


def test_the_idempotent_handler_takes_from_stock_once(modules: Load) -> None:
    """Two attempts of one operation have one effect; another operation has its own."""
    warehouse = modules(next(block for block in PYTHON if block.file == "warehouse.py"))
    for operation_id, attempt in (("1" * 32, 1), ("1" * 32, 2), ("2" * 32, 1)):
        result = run(warehouse.reserve, {"sku": "A1", "quantity": 3}, operation_id=operation_id, attempt=attempt)
        assert result.status == "succeeded"
    assert warehouse.table.execute("select quantity from stock").fetchone() == (4,)
    warehouse.table.close()


def test_the_contract_example_has_its_fixture(modules: Load) -> None:
    """It overrides the fixture that the suite leaves open, and inherits the tests."""
    suite = modules(next(block for block in PYTHON if block.file == "my_store.py")).TestMyStore
    assert "store" in vars(suite)
    assert any(name.startswith("test_") for name in dir(suite))


_SHELL = blocks("bash", "sh")


@pytest.mark.parametrize("block", _SHELL, ids=map(named, _SHELL))
def test_shell_examples_have_no_syntax_errors(block: Block) -> None:
    """They are not run here: they need an API, or an AWS account."""
    subprocess.run(["bash", "-n"], input=block.code, text=True, check=True, capture_output=True)


_JSON = blocks("json")


@pytest.mark.parametrize("block", _JSON, ids=map(named, _JSON))
def test_json_examples_are_json(block: Block) -> None:
    """They can be pasted."""
    json.loads(block.code)
