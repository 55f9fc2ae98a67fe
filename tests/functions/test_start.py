"""Starting a function in a new process, as Lambda's runtime does: what it loads, what it logs, and what stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "support"

ENVIRON = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_SESSION_TOKEN": "c",
    "OFFPOLL_APP": "app_for_functions:app",
    "OFFPOLL_BUCKET": "documents",
    "OFFPOLL_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
    "OFFPOLL_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/d",
    "OFFPOLL_PARKING_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/p",
    "OFFPOLL_RECORDS_TABLE": "records",
}
SECRET = {"OFFPOLL_SECRET": "s" * 32}

#: The calls of AWS that an accepted order and a parked message need.
AWS = '''if True:
    import threading, sys, json, os
    from datetime import datetime, timedelta, UTC
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    ASSUMED = f"""<R><X><Credentials><AccessKeyId>ASIASIGNER</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
    <Expiration>{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></X></R>"""

    class Aws(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            self.answer(b"", ETag='"1"')

        def do_POST(self):
            sts = self.headers["content-type"].startswith("application/x-www-form-urlencoded")
            self.answer(ASSUMED.encode() if sts else b'{"MessageId":"1"}')

        def answer(self, body, **headers):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *given):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"

    class Context:
        aws_request_id = "request-1"

        def get_remaining_time_in_millis(self):
            return 300_000

    heavy = {"boto3", "botocore", "fastapi", "starlette", "mangum", "pydantic", "pydantic_core", "typer", "rich"}

    def loaded():
        return sorted(heavy & set(sys.modules))
'''

SUBMIT = {
    "version": "2.0",
    "rawPath": "/prod/order",
    "headers": {"host": "api.example.com"},
    "requestContext": {"http": {"method": "POST"}, "stage": "prod", "domainName": "x.execute-api.eu-west-1.amazonaws.com"},
    "body": '{"sku":"A1"}',
}
ROLE = {"OFFPOLL_SIGNER_ROLE_ARN": "arn:aws:iam::123456789012:role/signer"}
UNREADABLE = {"Records": [{"messageId": "1", "receiptHandle": "r", "body": "?"}]}


def python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process with a function's environment, and no other variables of offpoll or AWS."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OFFPOLL_")) and "PROXY" not in name.upper()
    }
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**inherited, **ENVIRON, "HOME": "/nonexistent", "PYTHONPATH": path, **environ}
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("name", "event", "answered", "environ"),
    [
        ("api", SUBMIT, 202, SECRET),
        ("worker", UNREADABLE, [], {}),
        ("dead_letters", UNREADABLE, [], {}),
    ],
)
def test_nothing_heavy_is_loaded(name: str, event: object, answered: object, environ: dict[str, str]) -> None:
    """A function loads no web framework, boto3 or HTTP library, and without models no pydantic, even after two invocations."""
    code = f"""{AWS}
    from offpoll.functions import {name} as function
    cold = loaded()
    for _ in range(2):
        answer = function(json.loads({json.dumps(json.dumps(event))}), Context())
    print(json.dumps([cold, loaded(), answer.get("statusCode", answer.get("batchItemFailures"))]))
    """
    done = python(code, **environ)
    assert done.returncode == 0, done.stderr
    *before, last = done.stdout.splitlines()
    assert json.loads(last) == [[], [], answered]
    assert before == ([] if name == "dead_letters" else ["lifespan entered"])


def test_log_and_metrics_are_json_lines() -> None:
    """Each log line is a JSON object with the request's id, and so is each metric, unless the settings turn that off."""
    code = f"""{AWS}
    from offpoll.functions import api
    api(json.loads({json.dumps(json.dumps(SUBMIT))}), Context())
    """
    lines = [json.loads(line) for line in python(code, **SECRET).stderr.splitlines()]
    (counted,) = (line for line in lines if "_aws" in line)
    assert (counted["OperationsAccepted"], counted["kind"]) == (1, "order")
    (access,) = (line for line in lines if line.get("logger") == "offpoll.access")
    assert (access["level"], access["requestId"], access["status"], len(access["operation_id"])) == ("INFO", "request-1", 202, 32)
    quiet = python(code, **SECRET, OFFPOLL_METRICS="log", AWS_LAMBDA_LOG_LEVEL="ERROR")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    text = python(code, **SECRET, OFFPOLL_METRICS="log", OFFPOLL_LOG_FORMAT="text").stderr.splitlines()
    assert len([line for line in text if " INFO offpoll.access: " in line and line.endswith("]")]) == 1


def test_the_api_signs_with_the_signers_role() -> None:
    """The API's function signs links with the signer's role, which can only read documents."""
    code = f"""{AWS}
    from offpoll.functions import api
    answer = api(json.loads({json.dumps(json.dumps(SUBMIT))}), Context())
    link = json.loads(answer["body"])["status_link"]
    assert "X-Amz-Credential=ASIASIGNER%2F" in link["href"]
    assert datetime.fromisoformat(link["expires_at"]) <= datetime.now(UTC) + timedelta(minutes=59)
    """
    done = python(code, **SECRET, **ROLE, OFFPOLL_LINK_LIFETIME_FLOOR="7200")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", ["", "JSON"])
def test_the_runtimes_own_log_handler_stays(form: str) -> None:
    """Lambda's own log handler, which adds no line end, stays the only one, and each line is complete and ends.

    If the function is configured to log JSON, the runtime formats the lines, with the same fields.
    """
    code = """if True:
        import json, logging, sys

        class Sink(logging.Handler):  # as awslambdaric's, with what its filter adds
            def emit(self, record):
                sys.stdout.write(self.format(record))

            def filter(self, record):
                record.aws_request_id, record.tenant_id = "request-1", None
                return super().filter(record)

        class Theirs(logging.Formatter):
            def format(self, record):
                own = vars(logging.makeLogRecord({}))
                return json.dumps({"message": record.getMessage(), **{n: v for n, v in vars(record).items() if n not in own}}) + "\\n"

        sink = Sink()
        sink.setFormatter(Theirs())
        logging.getLogger().addHandler(sink)
        from offpoll.functions import dead_letters
        from offpoll.log_lines import about
        for number in range(2):
            with about(operation_id=str(number)):
                logging.getLogger("mine").info("hello", extra={"sku": "A1"})
        assert logging.getLogger().handlers == [sink]
    """
    done = python(code, AWS_LAMBDA_LOG_FORMAT=form)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["message"], line["operation_id"], line["sku"]) for line in lines] == [("hello", "0", "A1"), ("hello", "1", "A1")]
    assert ("timestamp" in lines[0], "aws_request_id" in lines[0]) == (form != "JSON", form == "JSON")


WRONG = [
    ("api", {"OFFPOLL_APP": ""}, "missing settings: OFFPOLL_APP."),
    ("api", {}, "missing settings: OFFPOLL_SECRET."),
    ("worker", {"OFFPOLL_APP": "nowhere:app"}, "there is no module 'nowhere'"),
    ("worker", {"OFFPOLL_BUCKET": ""}, "missing settings: OFFPOLL_BUCKET."),
    ("worker", {"OFFPOLL_BUKCET": "x"}, "OFFPOLL_BUKCET is not a setting of offpoll (did you mean OFFPOLL_BUCKET?)"),
    ("dead_letters", {"OFFPOLL_RECORDS_TABLE": ""}, "missing settings: OFFPOLL_RECORDS_TABLE."),
]


def test_a_wrong_setup_ends_the_start() -> None:
    """A wrong setup raises an error that names the variable, before the function takes any event."""
    code = f"""if True:
        import json, os
        from offpoll.errors import ConfigurationError
        from offpoll.functions.start import start
        for name, environ, said in {WRONG!r}:
            try:
                start(name, environ={{**os.environ, **environ}})
            except ConfigurationError as error:
                assert str(error).startswith(said), (said, str(error))
            else:
                raise AssertionError(said)
        from offpoll.functions import api
    """
    done = python(code)
    assert done.returncode == 1
    assert "offpoll.errors.ConfigurationError: missing settings: OFFPOLL_SECRET." in done.stderr.splitlines()[-1]


def test_a_handler_that_does_not_exist() -> None:
    """An unknown handler is Python's own AttributeError, which the runtime reports."""
    done = python("import offpoll.functions; offpoll.functions.wroker")
    assert "AttributeError: module 'offpoll.functions' has no attribute 'wroker'" in done.stderr
