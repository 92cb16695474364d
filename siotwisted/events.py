"""
Events as packets, and the questions among them: events that wait for the client's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from siotwisted.errors import AckLost, AckTimeout, EncodeError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.sio45 import RESERVED

__all__ = ["Asked", "Call", "Question", "answered", "answering", "eventPacket", "told"]

#: Makes a packet as its class does, in less time.
_new = tuple.__new__


def eventPacket(event: str, arguments: Sequence[object], namespace: str = "/", id: int | None = None) -> Packet:
    """
    The packet that says an event to a client.

    :raises siotwisted.EncodeError: if the name is one that only the library itself may use.
    """
    if type(event) is not str or event in RESERVED:
        if not isinstance(event, str) or event in RESERVED:
            raise EncodeError(f"not an event that an application can send: {event!r}")
        event = str.__str__(event)  # the text of an enumeration's member too
    return _new(Packet, (Kind.EVENT, [event, *arguments], namespace, id))


def told(packet: Packet) -> list[Any]:
    """The name and the arguments of an event; a message is the event of that name."""
    if packet.kind is Kind.EVENT:
        event: list[Any] = packet.data
        return event
    return ["message", packet.data]


def answering(value: object) -> list[object]:
    """The arguments of an answer: none for None, several for a tuple, else the one."""
    if value is None:
        return []
    return list(value) if isinstance(value, tuple) else [value]


def answered(arguments: list[Any]) -> Any:
    """What the arguments of an answer come to: None without any, the one, or a list of several."""
    if not arguments:
        return None
    return arguments[0] if len(arguments) == 1 else arguments


class Asked(Protocol):
    """Who was asked: a connection."""

    def forget(self, id: int) -> None:
        """The answer of this number is not waited for any more."""


class Question(Protocol):
    """Something that clients were asked."""

    def answered(self, asked: Any, value: Any) -> None:
        """A connection has the client's answer: None, the one value, or a list of several."""

    def lost(self, asked: Any) -> None:
        """The client has left instead."""


class Call:
    """
    One question to one client.

    :ivar deferred: fires with the answer; fails if there will be none.
    :param id: the number by which the answer will be known.
    :param timeout: how long to wait for it, in seconds; None for as long as the client is there.
    """

    __slots__ = ("_alarm", "_asked", "_id", "deferred")

    def __init__(self, asked: Asked, id: int, timeout: float | None, clock: IReactorTime) -> None:
        self._asked = asked
        self._id = id
        self._alarm: IDelayedCall | None = None
        self.deferred: Deferred[Any] = Deferred(self._given)
        if timeout is not None:
            self._alarm = clock.callLater(timeout, self._timedOut, timeout)

    def answered(self, asked: Asked, value: Any) -> None:
        """See :class:`Question`."""
        self._rest()
        self.deferred.callback(value)

    def lost(self, asked: Asked) -> None:
        """See :class:`Question`."""
        self._rest()
        self.deferred.errback(AckLost("the client left before it answered"))

    def _rest(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _given(self, deferred: Deferred[Any]) -> None:
        """The application does not want to know any more."""
        self._rest()
        self._asked.forget(self._id)

    def _timedOut(self, timeout: float) -> None:
        self._alarm = None
        self._asked.forget(self._id)
        self.deferred.errback(AckTimeout(f"no answer within {timeout} seconds"))
