"""Measures the start of each of our Lambda functions against the same function on boto3, and on boto3 with FastAPI and Mangum.

A start costs the CPU time of a fresh interpreter that makes the function ready for its first event, less that of one that does nothing.
Bytecode is cached. Our function imports the app, reads the settings and connects the app. Theirs imports boto3 and creates the clients that
it needs, as every such module does. The app's input is plain JSON at first, then a pydantic model on both sides. The bench fails if one of
our functions loads a web framework, boto3 or an HTTP library, or loads pydantic without a model.

The goal is a third of boto3's cost, without a model. A quick run leaves the models out.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.report import finish, interpreter_cpu_seconds, measure_pairs, one_core, options, table

FUNCTIONS = ("api", "worker", "dead_letters")
HEAVY = frozenset({"boto3", "botocore", "fastapi", "starlette", "mangum", "typer", "rich", "uvicorn"})
WANTED = 3.0

ENVIRON = {
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "OFFPOLL_BUCKET": "documents",
    "OFFPOLL_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/operations",
    "OFFPOLL_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/dead",
    "OFFPOLL_PARKING_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/parking",
    "OFFPOLL_RECORDS_TABLE": "records",
    "OFFPOLL_SECRET": "s" * 32,
}

MODEL = """
from pydantic import BaseModel

class Order(BaseModel):
    sku: str
    quantity: int
"""

OURS = """
from offpoll import Offpoll

{model}
app = Offpoll()

@app.operation("order")
async def create_order(order: {type}) -> {type}:
    return order
"""

#: The clients of every function, as ours needs them: documents, records, and a queue, which a worker uses to hide and to park messages.
CLIENTS = ("s3", "sqs", "dynamodb")

BOTO3 = """
import json, os, uuid
import boto3
from botocore.config import Config

{model}
config = Config(signature_version="s3v4", s3={{"addressing_style": "virtual"}})
clients = {{name: boto3.client(name, config=config if name == "s3" else None) for name in {clients}}}

def handler(event, context):
    order = {read}
    key = "status/public/" + uuid.uuid4().hex
    clients["s3"].put_object(Bucket=os.environ["OFFPOLL_BUCKET"], Key=key, Body=json.dumps({{"status": "queued"}}))
    return {{"statusCode": 202}}
"""

MANGUM = (
    BOTO3
    + """
from fastapi import FastAPI
from mangum import Mangum

api = FastAPI()

@api.post("/order", status_code=202)
def submit(order: {type}) -> dict:
    return handler({{"body": order}}, None)

@api.get("/order/{{operation_id}}")
def get_order(operation_id: str) -> dict:
    return {{}}

lambda_handler = Mangum(api, lifespan="off")
"""
)


class Starts:
    """Writes functions into a folder, and measures their starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_"))}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._environ = {**inherited, **ENVIRON, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        self._nothing = statistics.median(self._cpu("pass", "") for _ in range(7))

    def write(self, name: str, text: str, *, model: bool) -> None:
        """Write a module."""
        read = 'Order.model_validate_json(event["body"])' if model else 'json.loads(event["body"])'
        filled = text.format(model=MODEL if model else "", type="Order" if model else "dict", clients=CLIENTS, read=read)
        (self._folder / f"{name}.py").write_text(filled)

    def cost(self, code: str, *, app: str = "") -> Callable[[], float]:
        """Return a measurement: CPU seconds, user and system, without those of a bare interpreter."""
        return lambda: max(1e-4, self._cpu(code, app) - self._nothing)

    def loaded(self, code: str, *, app: str) -> set[str]:
        """Return the top-level packages that the code loads."""
        ask = f"{code}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
        done = subprocess.run([sys.executable, "-c", ask], env=self._with(app), capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def _with(self, app: str) -> Mapping[str, str]:
        return {**self._environ, "OFFPOLL_APP": app} if app else self._environ

    def _cpu(self, code: str, app: str) -> float:
        return interpreter_cpu_seconds(code, environ=self._with(app))


def check(starts: Starts, function: str, *, app: str, model: bool) -> None:
    """Fail if a function loads something that makes every start slower."""
    heavy = starts.loaded(f"from offpoll.functions import {function}", app=app) & (HEAVY if model else HEAVY | {"pydantic"})
    if heavy:
        raise SystemExit(f"offpoll.functions.{function} loads {', '.join(sorted(heavy))}")


def peers_of(starts: Starts, function: str, *, model: bool) -> dict[str, Callable[[], float]]:
    """Write the same function for each peer, and return the measurements."""
    starts.write(f"boto3_{function}_{model}", BOTO3, model=model)
    peers = {"boto3": starts.cost(f"import boto3_{function}_{model}")}
    if function == "api" and importlib.util.find_spec("mangum") is not None:
        starts.write(f"mangum_{function}_{model}", MANGUM, model=model)
        peers["FastAPI + Mangum"] = starts.cost(f"import mangum_{function}_{model}")
    return peers


def main() -> None:
    given = options(__doc__ or "")
    one_core()
    rows, every = [], {}
    with tempfile.TemporaryDirectory() as folder:
        starts = Starts(Path(folder))
        for model in (False,) if given.quick else (False, True):
            module = "orders_with_a_model" if model else "orders"
            starts.write(module, OURS, model=model)
            for function in FUNCTIONS if not model else ("api", "worker"):
                app = f"{module}:app"
                check(starts, function, app=app, model=model)
                ours = starts.cost(f"from offpoll.functions import {function}", app=app)
                peers = peers_of(starts, function, model=model)
                mine, theirs, ratios = measure_pairs(ours, peers, pairs=given.pick(15, 2))
                named = f"{function}, a pydantic model" if model else function
                for peer, ratio in ratios.items():
                    verdict = "" if model or peer != "boto3" else "yes" if ratio >= WANTED else "NO"
                    rows.append((named, f"{mine * 1e3:.0f}", peer, f"{theirs[peer] * 1e3:.0f}", f"{ratio:.1f}", verdict))
                    every[f"{peer}: {named}"] = ratio
        alone = starts.cost("import boto3")
        bare = statistics.median(alone() for _ in range(given.pick(9, 2)))
    table("CPU ms until a function is ready", ("function", "offpoll", "peer", "ms", "times offpoll's", "3 or more"), rows)
    print(f"  (`import boto3` alone, without a client: {bare * 1e3:.0f})")
    if importlib.util.find_spec("mangum") is None:
        print("  (Mangum is not installed, so it is not measured)")
    finish("cold_start", every, given)


if __name__ == "__main__":
    main()
