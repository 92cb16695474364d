"""
What leaves for one client: the outgoing half of a session.

An outbox holds what was accepted. Beside it there is what belongs to the moment and is never sent again: the packet
that opens a session, questions for signs of life, and answers to the client's.

Whatever is accepted in one turn of the reactor leaves at the end of it, in one write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from hashlib import blake2s
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from siotwisted.config import Config
from siotwisted.errors import DeliveryFailed, QueueFull, SessionClosed, UnsupportedByClient
from siotwisted.interfaces import ISessionTransport
from siotwisted.liveness import Liveness
from siotwisted.outbox import Entry, Outbox
from siotwisted.outgoing import Outgoing, Queued, outgoingOf
from siotwisted.packets import Packet, Reason
from siotwisted.wire.codec import BaseCodec

__all__ = ["Sender", "SenderOwner"]

#: About how many bytes are written to a stream at once, before it is asked again whether it takes more.
_SLICE = 65536
#: About how many bytes an answer to a poll has at most, unless one packet has more: as many of its packets, whatever
#: the codec makes of them.
_ANSWER = 1024 * 1024


class SenderOwner(Protocol):
    """What sending needs of the registry of all sessions."""

    log: Logger
    clock: IReactorTime
    config: Config

    def flushSoon(self, sender: Sender) -> None:
        """Have ``sender.flush()`` called at the end of this turn of the reactor."""


class Sender(ABC):
    """
    The outgoing half of a session.

    :ivar id: the session's id.
    :ivar closed: whether it has ended.
    :ivar transport: the client's transport, while it has one.
    :ivar codec: writes to it.
    :ivar outbox: what was accepted, until the client has it.
    """

    __slots__ = (
        "_answered",
        "_beside",
        "_besides",
        "_fence",
        "_flushing",
        "_greeting",
        "_liveness",
        "_overflowing",
        "_pinged",
        "_reason",
        "_registry",
        "_streams",
        "closed",
        "codec",
        "id",
        "outbox",
        "transport",
    )

    codec: BaseCodec
    _registry: SenderOwner
    _liveness: Liveness

    def __init__(self, id: str, config: Config) -> None:
        self.id = id
        self.closed = False
        self.transport: ISessionTransport | None = None
        #: Whether that can be written to again and again.
        self._streams = False
        self.outbox = Outbox(config.queueMessages, config.queueBytes)
        #: The packet that opens the session, until it is sent, if its protocol has one.
        self._greeting: Outgoing | None = None
        #: What else leaves with the next write.
        self._beside: list[Outgoing] | None = None
        #: What left so with the answer to the last poll.
        self._besides: list[Outgoing] | None = None
        #: Up to which place the client has everything when it answers what it was asked last.
        self._fence = 0
        #: The poll whose answer the client has if it polls again.
        self._answered: ISessionTransport | None = None
        #: The place of which the WebSocket's own ping asks; None while none does.
        self._pinged: int | None = None
        self._flushing = False
        self._overflowing = False
        #: Why the session has ended.
        self._reason = Reason.RECONNECT_TIMEOUT

    @abstractmethod
    def close(self, reason: Reason) -> None:
        """End the session."""

    @property
    def label(self) -> str:
        """A short name for logs, from which the id can't be told."""
        return blake2s(self.id.encode("ascii"), digest_size=4).hexdigest()

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self._registry.clock.seconds()

    # What the application asks for.

    def send(self, outgoing: Queued, volatile: bool = False) -> bool:
        """
        Accept a message: it leaves at the end of this turn of the reactor, or when the client is there to take it; at
        once if a full queue has to make room for it, and can.

        :param volatile: forget it, rather than to keep it for a client that can't take it now.
        :return: whether it is accepted: only what is volatile may be forgotten at once. Then its place among all that
            the session has accepted is ``outbox.last``.
        :raises SessionClosed: if the session has ended.
        :raises siotwisted.errors.QueueFull: if too much waits already.
        :raises siotwisted.errors.UnsupportedByClient: if the client's generation has no words for it.
        """
        if self.closed:
            raise SessionClosed("the session has ended")
        outbox, codec = self.outbox, self.codec
        ordinary = outgoing.event if isinstance(outgoing, Outgoing) else outgoing
        if not (ordinary and codec.saysOrdinary):
            outgoing = outgoingOf(outgoing)
            codec.said(outgoing)  # which finds out whether there are words for it
        if volatile:
            try:
                if self.transport is not None and self.transport.ready and outbox.open:
                    self._accept(outbox.acceptVolatile, outgoing)
                    return True
            except QueueFull:
                pass
            outbox.dropped += 1
            return False
        try:
            outbox.accept(outgoing)
        except QueueFull:
            self._acceptMore(outgoing)
        if not self._flushing:
            self._flushing = True
            self._registry.flushSoon(self)
        return True

    def _acceptMore(self, outgoing: Queued) -> None:
        """The queue is full."""
        try:
            self._accept(self.outbox.accept, outgoing)
        except QueueFull:
            if not self._overflowing:
                self._overflowing = True
                self._registry.log.warn("session {label}: its queue is full, and refuses messages", label=self.label)
            raise

    def tell(self, outgoing: Outgoing) -> None:
        """Accept a packet of the library's own; otherwise as :meth:`send`."""
        if self.closed:
            raise SessionClosed("the session has ended")
        if any(self.codec.said(outgoing)):  # else the client's generation has no need of it
            self._accept(self.outbox.acceptOwn, outgoing)

    def inherit(self, entries: Sequence[Entry]) -> list[Entry]:
        """
        Take over messages that another session had accepted.

        :return: those that the client's generation has no words for; all, if the session has ended.
        """
        if self.closed:
            return list(entries)
        unsupported = []
        for entry in entries:
            try:
                self.codec.said(entry.outgoing)
                self.outbox.inherit(entry)
            except UnsupportedByClient:
                unsupported.append(entry)
            except Exception:
                self._failed()
                unsupported.append(entry)
        self._scheduleFlush()
        return unsupported

    def watch(self, place: int) -> Deferred[None]:
        """
        Wait until the client is known to have a message.

        :param place: where the message is; see :meth:`send`.
        :return: fires when the client has it; fails with :exc:`~siotwisted.errors.DeliveryFailed` if that can't be
            known any more.
        """
        waiting: Deferred[None] = Deferred()
        if self.closed:
            waiting.errback(DeliveryFailed(self._reason, False))
        else:
            self.outbox.watch(place, waiting)
        return waiting

    def _accept(self, accept: Callable[[Queued], None], outgoing: Queued) -> None:
        """
        Accept a packet, and have it sent.

        If the queue is full, a stream that takes bytes takes them now: one turn may bring more than a queue holds.
        """
        try:
            accept(outgoing)
        except QueueFull:
            if self.transport is None or not self.transport.streaming:
                raise
            self.flush()
            accept(outgoing)
        self._scheduleFlush()

    # Bytes out.

    def flush(self) -> None:
        """
        Write all that waits, or as much of it as the transport takes. Called by the registry at the end of a turn.

        A stream gets it in slices until it is full: what it holds is its own copy, what waits here is shared.
        """
        self._flushing = False
        transport = self.transport
        if transport is None:
            return
        if not self._streams:
            self._besides = self._beside
            batch = self.outbox.slice(_ANSWER)
            if self._beside or self._greeting is not None:
                batch = self._batch(batch)
            if batch:
                self._overflowing = False
                self._answered = transport  # before it is: the client may poll again within
                self._write(batch)
            return
        outbox = self.outbox
        if transport.ready and not self._beside and self._greeting is None:
            alone = outbox.takeAlone()
            if alone is not None:
                self._overflowing = False
                try:
                    self.codec.sendAlone(alone)
                except Exception:
                    self._unsent()
                return
        while transport.ready and transport is self.transport:
            batch = outbox.slice(_SLICE)
            if self._beside or self._greeting is not None:
                batch = self._batch(batch)
            if not batch:
                break
            self._overflowing = False
            try:  # as :meth:`_write`, whose call every recipient of a broadcast would pay for
                self.codec.send(batch)
            except Exception:
                self._unsent()
            if not outbox.cut:
                break
        if outbox.pressing:
            self._askEarly()

    def _write(self, batch: list[Queued]) -> None:
        try:
            self.codec.send(batch)
        except Exception:
            self._unsent()

    def _unsent(self) -> None:
        self._failed()
        self.close(Reason.TRANSPORT_ERROR)

    def _scheduleFlush(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._registry.flushSoon(self)

    def _batch(self, batch: list[Queued]) -> list[Queued]:
        """These packets, and what else leaves with the next write."""
        self._overflowing = False
        if self._greeting is not None:
            batch.insert(0, self._greeting)
            self._greeting = None
        if self._beside:
            batch += self._beside
            self._beside = None
        return batch

    def _say(self, outgoing: Outgoing) -> None:
        """Have this leave with the next write."""
        if self._beside is None:
            self._beside = []
        self._beside.append(outgoing)

    def _failed(self) -> None:
        """A codec that is not ours raised what it must not: the application's log gets it."""
        self._registry.log.failure("session {label}: its codec failed", label=self.label)

    # What the client has.

    def ask(self, question: Outgoing) -> None:
        """
        Send a question for a sign of life, behind all that waits: its answer then speaks for all of it.

        Small as it is, it is sent to a client that reads too slowly too, which has no more time for it than others.
        """
        transport, outbox = self.transport, self.outbox
        if transport is None or not transport.streaming:
            self._fence = outbox.mark()
            self._say(question)
            self._scheduleFlush()
            return
        batch = self._batch(outbox.slice(_SLICE) if transport.ready else [])
        self._fence = outbox.mark()  # before it is asked: a client in memory answers within
        self._write([*batch, question])
        if outbox.waiting:
            self._scheduleFlush()

    def answered(self) -> None:
        """The client has answered it, and so it has what came before that."""
        self.confirm(self._fence)

    def answer(self, packet: Packet) -> None:
        """Send the answer to a question; one who asks more than a queue holds, or what can't be said, is no client."""
        outgoing = Outgoing(packet)
        try:
            self.codec.said(outgoing)
        except UnsupportedByClient:
            self.close(Reason.TRANSPORT_ERROR)
            return
        if self._beside is None or len(self._beside) < self._registry.config.queueMessages:
            self._say(outgoing)
            self._scheduleFlush()
        else:
            self.close(Reason.TRANSPORT_ERROR)

    def ping(self) -> None:
        """Ask a WebSocket itself, where the client gives no answers, about all that was handed to it."""
        transport, outbox = self.transport, self.outbox
        if self._pinged is None and transport is not None and transport.messages and outbox.unconfirmed:
            self._pinged = outbox.mark()
            transport.ping(self._pinged)

    def pongReceived(self, transport: ISessionTransport, place: int) -> None:
        """A WebSocket has answered: all up to the place that it was asked about has arrived."""
        if place == self._pinged and transport is self.transport:
            self._pinged = None
            self.confirm(place)

    def confirm(self, place: int) -> None:
        """The client has all up to this place."""
        self.outbox.confirm(place)
        if not self.closed:
            if self.outbox.waiting:
                self._scheduleFlush()
            self._askEarly()

    def drain(self) -> bool:
        """Ask the client what it has; whether there is nothing that it may lack."""
        if self.outbox.pending and self.transport is not None and self.transport.streaming:
            self._liveness.ask()
        return not self.outbox.pending

    def _askEarly(self) -> None:
        """Ask the client of a stream, if it is time."""
        if self.outbox.pressing and self.transport is not None and self.transport.streaming:
            self._liveness.ask()

    def transportReady(self) -> None:
        """The transport takes bytes again."""
        self._scheduleFlush()
