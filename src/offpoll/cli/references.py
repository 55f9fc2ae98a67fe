"""The argument that names an operation, for `wait` and `cancel`: a file, standard input, an address or a status link."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from offpoll.cli.client_options import text_of
from offpoll.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offpoll.client.references import Reference
    from offpoll.ticket import Ticket

__all__ = ["Api", "Operation", "Subject"]

#: An operation's address without its API, as a `Location` is. Where an `offpoll dev` runs, it is of that one.
_PATH = re.compile(r"/?\w[\w-]*/[0-9a-f]{32}")

Operation: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TICKET|URL",
        help="A file with a ticket or with the API's 202 answer, `-` for standard input, the operation's address (links.self, Location), "
        "or a status link (in quotes).",
        show_default=False,
    ),
]
Api: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The API's address, if the operation names another, or none.", show_default=False),
]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The operation that a command is about.

    Attributes:
        reference: what the client takes.
        named: the API's address, if the command line names it.
        origin: else its address as a ticket or a document says; for a status link, which does not name it, the store's.
        headers: those of the command line. The author of a ticket or a link must not choose who gets them: they need an API that the
            command line names.
        shown: names the operation in the command that goes on, without a secret; None if only a ticket can tell.
    """

    reference: Reference
    named: str | None
    origin: str
    headers: Mapping[str, str] | None
    shown: str | None

    @classmethod
    def of(cls, operation: str, *, api: str | None, headers: Mapping[str, str] | None) -> Subject:
        """Read the argument.

        Raises:
            ConfigurationError: it names no operation, or its API is unknown.
        """
        from offpoll.cli.dev.environment import running_api
        from offpoll.client.addresses import api_of, api_of_url, operation_at
        from offpoll.client.references import referred
        from offpoll.client.request_guard import api_address
        from offpoll.link import StatusLink
        from offpoll.ticket import Ticket

        if api is None and _PATH.fullmatch(operation) and not Path(operation).exists():
            api = running_api()
        text, from_file = _text(operation, path_of_api=api is not None)
        try:
            found = referred(text)
        except ConfigurationError as error:
            where = "standard input" if operation == "-" else operation if from_file else "the argument"
            raise ConfigurationError(f"{where}: {error}") from None
        if isinstance(found, Ticket):
            own: str | None = api_of(found.document) or _origin(found.link.href)
        elif isinstance(found, StatusLink):
            own = _origin(found.href)
        else:
            own = api_of_url(found) or (_origin(found) if "://" in found else None)  # a path has neither
        if api is None and own is None:
            raise ConfigurationError(f"{operation} does not say which API has the operation: add --api URL")
        typed = not from_file and isinstance(found, str) and api_of_url(found) is not None
        named = api_address(api) if api is not None else own if typed else None
        if headers is not None and named is None:
            raise ConfigurationError(
                f"credentials go only to the API that the command line names: add --api URL; the operation is of {own}"
            )
        at = operation_at(found, base_url=named or own or "") if isinstance(found, str) else None
        return cls(
            reference=found if isinstance(found, Ticket) else text,
            named=named,
            origin=own or "",
            headers=headers,
            shown=operation if from_file and operation != "-" else None if at is None else at.url,
        )

    @property
    def base_url(self) -> str:
        """The API's address, as far as it is known before a request."""
        return self.named or self.origin

    def api_of(self, ticket: Ticket) -> str:
        """Return the API's address, now that there is a ticket."""
        from offpoll.client.addresses import api_of

        return self.named or api_of(ticket.document) or self.origin

    def known_now(self, now: float) -> Reference:
        """Return the reference in a form with which a wait polls at once: one person waits, not a fleet."""
        from offpoll.ticket import Ticket

        return replace(self.reference, received=now) if isinstance(self.reference, Ticket) else self.reference

    def again(self, ticket: Ticket) -> str:
        """Return what names the operation in another command."""
        return self.shown or f"{self.api_of(ticket)}/{ticket.kind}/{ticket.operation_id}"


def _text(operation: str, *, path_of_api: bool) -> tuple[str, bool]:
    """Return the text that names the operation, and whether it came from a file or standard input."""
    if operation == "-":
        return text_of("-"), True
    is_address = operation.lower().startswith(("http://", "https://", "{", '"')) or (path_of_api and not Path(operation).exists())
    return (operation, False) if is_address else (text_of(operation), True)


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"
