"""
What each layer promises the next.

From a browser's bytes to the application: a transport (:class:`ISessionTransport`) feeds its session, whose codec
(:class:`ICodec`) turns the payload into packets and hands them back (:class:`IPacketReceiver`); the session tells the
server. The other way, an application's message is handed to a fan-out (:class:`IFanout`), from there to sessions,
codecs and transports.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

from siotwisted.outgoing import Outgoing
from siotwisted.packets import Packet

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

__all__ = ["ICodec", "IFanout", "IPacketReceiver", "ISessionTransport"]


class ISessionTransport(Interface):
    """
    One way to a client, as long as it lasts: one held poll, one stream, one WebSocket.

    It tells its session of its end with ``session.transportLost(transport, reason)``, whoever ended it, and soon after
    it was asked to end.
    """

    name: str = Attribute("The transport's name in URLs, such as ``xhr-polling``.")
    form: str = Attribute("Names how it dresses frames; two transports of one form share the bytes of a broadcast.")
    streaming: bool = Attribute("Whether it can be written to again and again; a poll takes one write and is over.")
    ready: bool = Attribute("Whether it takes bytes now; while the client reads too slowly, it does not.")

    def dress(frame: bytes) -> bytes:
        """One frame as the bytes of this form."""

    def write(chunks: Sequence[bytes]) -> None:
        """Send dressed frames at once, together. Called in the reactor's turn after the one that accepted them."""

    def loseConnection(farewell: Sequence[bytes] = ()) -> None:
        """
        End it in the way that lets the client go on: an empty answer to a poll, an orderly close of a stream.

        :param farewell: dressed frames to write before the end.
        """

    def abortConnection() -> None:
        """End it by cutting the TCP connection, with no more bytes."""


class IPacketReceiver(Interface):
    """What a codec feeds: the session."""

    def packetsReceived(packets: Sequence[Packet]) -> None:
        """All packets of one payload, in order."""


class ICodec(Interface):
    """Between one session and its transports, as a Protocol stands between an application and a transport."""

    name: str = Attribute("How configuration and URLs call it.")

    def encode(outgoing: Outgoing) -> str:
        """The frame that says a packet; ``""`` for a goodbye if it has no word for it."""

    def decode(payload: str, form: bool = False) -> Iterator[Packet]:
        """The packets of a whole payload."""

    def makeConnection(transport: ISessionTransport) -> None:
        """Write to this transport from now on."""

    def dataReceived(payload: str, form: bool = False) -> None:
        """Decode a whole payload and hand its packets to the receiver."""

    def frame(outgoing: Outgoing) -> bytes:
        """The frame as bytes, made once for all sessions of this codec."""

    def dressed(outgoings: Sequence[Outgoing]) -> list[bytes]:
        """Packets as the transport takes them, each made once for all sessions of this codec and form of transport."""

    def connectionLost() -> None:
        """The transport is gone."""

    def send(outgoings: Sequence[Outgoing]) -> None:
        """Write packets to the transport."""


class IFanout(Interface):
    """Who receives what is sent to many."""

    def send(outgoing: Outgoing, excluded: Collection[str] = ()) -> Deferred[int]:
        """
        Send one packet to every session but those with an excluded id.

        :return: fires with how many sessions accepted it.
        """
