"""Keeps the orders, in a DynamoDB table of your own, or in memory for tests."""

import asyncio
import os
from typing import Any

import boto3


class OrderTable:
    """Orders by id, in DynamoDB."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @classmethod
    def open(cls) -> "OrderTable":
        """Open the table, or create it, as on a fresh `offpoll dev`.

        In a deployment, the template creates the table and grants DescribeTable, GetItem and PutItem on it.
        """
        dynamodb = boto3.resource("dynamodb")
        errors = dynamodb.meta.client.exceptions
        table = dynamodb.Table(os.environ.get("ORDERS_TABLE", "orders"))
        try:
            table.load()
        except errors.ResourceNotFoundException:
            try:
                dynamodb.create_table(
                    TableName=table.name,
                    AttributeDefinitions=[{"AttributeName": "order_id", "AttributeType": "S"}],
                    KeySchema=[{"AttributeName": "order_id", "KeyType": "HASH"}],
                    BillingMode="PAY_PER_REQUEST",
                )
            except errors.ResourceInUseException:
                pass  # another process was quicker
            table.wait_until_exists()
        return cls(table)

    async def put(self, order: dict[str, Any]) -> None:
        """Write an order, unless an earlier attempt has written it."""
        await asyncio.to_thread(self._put, order)

    async def get(self, order_id: str) -> dict[str, Any] | None:
        """Read an order."""
        found: dict[str, Any] = await asyncio.to_thread(self._table.get_item, Key={"order_id": order_id}, ConsistentRead=True)
        return found.get("Item")

    def _put(self, order: dict[str, Any]) -> None:
        try:
            self._table.put_item(Item=order, ConditionExpression="attribute_not_exists(order_id)")
        except self._table.meta.client.exceptions.ConditionalCheckFailedException:
            pass


class MemoryOrderTable:
    """Orders by id, in memory."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {}

    async def put(self, order: dict[str, Any]) -> None:
        """Write an order, unless an earlier attempt has written it."""
        self.orders.setdefault(order["order_id"], order)

    async def get(self, order_id: str) -> dict[str, Any] | None:
        """Read an order."""
        return self.orders.get(order_id)
