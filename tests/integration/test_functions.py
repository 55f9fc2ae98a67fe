"""The functions on the embedded AWS's queue, table and bucket, with the service's own permissions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.deployment import Deployment

SUPPORT = Path(__file__).parents[1] / "support"

#: Runs one order through the functions: submit, receive as Lambda's mapping does, work twice (the first answer is lost), read by link.
ROUND = """if True:
    import json, os, urllib.request
    import boto3
    from offpoll.functions import api, worker

    class Context:
        aws_request_id = "request-1"

        def get_remaining_time_in_millis(self):
            return 120_000

    def ask(method, path, body=None):
        http = {"http": {"method": method}, "stage": "$default", "domainName": "x.lambda-url.eu-west-1.on.aws"}
        event = {"version": "2.0", "rawPath": path, "headers": {}, "requestContext": http, "body": body}
        answer = api(event, Context())
        return answer["statusCode"], json.loads(answer["body"])

    sqs = boto3.client("sqs", region_name="eu-west-1")
    queue = os.environ["OFFPOLL_QUEUE_URL"]

    def receive(visibility):
        asked = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"], "WaitTimeSeconds": 5}
        (message,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=visibility, **asked)["Messages"]
        attributes = {name: {"stringValue": value["StringValue"]} for name, value in message["MessageAttributes"].items()}
        return {"Records": [{"messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
                             "attributes": message["Attributes"], "messageAttributes": attributes}]}

    status, ticket = ask("POST", "/order", '{"sku":"A1"}')
    batch = receive(visibility=600)
    answers = [worker(batch, Context()) for _ in range(2)]
    document = json.load(urllib.request.urlopen(ticket["status_link"]["href"], timeout=10))
    print(json.dumps({
        "status": status, "answers": answers, "document": document["status"], "attempt": document["attempt"],
        "order": ask("GET", "/order/" + ticket["id"]),
        "signed by another": "Credential=" + os.environ["AWS_ACCESS_KEY_ID"] not in ticket["status_link"]["href"],
    }))
"""


def test_an_order_through_the_functions(deploy: Callable[..., Deployment]) -> None:
    """An order is accepted, handled once although its batch comes twice, and read by a link that the signer's role signed."""
    deployment = deploy()
    iam, resources = deployment.boto3("iam"), deployment.resources
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    name = f"signer-{resources.bucket}"
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [everybody]}))["Role"]["Arn"]
    reading = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{resources.bucket}/status/*"}
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=json.dumps({"Statement": [reading]}))
    (user,) = {key["UserName"] for each in iam.list_users()["Users"] for key in _keys(iam, each["UserName"], resources.access_key)}
    assuming = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}
    iam.put_user_policy(UserName=user, PolicyName="sign", PolicyDocument=json.dumps({"Statement": [assuming]}))
    environ = {
        **deployment.variables,
        "OFFPOLL_APP": "app_for_integration:app",
        "OFFPOLL_TIMEOUT": "60",
        "OFFPOLL_SIGNER_ROLE_ARN": arn,
        "PYTHONPATH": f"{SUPPORT}:{deployment.variables.get('PYTHONPATH', '')}",
    }
    done = subprocess.run([sys.executable, "-c", ROUND], env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "status": 202,
        "answers": [{"batchItemFailures": []}, {"batchItemFailures": []}],
        "document": "succeeded",
        "attempt": 1,
        "order": [200, {"sku": "A1", "quantity": 1}],
        "signed by another": True,
    }
    assert len(deployment.notes()) == 1


def _keys(iam: object, user: str, access_key: str) -> list[dict[str, str]]:
    found = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]  # type: ignore[attr-defined]
    return [key for key in found if key["AccessKeyId"] == access_key]
