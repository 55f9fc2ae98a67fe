"""Links begin with the path that the API is published under, as Starlette's `url_for` does: whoever says it, and whoever takes it away."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.fast_apis import FAST, GOOD, World, behind_middleware, by_router, by_serve, call

from offpoll import Settings, application, router
from offpoll.http.proxies import BehindProxies, TrustedProxies

Run = Callable[[Coroutine[Any, Any, Any]], Any]

WAYS = {**FAST, "router": by_router, "behind middleware": behind_middleware}

#: Root path, path: as a server that takes the prefix away says it, and one that does not, or adds it again.
PATHS = [
    ("/api/v1", "/order"),
    ("/api/v1", "/api/v1/order"),
    ("/api", "/api/order"),
    ("/a b", "/order"),
    ("/é", "/é/order"),
    ("/ord", "/order"),
]


def url_for(root_path: str, path: str, run: Run) -> str:
    """Return what Starlette makes of a route's name, in a request like this one."""
    api, found = FastAPI(), []

    @api.post("/order", name="submit")
    async def submit(request: Request) -> None:
        found.append(str(request.url_for("submit")))

    run(call(api, "POST", path, GOOD, root_path=root_path))
    return found[0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("root_path", "path"), PATHS)
def test_links_are_starlettes(run: Run, way: str, root_path: str, path: str) -> None:
    """A ticket's links, and its `Location`, point where the same app's `url_for` points."""
    world = World()
    status, headers, body = run(call(WAYS[way](world.service), "POST", path, GOOD, root_path=root_path))
    assert status == 202
    ticket, expected = json.loads(body), url_for(root_path, path, run).replace(" ", "%20").replace("é", "%C3%A9")
    assert ticket["links"]["self"] == f"{expected}/{ticket['id']}"
    assert f"http://api.test{dict(headers)[b'location'].decode()}" == ticket["links"]["self"]
    assert ticket["links"]["cancel"] == f"{ticket['links']['self']}/cancel"


def _mounted(api: Any) -> FastAPI:
    outer = FastAPI()
    outer.mount("/x", api)
    return outer


MOUNTED = {
    "Starlette's Mount": lambda api: Starlette(routes=[Mount("/x", api)]),
    "two mounts": lambda api: Starlette(routes=[Mount("/x", Starlette(routes=[Mount("/y", api)]))]),
    "FastAPI's mount": _mounted,
}


@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize("mount", MOUNTED)
@pytest.mark.parametrize("way", ["application", "served", "behind middleware"])
def test_mounted(run: Run, way: str, mount: str, root_path: str) -> None:
    """Under a mount, links have the root path, the mount's path, and the route's."""
    world = World()
    outer = MOUNTED[mount](WAYS[way](world.service))
    prefix = f"{root_path}/x/y" if mount == "two mounts" else f"{root_path}/x"
    status, headers, body = run(call(outer, "POST", f"{prefix}/order/", GOOD, root_path=root_path))
    ticket = json.loads(body)
    assert status == 202
    assert ticket["links"]["self"] == f"http://api.test{prefix}/order/{ticket['id']}"
    assert dict(headers)[b"location"].decode() == f"{prefix}/order/{ticket['id']}"
    assert run(call(outer, "GET", f"{prefix}/order/{ticket['id']}", root_path=root_path))[0] == 202


@pytest.mark.parametrize("mount", ["Starlette's Mount", "FastAPI's mount"])
@pytest.mark.parametrize("way", ["application", "behind middleware"])
def test_mounted_behind_a_proxy_that_takes_the_path_away(run: Run, way: str, mount: str) -> None:
    """There Starlette finds no route of an app under a mount (404). offpoll's own is found, and its links have both paths."""
    world = World()
    outer = MOUNTED[mount](WAYS[way](world.service))
    ticket = json.loads(run(call(outer, "POST", "/x/order", GOOD, root_path="/api"))[2])
    assert ticket["links"]["self"] == f"http://api.test/api/x/order/{ticket['id']}"
    assert run(call(outer, "GET", f"/x/order/{ticket['id']}", root_path="/api"))[0] == 202


def test_routers_in_routers(run: Run) -> None:
    """The prefixes of routers count too, after the root path."""
    world, outer, api = World(), APIRouter(prefix="/shop"), FastAPI()
    outer.include_router(router(world.service), prefix="/v1")
    api.include_router(outer)
    body = run(call(api, "POST", "/shop/v1/order/", GOOD, root_path="/api"))[2]
    assert json.loads(body)["links"]["self"].startswith("http://api.test/api/shop/v1/order/")


@pytest.mark.parametrize("path", ["/order", "/api/v1/order", "/api/v1/order/"])
def test_the_option_of_serve(run: Run, path: str) -> None:
    """With `--root-path` a request finds its route whether the proxy takes the path away or not, and links have it."""
    world = World()
    api = BehindProxies(by_serve(world.service), trusted=TrustedProxies("127.0.0.1"), root_path="/api/v1")
    headers = [(b"x-forwarded-proto", b"https,http"), (b"x-forwarded-host", b"api.example.com")]
    status, _, body = run(call(api, "POST", path, GOOD, headers=headers))
    ticket = json.loads(body)
    assert status == 202
    assert ticket["links"]["self"] == f"https://api.example.com/api/v1/order/{ticket['id']}"


def test_the_docs_know_it(run: Run) -> None:
    """The docs page finds its OpenAPI document below the root path, which names the server."""
    api = BehindProxies(by_serve(World().service), trusted=TrustedProxies("*"), root_path="/api")
    assert b"/api/openapi.json" in run(call(api, "GET", "/docs"))[2]
    assert json.loads(run(call(api, "GET", "/openapi.json"))[2])["servers"] == [{"url": "/api"}]


@pytest.mark.parametrize("host", [b"api.test", b"not a host"])
def test_the_public_url_beats_all(run: Run, host: bytes) -> None:
    """With `public_url`, nothing that a request says is in a link, and a Host that cannot be one is no fault."""
    world = World()
    world.service.settings = Settings(secret="0" * 32, public_url="https://shop.example.com/v2/")
    ticket = json.loads(run(call(application(world.service), "POST", "/order", GOOD, headers=[(b"host", host)], root_path="/api"))[2])
    assert ticket["links"]["self"] == f"https://shop.example.com/v2/order/{ticket['id']}"
