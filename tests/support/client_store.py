"""A scripted store and API of many operations, for clients that wait for all of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.support.client_world import ID, NOW

from offpoll.client import Ticket
from offpoll.document import Document, PollHint
from offpoll.exchange import Fetch, NoAnswer, Response


def identifier(number: int) -> str:
    return f"{number:032x}"


@dataclass
class Store:
    """A store and an API of many operations: each shows its documents one after another, and repeats the last one."""

    world: Any
    shows: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    takes: float = 0.0
    in_flight: int = 0
    most: int = 0

    def ticket(self, number: int, *answers: Any, first: float = 10.0) -> Ticket:
        """Return the ticket of an operation that shows these statuses, documents or answers."""
        links = {name: href.replace(ID, identifier(number)) for name, href in self.world.document().links.items()}
        document = self.world.document(
            id=identifier(number), links=links, poll=PollHint(not_before=NOW + timedelta(seconds=first), interval=2.0)
        )
        made: Ticket = self.world.ticket(document=document)
        shown = [self.world.document(each, id=document.id, links=links) if isinstance(each, str) else each for each in answers]
        self.shows[document.id] = [self.world.shows(each) if isinstance(each, Document) else each for each in shown]
        return replace(made, link=replace(made.link, href=f"https://store.test/{document.id}?signature=x"))

    def answer(self, fetch: Fetch) -> Response | NoAnswer:
        if fetch.method == "POST":
            return NoAnswer(reason="no fresh links here")
        found = fetch.url.partition("?")[0].rpartition("/")[2]
        self.asked.append(f"{fetch.to} {int(found, 16)}")
        if fetch.to == "api":
            return self.world.json({"number": int(found, 16)})
        answers = self.shows[found]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            if self.takes:
                await asyncio.sleep(self.takes)
            return self.answer(fetch)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Close nothing."""
