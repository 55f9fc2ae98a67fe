"""The main path with the documents in Ceph RGW, a real S3 server that is not AWS's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.deployment import Deployment, await_true, request
from tests.support.servers import Server


@pytest.fixture
def on_ceph(deploy: Callable[..., Deployment], ceph_server: Server) -> Deployment:
    """Give a deployment whose bucket is in Ceph; its queues and records stay in the embedded AWS."""
    keys = {"AWS_ACCESS_KEY_ID": ceph_server.access_key, "AWS_SECRET_ACCESS_KEY": ceph_server.secret_key}
    deployment = deploy(lease=3, AWS_ENDPOINT_URL_S3=ceph_server.origin, **keys)
    deployment.boto3("s3", endpoint=ceph_server.origin).create_bucket(Bucket=deployment.resources.bucket)
    return deployment


def test_the_main_path_on_ceph(on_ceph: Deployment) -> None:
    """An order is submitted, reports progress, ends and is fetched, while its polls go to Ceph."""
    on_ceph.serve()
    on_ceph.work()
    requests: list[tuple[str, str, int]] = []
    with on_ceph.client(on_request=lambda *one: requests.append(one)) as client:
        ticket = client.submit("block", {"sku": "A1", "quantity": 6})
        revisions: list[tuple[str, int]] = []
        assert client.wait(ticket, on_update=lambda document: revisions.append((document.status, document.revision)))["quantity"] == 6
    assert revisions[0][0] == "running"
    assert revisions[-1][0] == "succeeded"
    assert revisions == sorted(revisions, key=lambda each: each[1])
    polls = [url for _, url, _ in requests if not url.startswith(on_ceph.api)]
    assert len(polls) == len(requests) - 2


def test_a_killed_worker_on_ceph(on_ceph: Deployment) -> None:
    """Conditional writes work on Ceph too: the second attempt's document follows the first's."""
    on_ceph.serve()
    worker = on_ceph.work()
    _, _, ticket = request("POST", f"{on_ceph.api}/slow", {"sku": "A1"})
    await_true(on_ceph.notes, "the handler to begin")
    worker.kill()
    on_ceph.work()
    await_true(lambda: request("GET", ticket["status_link"]["href"])[2]["done"], "the second attempt")
    document = request("GET", ticket["status_link"]["href"])[2]
    assert (document["status"], document["attempt"]) == ("succeeded", 2)
