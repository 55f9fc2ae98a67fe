"""Records every status document that readers received from the object store, and when.

The client hides documents of a lower rank than it has already seen, so this module looks at the raw responses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from offpoll.client.transport import AsyncTransport
from offpoll.document import Document
from offpoll.exchange import Fetch, NoAnswer, Response

__all__ = ["Sighting", "WatchedTransport"]


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A document that the store returned.

    Attributes:
        sent, received: monotonic seconds of request and response.
    """

    sent: float
    received: float
    document: Document


@dataclass(kw_only=True)
class WatchedTransport:
    """A transport that remembers each document the store returned, by operation id."""

    transport: AsyncTransport
    monotonic: Callable[[], float]
    seen: defaultdict[str, list[Sighting]] = field(default_factory=lambda: defaultdict(list))

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        """Send a request and remember the document in its response."""
        sent = self.monotonic()
        response = await self.transport.send(fetch)
        if fetch.to == "store" and isinstance(response, Response) and response.status == 200:
            document = Document.from_bytes(response.body)
            self.seen[document.id].append(Sighting(sent=sent, received=self.monotonic(), document=document))
        return response

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()
