"""
What each layer promises the next.

From a browser's bytes to the application: a transport (:class:`ISessionTransport`) feeds its session, whose codec
(:class:`ICodec`) turns the payload into packets and hands them back (:class:`IPacketReceiver`); the session tells the
server. An ordinary event, as nearly all are, goes from the session to its handlers at once. The other way, an
application's message is handed to a fan-out (:class:`IFanout`), from there to sessions, codecs and transports.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

from siotwisted.handshake import Handshake
from siotwisted.outgoing import Outgoing, Queued
from siotwisted.packets import Packet
from siotwisted.rooms import Audience, Delivery

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

__all__ = ["ICluster", "ICodec", "IFanout", "IPacketReceiver", "ISessionTransport"]


class ISessionTransport(Interface):
    """
    One way to a client, as long as it lasts: one held poll, one stream, one WebSocket.

    It tells its session of its end with ``session.transportLost(transport, reason)``, whoever ended it, and soon after
    it was asked to end; a poll that was answered tells ``session.pollAnswered(transport)``.
    """

    name: str = Attribute("The transport's name in URLs, such as ``xhr-polling``.")
    form: str = Attribute("Names how it dresses what it carries; two of one form share the bytes of a broadcast.")
    streaming: bool = Attribute("Whether it can be written to again and again; a poll takes one write and is over.")
    messages: bool = Attribute("Whether it carries messages one by one, as a WebSocket does, and not payloads.")
    takesBytes: bool = Attribute("Whether a payload may be bytes that are no text.")
    framed: bool = Attribute(
        "Whether it carries messages as plain frames: text as :mod:`~siotwisted.wire.websocketframe` has it."
    )
    ready: bool = Attribute("Whether it takes bytes now; while the client reads too slowly, it does not.")

    def dress(data: str | bytes, text: bool = False) -> bytes:
        """
        A message, or UTF-8 or other bytes of a payload, as the bytes of this form.

        :param text: whether the bytes of a message are UTF-8.
        """

    def write(chunks: Sequence[bytes], binary: bool = False) -> None:
        """
        Send dressed messages or payloads at once, together.

        :param chunks: the bytes of them, one behind the other.
        :param binary: they are bytes that are no text.
        """

    def tells(answered: ISessionTransport) -> bool | None:
        """
        What it tells that this poll has come after one that was answered: whether the client has read the answer, or
        None if nobody can know. Asked of polls alone.
        """

    def ping(place: int) -> None:
        """
        Have the other end of a WebSocket say when it has all that was written before:
        ``session.pongReceived(transport, place)`` is called then. Asked of those alone that carry messages.
        """

    def loseConnection(chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """
        End it in the way that lets the client go on: an empty answer to a poll, an orderly close of a stream.

        :param chunks: what to write before the end.
        :param binary: it is bytes that are no text.
        """

    def abortConnection() -> None:
        """End it by cutting the TCP connection, with no more bytes."""


class IPacketReceiver(Interface):
    """What a codec feeds: the session."""

    def packetsReceived(packets: Sequence[Packet]) -> None:
        """All packets of one payload, in order."""


class ICodec(Interface):
    """Between one session and its transports, as a Protocol stands between an application and a transport."""

    key: Hashable = Attribute("Two codecs of one key make the same bytes of a packet.")

    def begin(handshake: Handshake, maxAttachments: int, maxBytes: int) -> None:
        """Take from the client's first request what its bytes depend on."""

    def stampEvents() -> None:
        """Say the stamps of events with them, if the protocol has a place for that."""

    def makeConnection(transport: ISessionTransport) -> None:
        """Write to this transport from now on."""

    def eventOf(message: str | bytes) -> list[Any] | None:
        """The name and the arguments of a WebSocket message that is an ordinary event; None for any other."""

    def eventOfUTF8(text: bytes) -> list[Any] | None:
        """The same of a message that is text, and is not decoded yet; None, too, if it is damaged. Never fails."""

    def eventIn(payload: str | bytes, form: bool = False) -> list[Any] | None:
        """The same of a payload that holds nothing else."""

    def dataReceived(payload: str | bytes, form: bool = False) -> None:
        """Decode a whole payload and hand its packets to the receiver."""

    def messageReceived(message: str | bytes) -> None:
        """Decode a WebSocket message and hand its packets to the receiver."""

    def readProbe(message: str | bytes) -> Packet:
        """The packet of a message on a WebSocket that is not the client's transport yet."""

    def said(outgoing: Outgoing) -> Sequence[str | bytes]:
        """The messages of a packet, made once for all sessions of this key; none if there is nothing to say."""

    def dressed(queued: Sequence[Queued]) -> tuple[list[bytes], bool]:
        """Packets as the transport takes them, each made once for all sessions of this key and form of transport."""

    def connectionLost() -> None:
        """The transport is gone."""

    def send(outgoings: Sequence[Queued]) -> None:
        """Write packets to the transport."""

    def sendAlone(queued: Queued) -> None:
        """The same for one packet, on a transport that can be written to again."""


class IFanout(Interface):
    """
    Whatever is done to many connections of one namespace: to those of this process, or of several.

    Each method takes an :class:`~siotwisted.rooms.Audience`, and returns a Deferred.
    """

    def send(outgoing: Outgoing, audience: Audience) -> Deferred[Delivery]:
        """
        Send one packet to all of them.

        :return: fires with how many took it.
        """

    def call(outgoing: Outgoing, audience: Audience, timeout: float | None) -> Deferred[Any]:
        """
        Send one packet, which has a number, to all of them, and wait for their answers.

        :param timeout: how long, in seconds; None to wait until all have answered or left.
        :return: fires with :class:`~siotwisted.recipients.Replies`. It can be cancelled.
        """

    def fetch(audience: Audience) -> Deferred[Any]:
        """All of them, in a list."""

    def join(audience: Audience, rooms: Sequence[str]) -> Deferred[None]:
        """Make all of them enter rooms."""

    def leave(audience: Audience, rooms: Sequence[str]) -> Deferred[None]:
        """Make all of them leave rooms."""

    def disconnect(audience: Audience, close: bool) -> Deferred[None]:
        """
        Make all of them leave the namespace.

        :param close: whether their sessions end, too.
        """


class ICluster(Interface):
    """
    The other servers of one service. What one of them tells another arrives in the order in which it was told, or not
    at all if the other one goes meanwhile.

    Values are text, bytes, numbers, None, and lists and dictionaries of such.
    """

    number: int = Attribute("Which of them this one is.")

    def tell(topic: str, *values: Any) -> None:
        """Tell all others."""

    def tellOne(number: int, topic: str, *values: Any) -> None:
        """Tell one of them, if it is there."""

    def on(topic: str, handler: Callable[..., None]) -> None:
        """Call ``handler(number, *values)`` when another one tells something of this topic."""

    def onCome(handler: Callable[[int], None]) -> None:
        """Call ``handler(number)`` when another one is there: what is told from now on, it hears."""

    def onGo(handler: Callable[[int], None]) -> None:
        """Call ``handler(number)`` when another one is gone."""
