"""Shows one operation from its POST to its result: each request, its host, and the response.

It uses offpoll's client as any program would, and counts the API's requests in the API's access log.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from offpoll.cli.dev.display import Display
from offpoll.client import AsyncClient
from offpoll.document import Document
from offpoll.errors import ClientError

__all__ = ["Tour", "curl_lines"]

#: How long to wait for the access log's last line, seconds.
SETTLE = 2.0

BAR = 20


@dataclass(kw_only=True)
class Tour:
    """Shows one operation. The API appends to `access_log` meanwhile."""

    api: str
    display: Display
    access_log: list[str]
    operation_id: str = ""
    _api_requests: int = 0
    _polls: int = 0
    _started: float = field(default_factory=perf_counter)

    async def show(self, kind: str, value: Any) -> bool:
        """Submit an operation, show it until its end, and sum up. Return whether it succeeded."""
        self.display.say()
        self.display.say(f"Submitting: {kind} {json.dumps(value)}", style="bold")
        async with AsyncClient(self.api, on_request=self._requested) as client:
            ticket = await client.submit(kind, value)
            self.operation_id = ticket.operation_id
            self._updated(ticket.document)
            try:
                result = await client.wait(ticket, timeout=None, on_update=self._updated)
            except ClientError as error:
                self.display.say(str(error), style="red")
                return False
        self.display.say()
        self.display.say(f"The {kind}:", style="bold")
        self.display.say(json.dumps(result, indent=2, ensure_ascii=False))
        await self._sum_up(kind)
        return True

    def _requested(self, method: str, url: str, status: int) -> None:
        parts = urlsplit(url)
        at_api = url.startswith(f"{self.api}/")
        self._api_requests += at_api
        self._polls += not at_api
        whose, style = ("API", "cyan") if at_api else ("object store", "yellow")
        self.display.say_parts(
            (f"{perf_counter() - self._started:5.1f} s  ", "dim"),
            (f"{method:<4} {status or 'no answer'}  ", ""),
            (f"{whose:<12} {parts.netloc}", style),
            (f"  {parts.path}", "dim"),
        )

    def _updated(self, document: Document) -> None:
        progress = document.progress
        text = f"{document.status:<9}"
        if progress is not None and progress.fraction is not None:
            done = round(progress.fraction * BAR)
            text += f"  {'█' * done}{'░' * (BAR - done)} {progress.fraction:4.0%}"
        self.display.say(f"{'':9}{text}  {(progress.message if progress else None) or ''}".rstrip(), style="green" if document.done else "")

    async def _sum_up(self, kind: str) -> None:
        requests = await self._logged()
        self.display.say()
        self.display.say(f"API requests: {len(requests)}", style="bold cyan")
        for line in requests:
            self.display.say(f"  access log: {line}", style="dim")
        self.display.say(f"Polls to the object store: {self._polls}", style="bold yellow")
        self.display.say(f"  the API saw none of them; it was asked to submit, and for the {kind} once that was done", style="dim")

    async def _logged(self) -> list[str]:
        """Return the access log's lines about this operation, once there is one for each of the client's requests."""
        lines: list[str] = []
        for _ in range(int(SETTLE / 0.05)):
            lines = [line for line in self.access_log if self.operation_id in line]
            if len(lines) >= self._api_requests:
                break
            await asyncio.sleep(0.05)
        return lines


def curl_lines(api: str, kind: str, value: Any, operation_id: str) -> list[str]:
    """Return shell lines that do the same without offpoll's client."""
    body = json.dumps(value).replace("'", "'\\''")
    lines = [
        f"API={api}",
        f"curl -sX POST $API/{kind} -d '{body}' | jq -r .status_link.href | xargs curl -s | jq .status",
        f"LINK=$(curl -sX POST $API/{kind} -d '{body}' | jq -r .status_link.href); watch -n 1 \"curl -s '$LINK' | jq .status,.progress\"",
    ]
    if operation_id:
        lines.append(f"curl -s $API/{kind}/{operation_id} | jq .")
    return lines
