"""Runs every documented client snippet in many fresh interpreters, and counts how each ends: `python -m proof.exits --runs 1000`.

A client library must never abort its user's interpreter. Threads of a native runtime may: if one wants the interpreter's lock while the
interpreter shuts down, the process ends with SIGABRT (docs/decisions/0015). That is a race, so one run shows nothing.

Each snippet of the README and docs/client.md runs as it is written, in four threads at once, in a thread that the program leaves behind,
and cut short while requests are under way. A stub on this machine stands for the API and its store.

Exit codes: 0 every run ended with 0; 1 at least one did not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, ClassVar

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/client.md")

_SNIPPET = re.compile(r"<!-- run -->\n```python\n(.*?)```", re.DOTALL)
_BASE = re.compile(r"https?://[a-z0-9.:]+(?=\")")

#: How the snippet `use()` is run: as written, and in the ways in which programs end while something of a client still lives.
WAYS = {
    "as written": "use()",
    "in threads": """
        threads = [threading.Thread(target=use) for _ in range(4)]
        for each in threads: each.start()
        for each in threads: each.join()
    """,
    "left behind": """
        def forever():
            while True: use()
        threading.Thread(target=forever, daemon=True).start()
        time.sleep(delay)
    """,
    "cut short": """
        from offpoll import AsyncClient, Client  # an exception during an import is the program's own fault
        class Cut(BaseException): pass
        def cut(*_): raise Cut
        signal.signal(signal.SIGALRM, cut)
        signal.setitimer(signal.ITIMER_REAL, delay)
        try:
            use()
        except Cut:
            pass
        signal.setitimer(signal.ITIMER_REAL, 0)
    """,
}


def snippets() -> dict[str, str]:
    """Return the documented client snippets, by page and number."""
    found = {}
    for page in PAGES:
        for number, code in enumerate(_SNIPPET.findall((ROOT / page).read_text(encoding="utf-8")), 1):
            found[f"{page} {number}"] = code
    return found


def program(code: str, *, base: str, way: str, delay: float) -> str:
    """Return a program that runs a snippet in one of the `WAYS`."""
    code = _BASE.sub(base, code)
    body = f"async def main():\n{indent(code, '    ')}\nasyncio.run(main())" if "await " in code else code
    setting = "import asyncio, builtins, signal, threading, time\nbuiltins.print = lambda *_, **__: None"
    return f"{setting}\ndelay = {delay}\ndef use():\n{indent(body, '    ')}\n{dedent(WAYS[way])}"


class _Stub(BaseHTTPRequestHandler):
    """An API whose operations are done at the second poll, and its store."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    numbers = count(1)
    polled: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        known = re.search(r"/([0-9a-f]{32})/status-link", self.path)
        identifier = known[1] if known else f"{next(self.numbers):032x}"
        link = {"href": f"{self._base}/status/{identifier}?signature=x", "expires_at": "2099-01-01T00:00:00.000Z"}
        if known:
            self._answer(200, link)
        else:
            self._answer(202, {**self._document(identifier, "queued"), "status_link": link})

    def do_GET(self) -> None:
        _, folder, identifier = self.path.partition("?")[0].split("/")
        if folder != "status":
            self._answer(200, {"sku": "A1", "quantity": 2})
            return
        self.polled[identifier] += 1
        self._answer(200, self._document(identifier, "running" if self.polled[identifier] == 1 else "succeeded"))

    @property
    def _base(self) -> str:
        return f"http://{self.headers['host']}"

    def _document(self, identifier: str, status: str) -> dict[str, Any]:
        done, own, now = status == "succeeded", f"{self._base}/order/{identifier}", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return {
            "spec": "offpoll/1", "id": identifier, "kind": "order", "status": status, "done": done,
            "revision": {"queued": 1, "running": 2, "succeeded": 3}[status], "attempt": int(done), "created_at": now, "updated_at": now,
            "poll": None if done else {"not_before": now, "interval": 0.01},
            "links": {"self": own, "status_link": f"{own}/status-link", "cancel": f"{own}/cancel"},
        }  # fmt: skip

    def _answer(self, status: int, fields: dict[str, Any]) -> None:
        body = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stub() -> Iterator[str]:
    """Run the stub, and yield its address."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """Say nothing: programs end in the middle of a request on purpose."""

    with Server(("127.0.0.1", 0), _Stub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(code: str, *, base: str, python: str, runs: int) -> tuple[Counter[int], str]:
    """Run a snippet so many times, in each of the ways in turn. Return the exit codes, and what the last failed run wrote."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_PROXY": "127.0.0.1"}
    ended: Counter[int] = Counter()
    words = ""
    for number in range(runs):
        way = list(WAYS)[number % len(WAYS)]
        text = program(code, base=base, way=way, delay=(number % 97) * 0.002)
        done = subprocess.run([python, "-c", text], env=environ, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own
        ended[done.returncode] += 1
        if done.returncode:
            words = f"{way}: {done.stderr[-2000:]}"
    return ended, words


def _shown(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else str(code)


def main() -> int:
    """Run all snippets, and print one line for each and one JSON object at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40, help="of each snippet")
    parser.add_argument("--python", default=sys.executable, help="the interpreter; it needs nothing installed")
    parser.add_argument("--only", default="", metavar="TEXT", help="the snippets whose names contain this, such as 'client.md 2'")
    given = parser.parse_args()
    total: Counter[str] = Counter()
    with stub() as base:
        for name, code in ((name, code) for name, code in snippets().items() if given.only in name):
            ended, words = run(code, base=base, python=given.python, runs=given.runs)
            total.update({_shown(code): times for code, times in ended.items()})
            print(f"{name}: {', '.join(f'{times} x {_shown(code)}' for code, times in sorted(ended.items()))}", flush=True)
            if words:
                print(indent(words, "    "), flush=True)
    print(json.dumps({"python": given.python, "runs": total.total(), "exit_codes": dict(total)}))
    return 0 if set(total) == {"0"} else 1


if __name__ == "__main__":
    sys.exit(main())
