"""A loop over boto3, as people write it: `python -m bench.workers.with_boto3`.

It receives ten messages. For each it claims the operation in DynamoDB (a conditional update), puts `running`, handles, records the outcome
(a conditional update), puts the final document and deletes the message; one call after the other.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

import boto3
from bench.workers.orders import VISIBILITY, Documents, Order, confirm

QUEUE_URL = os.environ["BOTO3_QUEUE_URL"]

dynamodb, sqs, documents = boto3.client("dynamodb"), boto3.client("sqs"), Documents()


def update(operation_id: str, condition: str, **values: dict[str, Any]) -> dict[str, Any]:
    """Set what has no underscore before its name; the rest is only for the condition."""
    set_ = [name for name in values if not name.startswith("_")]
    return dynamodb.update_item(
        TableName="operations",
        Key={"id": {"S": operation_id}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in set_),
        ConditionExpression=condition,
        ExpressionAttributeNames={f"#{name}": name for name in set_},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        ReturnValues="ALL_NEW",
    )["Attributes"]


def process(message: dict[str, Any]) -> None:
    facts = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    operation_id, created_at, token, begun = facts["operation_id"], facts["created_at"], secrets.token_hex(16), time.time()
    update(
        operation_id,
        "attribute_not_exists(id) OR lease_until < :_now",
        kind={"S": facts["kind"]},
        owner={"S": facts["owner"]},
        created_at={"S": created_at},
        token={"S": token},
        lease_until={"N": str(begun + VISIBILITY)},
        _now={"N": str(begun)},
    )
    documents.running(operation_id, created_at)
    result = confirm(Order.model_validate_json(message["Body"])).model_dump_json()
    update(operation_id, "#token = :token", token={"S": token}, status={"S": "succeeded"}, result={"S": result})
    documents.succeeded(operation_id, created_at)
    sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])


def main() -> None:
    while True:
        received = sqs.receive_message(
            QueueUrl=QUEUE_URL,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=20,
            VisibilityTimeout=VISIBILITY,
            MessageAttributeNames=["All"],
        )
        for message in received.get("Messages", ()):
            process(message)


if __name__ == "__main__":
    main()
