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
from contextlib import ExitStack, suppress
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


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `connect` return services in memory, which are closed at the end."""
    with ExitStack() as made:
        monkeypatch.setattr(offpoll, "connect", lambda app: made.enter_context(memory_service(app)), raising=False)
        yield


ORDER = b'{"sku": "A1", "quantity": 2}'


def plays_an_order(send: Callable[..., tuple[int, Any]]) -> None:
    """Submit, fetch, renew the link and cancel, at `/v1`, given how a request is sent with its body."""
    status, ticket = send("POST", "/v1/order", ORDER)
    assert (status, ticket["links"]["self"]) == (202, f"http://shop.example.com/v1/order/{ticket['id']}")
    assert send("POST", "/v1/order/", ORDER)[0] == 202
    at = f"/v1/order/{ticket['id']}"
    assert send("GET", at)[1]["status"] == "queued"
    assert send("POST", f"{at}/status-link")[1].keys() == {"href", "expires_at"}
    assert send("POST", f"{at}/cancel")[1]["status"] == "canceled"
    assert send("GET", f"/v1/order/{'0' * 32}")[0] == 404
    assert send("PUT", "/v1/order", ORDER)[0] == 405
    assert send("GET", "/v1/livez")[0] == 200


@pytest.mark.usefixtures("connected")
def test_the_flask_example(modules: Load) -> None:
    """Flask's own routes and offpoll's answer side by side; strangers are refused."""
    client = modules(next(block for block in PYTHON if block.file == "shop_flask.py")).api.test_client()

    def send(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        given = {"authorization": "Bearer secret-of-ada", "content-type": "application/json", **headers}
        answer = client.open(path, method=method, data=body, headers=given, base_url="http://shop.example.com")
        return answer.status_code, answer.json

    plays_an_order(send)
    assert send("POST", "/v1/order", ORDER, authorization="")[0] == 401
    assert client.get("/").text == "the shop"


@pytest.mark.usefixtures("connected")
def test_the_django_example(modules: Load) -> None:
    """A Django view answers for all routes, by a URL pattern, although a middleware has read the body before it."""
    django = pytest.importorskip("django")
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.test import Client

    def reading(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
        def middleware(request: HttpRequest) -> HttpResponse:
            assert request.body is not None
            return get_response(request)

        return middleware

    module = modules(next(block for block in PYTHON if block.file == "shop_django.py"))
    module.reading = reading
    if not settings.configured:
        csrf = "django.middleware.csrf.CsrfViewMiddleware"
        settings.configure(ROOT_URLCONF="shop_django", ALLOWED_HOSTS=["*"], MIDDLEWARE=["shop_django.reading", csrf], SECRET_KEY="s")
        django.setup()
    client = Client(enforce_csrf_checks=True, headers={"host": "shop.example.com"})

    def send(method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        answer = client.generic(method, path, body, content_type="application/json")
        return answer.status_code, json.loads(answer.content)

    plays_an_order(send)


@pytest.mark.usefixtures("connected")
def test_the_session_example(modules: Load) -> None:
    """The view says who calls: each user has its own operations."""
    api = modules(next(block for block in PYTHON if block.file == "shop_sessions.py")).api
    api.secret_key = "s"
    ada, bob = api.test_client(), api.test_client()
    assert ada.post("/v1/order", data=ORDER).status_code == 401
    for client, name in ((ada, "ada"), (bob, "bob")):
        with client.session_transaction() as session:
            session["user"] = name
    at = f"/v1/order/{ada.post('/v1/order', data=ORDER).json['id']}"
    assert (ada.get(at).status_code, bob.get(at).status_code) == (202, 404)


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
