"""Idempotency keys over HTTP, against a real store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.support.deployment import Deployment, await_true, request


def test_64_of_each_body_at_once(deploy: Callable[..., Deployment]) -> None:
    """One key with two bodies, 64 times each at once, makes one operation; the other body always gets 422 and is never handled."""
    deployment = deploy(lease=3)  # the 63 duplicates that meet the claim wait for its lease to end
    deployment.serve()

    def post(number: int) -> tuple[int, str, str]:
        sku = "AB"[number % 2]
        status, _, body = request("POST", f"{deployment.api}/order", {"sku": sku}, {"Idempotency-Key": "one"})
        return status, sku, body.get("id", "")

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(128)))
    accepted = {(sku, id_) for status, sku, id_ in answers if status == 202}
    assert len(accepted) == 1, accepted
    (winner, operation_id) = accepted.pop()
    assert Counter((sku == winner, status) for status, sku, _ in answers) == {(True, 202): 64, (False, 422): 64}
    deployment.work()
    await_true(lambda: deployment.messages() == 0, "all messages to be gone")
    assert deployment.notes() == [(operation_id, 1, winner)]


def test_same_key_later_and_for_another_owner(deploy: Callable[..., Deployment]) -> None:
    """The same key and body give the same id, even once done, then with Retry-After 0; another owner's same key gives another."""
    deployment = deploy()
    deployment.serve()
    deployment.work()
    key = {"Idempotency-Key": "k"}
    _, _, first = request("POST", f"{deployment.api}/order", {"sku": "A"}, key)
    await_true(lambda: request("GET", first["links"]["self"])[0] == 200, "the order")
    status, headers, again = request("POST", f"{deployment.api}/order", {"sku": "A"}, key)
    assert (status, again["id"], again["status"], headers["retry-after"]) == (202, first["id"], "succeeded", "0")
    _, _, other = request("POST", f"{deployment.api}/order", {"sku": "A"}, {**key, "X-Owner": "somebody else"})
    assert other["id"] != first["id"]
    assert request("GET", other["links"]["self"])[0] == 404, "the owner 'public' must not see it"
    await_true(lambda: request("GET", other["links"]["self"], headers={"X-Owner": "somebody else"})[0] == 200, "the other order")
    assert [what for _, _, what in deployment.notes()] == ["A", "A"]
