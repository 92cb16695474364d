"""
What became of every message: each that was accepted ends in one way, and the books say in which.

    accepted = confirmed + pending + undelivered + moved
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from twisted.logger import Logger

from siotwisted.errors import DeliveryFailed
from siotwisted.handlers import Answerable, Handlers
from siotwisted.outbox import Entry
from siotwisted.packets import Packet, Reason
from siotwisted.session import Session

__all__ = ["Ledger", "Statistics", "Undelivered"]

_Handler = TypeVar("_Handler", bound=Callable[[Any, list["Undelivered"], Reason], object])


class Undelivered(NamedTuple):
    """
    A message that its client is not known to have.

    :ivar data: what was to be sent: text or a value; of an event a list of its name and its arguments, of an answer the
        list of its arguments.
    :ivar sent: whether a transport had it: then the client may have it all the same. If not, it has it not.
    :ivar packet: the packet that says it.
    """

    data: Any
    sent: bool
    packet: Packet


class Statistics(NamedTuple):
    """
    The books of a server, since it was made. Messages, events and answers count, each once for each recipient.

    :ivar accepted: were accepted: the sum of the next four.
    :ivar confirmed: their client has them.
    :ivar pending: nothing is known of them yet.
    :ivar undelivered: were reported to the application, for their client may not have them.
    :ivar moved: were accepted once more for the same client, which has come back in another session.
    :ivar dropped: were volatile and are not counted above, for their client could not take them at once, or its
        transport failed.
    :ivar sessions: how many sessions there are.
    :ivar connections: how many connections there are, in all namespaces.
    """

    accepted: int
    confirmed: int
    pending: int
    undelivered: int
    moved: int
    dropped: int
    sessions: int
    connections: int


class Ledger:
    """
    The books of one server, but for what its living sessions keep themselves.

    :ivar accepted: as in :class:`Statistics`, like the others.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.accepted = self.confirmed = self.undelivered = self.moved = self.dropped = 0
        self._handlers = Handlers()

    def onUndelivered(self, handler: _Handler) -> _Handler:
        """See :meth:`siotwisted.SocketIO.onUndelivered`."""
        self._handlers.add("undelivered", handler)
        return handler

    def close(self, session: Session) -> None:
        """A session has ended: enter what it has counted."""
        self.accepted += session.outbox.accepted
        self.confirmed += session.outbox.confirmed
        self.dropped += session.outbox.dropped

    def confirm(self, entries: Iterable[Entry]) -> None:
        """A client that is back has these."""
        for entry in entries:
            self.confirmed += 1
            if entry.waiting is not None:
                entry.waiting.callback(None)

    def report(self, connection: Answerable, entries: Sequence[Entry], reason: Reason) -> None:
        """The client of a connection may not have these: tell the application, or else the log."""
        if not entries:
            return
        self.undelivered += len(entries)
        self._handlers.tell(
            "undelivered",
            connection,
            [Undelivered(entry.outgoing.packet.data, entry.sent, entry.outgoing.packet) for entry in entries],
            reason,
        )
        if not self._handlers.events:
            self._tell(connection, entries, reason)
        for entry in entries:
            if entry.waiting is not None:
                entry.waiting.errback(DeliveryFailed(reason, entry.sent))

    def _tell(self, connection: Answerable, entries: Sequence[Entry], reason: Reason) -> None:
        unsent = sum(not entry.sent for entry in entries)
        say = self._log.warn if unsent else self._log.info
        say(
            "{connection!r} ended ({reason}): {unsent} messages were not sent, {unconfirmed} not confirmed",
            connection=connection,
            reason=reason,
            unsent=unsent,
            unconfirmed=len(entries) - unsent,
        )
