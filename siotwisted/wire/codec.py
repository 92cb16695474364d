"""
What every codec has in common.

A codec stands between one session and whatever transport the client uses at the moment, as a Twisted Protocol stands
between an application and a transport: it is made for its receiver, connected to a transport with
:meth:`~BaseCodec.makeConnection`, fed by :meth:`~BaseCodec.dataReceived` and :meth:`~BaseCodec.messageReceived`, and
told of the end by :meth:`~BaseCodec.connectionLost`. A client that comes back on another transport connects the same
codec again.

To write a codec of one's own: a subclass of :class:`Codec` with a :attr:`~Codec.name`, :meth:`~Codec.encode` and
:meth:`~Codec.decode`, named in ``Config(codecs=...)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from itertools import count
from typing import Any, ClassVar, NamedTuple

from zope.interface import implementer

from siotwisted.errors import EncodeError, ProtocolError, UnsupportedByClient
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ICodec, IPacketReceiver, ISessionTransport
from siotwisted.outgoing import Ordinary, Outgoing, Queued, outgoingOf
from siotwisted.packets import Kind, Packet, messagePacket

__all__ = ["MAX_PACKETS", "BaseCodec", "Codec", "Dressed", "isPlainText"]

#: What each form of a packet is known by, over all codecs: by the key of the codec and the name of the form.
_NUMBERS: dict[Hashable, int] = {}
_COUNT = count()

#: How many packets one payload may have.
MAX_PACKETS = 10_000


def isPlainText(text: str) -> bool:
    """
    Whether every transport can carry ``text`` as it is.

    UTF-8 has no lone surrogates, and a multipart stream would be cut at its own boundary. A codec writes such text as
    JSON, whose escapes are safe.
    """
    if text.isascii():
        return "\n--" not in text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\n--" not in text


class Dressed(NamedTuple):
    """
    Packets as a transport takes them.

    :ivar chunks: what to write; nothing for packets that the codec has no words for.
    :ivar binary: whether it is bytes that are no text, which a poll has to say.
    """

    chunks: list[bytes]
    binary: bool = False


@implementer(ICodec)
class BaseCodec(ABC):
    """
    The conversation between session and transport; a subclass forms and reads the bytes.

    :cvar separator: what stands between two packets of a payload.
    :cvar binaryStyle: the one of its styles whose payloads are bytes that are no text.
    :cvar saysHello: whether the first packet that a client gets opens the session.
    :cvar saysGoodbye: whether a payload can say that a session has ended.
    :ivar saysOrdinary: whether it has words for all that is :data:`~siotwisted.outgoing.Ordinary`.
    :ivar key: two codecs of one key make the same bytes of a packet.
    :param receiver: the session: it gets the packets.
    """

    __slots__ = ("_form", "_head", "_heads", "_numbers", "_receiver", "_said", "key", "saysOrdinary", "transport")

    separator: ClassVar[bytes] = b""
    binaryStyle: ClassVar[str | None] = None
    saysHello: ClassVar[bool] = True
    saysGoodbye: ClassVar[bool] = False

    def __init__(self, receiver: IPacketReceiver) -> None:
        self._receiver = receiver
        self.transport: ISessionTransport | None = None
        #: What makes a WebSocket message of an ordinary event, if it only has to stand before that.
        self._head = b""
        #: The same with the head of the frame before it, by the length of the event.
        self._heads: Sequence[bytes] = ()
        self.saysOrdinary = False
        self.setKey(type(self))

    def setKey(self, key: Hashable, private: bool = False) -> None:
        """
        Name all that the bytes of a packet depend on, beside the packet and the transport.

        :param private: no other codec has this key.
        """
        self.key = key
        self._numbers = {} if private else _NUMBERS
        self._said = self.number("said")
        self._form = self.number(None if self.transport is None else self.transport.form)

    def number(self, form: Hashable) -> int:
        """What this codec's packets in some form are known by, among all that was made of a packet."""
        number = self._numbers.get((self.key, form))
        if number is None:
            number = self._numbers[self.key, form] = next(_COUNT)
        return number

    def begin(self, handshake: Handshake, maxAttachments: int, maxBytes: int) -> None:
        """
        Take from the client's first request what its bytes depend on.

        :param maxAttachments: how many of them a packet of the client may have.
        :param maxBytes: how many bytes they may have together.
        """

    def stampEvents(self) -> None:
        """Say the stamps of events with them, if the protocol has a place for that."""

    def ordinary(self, said: Ordinary) -> bytes:
        """The WebSocket message that says an ordinary packet, which is text; nothing if that takes more thought."""
        return b""

    @abstractmethod
    def messages(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """
        The WebSocket messages that say a packet; none if there is nothing to say.

        :raises UnsupportedByClient: if the protocol has no words for it.
        """

    @abstractmethod
    def piece(self, outgoing: Outgoing, style: str) -> bytes:
        """A packet's share of a payload; nothing if there is nothing to say."""

    @abstractmethod
    def read(self, payload: str | bytes, form: bool = False) -> Iterable[Packet]:
        """
        The packets of one payload: the body of a POST.

        :param form: it went through an HTML form, which changes line breaks.
        :raises ProtocolError: at the first thing that is not a packet, after the good packets before it.
        """

    def readProbe(self, message: str | bytes) -> Packet:
        """
        The packet of a message on a WebSocket that is not the client's transport yet.

        :raises ProtocolError: if there can't be one.
        """
        raise ProtocolError("not a client that changes its transport")

    def ordinaryPiece(self, said: Ordinary, style: str) -> bytes:
        """The share of an ordinary packet in a payload; nothing if that takes more thought."""
        return self.ordinary(said)

    def style(self, queued: Sequence[Queued]) -> str:
        """How pieces have to be written that go into one payload together."""
        return ""

    def makeConnection(self, transport: ISessionTransport) -> None:
        """Write to this transport from now on."""
        self.transport = transport
        self._form = self.number(transport.form)

    def connectionLost(self) -> None:
        """The transport is gone; :meth:`makeConnection` may bring another."""
        self.transport = None

    def eventOf(self, message: str | bytes) -> list[Any] | None:
        """
        The name and the arguments of a WebSocket message that is an event of the root namespace without an answer, as
        nearly all are; None for one that is anything else, or whose event has a reserved name: it has to be read.

        :raises ProtocolError: if it is damaged.
        """
        return None

    def eventOfUTF8(self, text: bytes) -> list[Any] | None:
        """
        The same of a message that is text, and is not decoded yet; None if that takes more thought, as of one that is
        damaged. Never fails.
        """
        return None

    def eventIn(self, payload: str | bytes, form: bool = False) -> list[Any] | None:
        """The same of a payload that holds nothing else."""
        return None

    def dataReceived(self, payload: str | bytes, form: bool = False) -> None:
        """
        Read a whole payload, then hand all its packets to the receiver in one call.

        :raises ProtocolError: if the payload is damaged, after the good packets before the damage were handed over.
        """
        self._deliver(self.read(payload, form))

    def messageReceived(self, message: str | bytes) -> None:
        """Read a WebSocket message; otherwise as :meth:`dataReceived`."""
        self._deliver(self.read(message))

    def _deliver(self, packets: Iterable[Packet]) -> None:
        read: list[Packet] = []
        damage: ProtocolError | None = None
        try:
            for packet in packets:
                if len(read) == MAX_PACKETS:
                    raise ProtocolError("too many packets in one payload")
                read.append(packet)
        except ProtocolError as error:
            damage = error
        self._receiver.packetsReceived(read)
        if damage is not None:
            raise damage

    def said(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """
        The messages of a packet, made once for all sessions of this key; none if there is nothing to say.

        :raises UnsupportedByClient: if the protocol has no words for it.
        """
        said: str | Sequence[str | bytes] | None = outgoing.forms.get(self._said)
        if said is None:
            said = self._say(outgoing)
        return (said,) if type(said) is str else said

    def dressed(self, queued: Sequence[Queued]) -> Dressed:
        """These packets as the transport wants to be given them; each made once for all sessions of a broadcast."""
        transport = self.transport
        assert transport is not None
        if not transport.streaming:
            return self._dressedPayload(transport, queued)
        outgoings = map(outgoingOf, queued)
        if transport.messages:
            form, dress = self._form, self._dressMessages
            return Dressed([outgoing.form(form, dress) for outgoing in outgoings])
        pieces = []
        for outgoing in outgoings:
            style = self.style((outgoing,))
            pieces.append(self._piece(outgoing, style, self._numberOf(style)))
        return Dressed([piece for piece in pieces if piece])

    def _dressedPayload(self, transport: ISessionTransport, queued: Sequence[Queued]) -> Dressed:
        """The one payload of these packets."""
        style = self.style(queued)
        form = self._numberOf(style)
        pieces = []
        for outgoing in queued:
            piece = b""
            if not isinstance(outgoing, Outgoing):
                piece = self.ordinaryPiece(outgoing, style)
                if piece:
                    piece = transport.dress(piece)
                else:
                    outgoing = outgoingOf(outgoing)
            if isinstance(outgoing, Outgoing):
                piece = self._piece(outgoing, style, form)
            if piece:
                pieces.append(piece)
        if self.separator and len(pieces) > 1:
            pieces = [transport.dress(self.separator).join(pieces)]
        return Dressed(pieces, style == self.binaryStyle)

    def send(self, outgoings: Sequence[Queued]) -> None:
        """Write these packets to the transport, together."""
        transport = self.transport
        assert transport is not None
        if not transport.messages:
            transport.write(*self.dressed(outgoings))
            return
        # As :meth:`dressed`, for what most clients are on, and most packets are.
        form, heads, chunks = self._form, self._heads if transport.framed else (), []
        short = len(heads)
        for outgoing in outgoings:
            if type(outgoing) is bytes and len(outgoing) < short:
                chunks.append(heads[len(outgoing)] + outgoing)
            elif isinstance(outgoing, Outgoing):
                chunks.append(outgoing.forms.get(form) or outgoing.form(form, self._dressMessages))
            elif message := self.ordinary(outgoing):
                chunks.append(transport.dress(message, True))
            else:
                chunks.append(outgoingOf(outgoing).form(form, self._dressMessages))
        transport.write(chunks)

    def sendAlone(self, queued: Queued) -> None:
        """The same for one packet on a stream or a WebSocket; of a broadcast it is mostly dressed already."""
        dressed = queued.forms.get(self._form) if isinstance(queued, Outgoing) else None
        if dressed:
            assert self.transport is not None
            self.transport.write((dressed,))
        else:
            self.send((queued,))

    def _say(self, outgoing: Outgoing) -> str | Sequence[str | bytes]:
        try:
            messages = self.messages(outgoing)
            for each in messages:
                if isinstance(each, str) and not each.isascii():
                    each.encode("utf-8")  # a codec of somebody else's may have written what that can't carry
        except (EncodeError, UnicodeEncodeError) as error:  # the data itself is sound, or there would be no Outgoing
            raise UnsupportedByClient(str(error)) from error
        # No tuple for the usual one: what is kept for each message until its client has it, text, bytes and numbers, is
        # nothing that the garbage collector has to look at.
        said = messages[0] if len(messages) == 1 and type(messages[0]) is str else messages
        outgoing.forms[self._said] = said
        return said

    def _numberOf(self, style: str) -> int:
        """What pieces in this style are known by."""
        assert self.transport is not None
        return self.number((self.transport.form, style)) if style else self._form

    def _piece(self, outgoing: Outgoing, style: str, form: int) -> bytes:
        transport = self.transport
        assert transport is not None
        dressed: bytes | None = outgoing.forms.get(form)
        if dressed is None:
            piece = self.piece(outgoing, style)
            dressed = outgoing.forms[form] = transport.dress(piece) if piece else b""
        return dressed

    def _dressMessages(self, outgoing: Outgoing) -> bytes:
        assert self.transport is not None
        dress, said = self.transport.dress, self.said(outgoing)
        return dress(said[0]) if len(said) == 1 else b"".join([dress(message) for message in said])


#: What has no words in Socket.IO 0.6, and needs none: the client knows.
_UNSAID = frozenset((Kind.CONNECT, Kind.NOOP))
_SAID = frozenset((Kind.OPEN, Kind.CLOSE, Kind.HEARTBEAT, Kind.MESSAGE, Kind.JSON))


def _simple(outgoing: Outgoing) -> Outgoing:
    """
    A packet in the words of Socket.IO 0.6, which knows text and JSON.

    The event ``message`` with one argument is that message. Any other event is the JSON message ``{"name": NAME,
    "args": [ARGUMENTS]}``, which is the form that protocol 1 has for it.
    """
    kind = outgoing.kind
    if outgoing.namespace != "/" or outgoing.id is not None or outgoing.attachments:
        raise UnsupportedByClient("Socket.IO 0.6 has neither namespaces nor answers nor bytes")
    if kind is Kind.MESSAGE:
        return outgoing
    data = outgoing.packet.data
    if kind is Kind.EVENT:
        name, *arguments = data
        if name == "message" and len(arguments) == 1:
            return _simple(Outgoing(messagePacket(arguments[0])))
        return Outgoing(Packet(Kind.JSON, {"name": name, "args": arguments}))
    if kind is Kind.JSON and isinstance(data, (int, float)) and outgoing.text != "null":
        return Outgoing(Packet(Kind.MESSAGE, outgoing.text))  # as the first servers sent numbers
    if kind not in _SAID:
        raise UnsupportedByClient(f"Socket.IO 0.6 has no words for {kind.value}")
    return outgoing


class Codec(BaseCodec):
    """
    Base of codecs for the clients of Socket.IO 0.5 and 0.6, and of those that applications write: every packet is one
    frame of text, and frames are joined by writing them back to back.

    :cvar name: how ``Config.codecs`` and the URL ``<endpoint>/<name>/<transport>`` call it.
    """

    __slots__ = ()

    name: ClassVar[str]

    @abstractmethod
    def encode(self, outgoing: Outgoing) -> str:
        """
        The one frame that says a packet of the kinds OPEN, CLOSE, HEARTBEAT, MESSAGE and JSON, whose data is
        ``outgoing.text``; ``""`` for :attr:`~siotwisted.packets.Kind.CLOSE` if the codec has no word for it. Events
        come as the JSON or the message that stands for them.

        A frame must tell where it ends.
        """

    @abstractmethod
    def decode(self, payload: str, form: bool = False) -> Iterable[Packet]:
        """
        The packets of one payload: one request body, or one WebSocket message. A payload is whole: no state is kept.

        :param payload: frames back to back.
        :param form: the payload went through an HTML form, which changes line breaks.
        :raises ProtocolError: at the first thing that is not a frame, after the good packets before it.
        """

    def messages(self, outgoing: Outgoing) -> Sequence[str]:
        """The one frame of a packet; see :meth:`BaseCodec.messages`."""
        if outgoing.kind in _UNSAID:
            return ()
        frame = self.encode(_simple(outgoing))
        return (frame,) if frame else ()

    def piece(self, outgoing: Outgoing, style: str) -> bytes:
        """The frame of a packet."""
        return "".join(map(str, self.said(outgoing))).encode("utf-8")

    def read(self, payload: str | bytes, form: bool = False) -> Iterable[Packet]:
        """The packets of a payload, which must be text."""
        if isinstance(payload, bytes):
            raise ProtocolError("a binary message")
        return self.decode(payload, form)
