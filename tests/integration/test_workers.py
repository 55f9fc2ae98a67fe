"""Workers that die, and handlers that block, with real processes and real signals."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.deployment import Deployment, await_true, request
from tests.support.servers import free_port

#: The lease and the visibility timeout of these tests, seconds: short enough to be quick, long enough for a loaded machine.
LEASE = 3

#: Over three visibility timeouts.
BLOCKED = 10


def test_a_killed_workers_order_finishes_once(deploy: Callable[..., Deployment]) -> None:
    """After SIGKILL in a handler, another worker takes the operation over as attempt 2 when the lease ends, and it ends once."""
    deployment = deploy(lease=LEASE)
    deployment.serve()
    worker = deployment.work()
    with deployment.client() as client:
        ticket = client.submit("slow", {"sku": "A1"})
        await_true(deployment.notes, "the handler to begin")
        worker.kill()
        deployment.work()
        assert client.wait(ticket) == {"sku": "A1", "quantity": 1}
    assert deployment.notes() == [(ticket.operation_id, 1, "began"), (ticket.operation_id, 2, "began")]
    document = request("GET", ticket.link.href)[2]
    assert (document["status"], document["attempt"]) == ("succeeded", 2)
    await_true(lambda: deployment.messages() == 0, "the message to be deleted")


def test_a_blocked_loop_keeps_its_message(deploy: Callable[..., Deployment]) -> None:
    """An async handler that does not await for three visibility timeouts keeps its message."""
    deployment = deploy(lease=LEASE)
    deployment.serve()
    workers = [deployment.work(), deployment.work()]
    with deployment.client() as client:
        ticket = client.submit("block", {"sku": "A1", "quantity": BLOCKED})
        assert client.wait(ticket) == {"sku": "A1", "quantity": BLOCKED}
    assert deployment.notes() == [(ticket.operation_id, 1, "began")]
    assert not any("Traceback" in worker.output for worker in workers)


def test_a_handler_that_holds_the_gil_keeps_its_message(deploy: Callable[..., Deployment]) -> None:
    """With `--processes`, a plain handler that never releases the GIL keeps its message too."""
    deployment = deploy(lease=LEASE)
    deployment.serve()
    workers = [deployment.work("--processes", "1"), deployment.work("--processes", "1")]
    with deployment.client() as client:
        ticket = client.submit("spin", {"sku": "A1", "quantity": BLOCKED})
        assert client.wait(ticket) == {"sku": "A1", "quantity": BLOCKED}
    assert deployment.notes() == [(ticket.operation_id, 1, "began")]
    assert not any("Traceback" in worker.output for worker in workers)


def test_sigterm_drains_and_a_second_one_stops(deploy: Callable[..., Deployment]) -> None:
    """A first SIGTERM drains a worker; a second one makes it hand over its operation at once, one attempt spent, and exit with 0.

    While it drains, it is alive but not ready, so that nobody kills it.
    """
    deployment = deploy()
    deployment.serve()
    port = free_port()
    worker = deployment.work("--health-port", str(port))
    health = f"http://127.0.0.1:{port}"
    with deployment.client() as client:
        ticket = client.submit("slow", {"sku": "A1"})
        await_true(deployment.notes, "the handler to begin")
        assert request("GET", f"{health}/readyz")[::2] == (200, {"state": "working", "held": 1})
        worker.popen.terminate()
        worker.await_line("draining")
        assert worker.popen.poll() is None, "a draining worker must let its handler finish"
        assert request("GET", f"{health}/livez")[::2] == (200, {"state": "draining", "held": 1})
        assert request("GET", f"{health}/readyz")[0] == 503
        worker.popen.terminate()
        assert worker.popen.wait(30) == 0
        deployment.work()
        assert client.wait(ticket) == {"sku": "A1", "quantity": 1}
    assert [attempt for _, attempt, _ in deployment.notes()] == [1, 2]
