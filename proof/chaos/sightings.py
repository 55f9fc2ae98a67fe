"""What readers saw: every status document that the object store answered with, and when.

The client hides documents of lower rank than it has seen, so this looks at the answers themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from offpoll.client.transport import AsyncTransport
from offpoll.document import Document
from offpoll.exchange import Fetch, NoAnswer, Response

__all__ = ["Sighting", "Watched"]


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A document that the store answered with.

    Attributes:
        sent, received: monotonic seconds of request and answer.
    """

    sent: float
    received: float
    document: Document

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The document's rank."""
        return self.document.rank


@dataclass(kw_only=True)
class Watched:
    """A transport that remembers what the store answered, by operation id."""

    transport: AsyncTransport
    monotonic: Callable[[], float]
    seen: defaultdict[str, list[Sighting]] = field(default_factory=lambda: defaultdict(list))

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send a request and look at the answer."""
        sent = self.monotonic()
        answer = await self.transport.send(fetch)
        if fetch.to == "store" and isinstance(answer, Response) and answer.status == 200:
            document = Document.from_bytes(answer.body)
            self.seen[document.id].append(Sighting(sent=sent, received=self.monotonic(), document=document))
        return answer

    async def close(self) -> None:
        """Give connections back."""
        await self.transport.close()
