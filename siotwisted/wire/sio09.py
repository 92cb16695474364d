"""
Protocol 1 of Socket.IO, which clients 0.7 to 0.9 speak.

A packet is text, ``TYPE ":" [ID ["+"]] ":" [ENDPOINT] [":" DATA]``. A WebSocket message is one packet; the body of a
poll is one packet, or several, each as ``\\ufffd LENGTH \\ufffd PACKET`` with the length in UTF-16 code units.

=========  ==========================================================================
kind       data
=========  ==========================================================================
CONNECT    the query behind the endpoint, ``?a=1``, or ``None``
MESSAGE    text
JSON       a value
EVENT      a list of the name and the arguments
ACK        the list of arguments; the packet's id is that of what it answers
ERROR      a list of two words, reason and advice, each ``""`` if there is none or it is unknown
others     ``None``
=========  ==========================================================================

The readings are stricter than those of the JavaScript parser, which finds packets in the middle of a text, makes
anything damaged an empty packet or an event without a name, and takes frames that are too short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from siotwisted.errors import EncodeError, ProtocolError, UnsupportedByClient
from siotwisted.interfaces import IPacketReceiver
from siotwisted.outgoing import Ordinary, Outgoing, Queued
from siotwisted.packets import Kind, Packet
from siotwisted.wire.attachments import takeOut
from siotwisted.wire.codec import BaseCodec
from siotwisted.wire.jsontext import dumps, loads, loadsCall
from siotwisted.wire.sio45 import RESERVED
from siotwisted.wire.units import cutFrames, unitCount
from siotwisted.wire.wrappings import readQuery

__all__ = ["Received", "SocketIO09Codec", "decode", "encode", "framed", "handshakeBody"]

_KINDS = (
    Kind.DISCONNECT,
    Kind.CONNECT,
    Kind.HEARTBEAT,
    Kind.MESSAGE,
    Kind.JSON,
    Kind.EVENT,
    Kind.ACK,
    Kind.ERROR,
    Kind.NOOP,
)
_TYPES = {kind: number for number, kind in enumerate(_KINDS)}
_REASONS = ("transport not supported", "client not handshaken", "unauthorized")
_ADVICE = ("reconnect",)

_MAX_ID = 2**53 - 1
_ID = "[0-9]{1,16}"
#: UTF-8 has no surrogates, and the parsers of 0.7 to 0.8.2 don't see beyond the end of a line.
_ENDPOINT = "/[^:\r\n\u2028\u2029\ud800-\udfff]{0,4095}+"
#: How long the query behind an endpoint may be, in characters.
_LONGEST_QUERY = 4096
_PACKET = re.compile(rf"([0-8]):(?:({_ID})(\+?))?:({_ENDPOINT})?+(?::(.*))?", re.DOTALL)
_WHOLE_ENDPOINT = re.compile(_ENDPOINT)
#: Text for which ``MESSAGE`` is no safe place: the ends of lines, surrogates alone, and what 0.9.15 and later change in
#: an htmlfile.
_UNSAFE = re.compile("[\r\n\u2028\u2029\ud800-\udfff]|\\\\/")
_ANSWER = re.compile(rf"({_ID})\+?(.*)", re.DOTALL)
_ERROR = re.compile(r"([0-9]?)(?:\+([0-9]?))?")

_QUOTE = ord('"')
_HEADER = re.compile("\ufffd([0-9]{1,7})\ufffd")
_END = re.compile("(?=\ufffd[0-9]{1,7}\ufffd)|\\Z")


class Received(NamedTuple):
    """A packet of a client, and who answers it if it has an id."""

    packet: Packet
    #: The client wants data: the application answers. Otherwise the session does, at once and without arguments.
    dataAck: bool = False


def handshakeBody(sessionID: str, heartbeatTimeout: int, closeTimeout: int, transports: Sequence[str]) -> str:
    """
    The body that answers a handshake.

    :param sessionID: without ``:`` and ``/``.
    :param heartbeatTimeout: how long the client waits for any packet, in seconds: without it clients from 0.9.1 on give
        up at once.
    :param closeTimeout: how long the client waits for data, in seconds: without it all clients reconnect without end.
    :param transports: what the client may use, best first.
    :raises EncodeError: if a client could not live with it.
    """
    if not sessionID or ":" in sessionID or "/" in sessionID:
        raise EncodeError(f"not a session id of protocol 1: {sessionID!r}")
    if heartbeatTimeout < 1 or closeTimeout < 1:
        raise EncodeError("both times must be a second at least")
    return f"{sessionID}:{heartbeatTimeout}:{closeTimeout}:{','.join(transports)}"


def framed(packet: str) -> str:
    """A packet, as :func:`encode` wrote it, in the body of a poll that holds several; one alone goes as it is."""
    return f"\ufffd{unitCount(packet)}\ufffd{packet}"


def _json(value: object) -> str:
    """JSON for engines that end lines at U+2028, and for htmlfiles that lose a backslash before a slash."""
    text = dumps(value).replace("\\/", "\\\\u002f")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _word(words: tuple[str, ...], word: str) -> str:
    """The number of a word; nothing for one that the protocol doesn't know."""
    return str(words.index(word)) if word in words else ""


def _dataOf(packet: Packet) -> str:
    """What follows the endpoint; ``""`` if nothing does."""
    kind, data = packet.kind, packet.data
    if kind is Kind.JSON:
        return _json(data)
    if kind is Kind.EVENT:
        if not isinstance(data, (list, tuple)) or not data or not isinstance(data[0], str):
            raise EncodeError("an event is a list that begins with its name")
        return _json({"name": data[0], "args": data[1:]} if len(data) > 1 else {"name": data[0]})
    if kind is Kind.ACK:
        if not isinstance(data, (list, tuple)) or packet.id is None:
            raise EncodeError("an answer is a list, and has the number of what it answers")
        return f"{packet.id}+{_json(data)}" if data else str(packet.id)
    if kind is Kind.ERROR:
        if data is not None and not (isinstance(data, (list, tuple)) and len(data) == 2):
            raise EncodeError("an error is a list of two words")
        reason, advice = data or ("", "")
        advised = _word(_ADVICE, advice)
        return _word(_REASONS, reason) + (f"+{advised}" if advised else "")
    if kind is Kind.MESSAGE and isinstance(data, str):
        return data
    if kind is Kind.CONNECT and isinstance(data, str) and not _UNSAFE.search(data):
        return data
    if data is not None or kind is Kind.MESSAGE:
        raise EncodeError(f"not what a {kind.value} packet carries")
    return ""


def encode(packet: Packet, dataAck: bool = True) -> str:
    """
    The text of one packet.

    Text that some client would lose or change travels as JSON, which is the same to the application there.

    :param dataAck: the answer to a message or a value, if it has an id, comes from the client's application, and may
        have arguments; otherwise from its library. To an event there is no answer but from the application.
    :raises EncodeError: if the protocol has no words for it.
    """
    kind, namespace = packet.kind, packet.namespace
    if kind not in _TYPES:
        raise EncodeError(f"{kind} is no packet of protocol 1")
    if not _WHOLE_ENDPOINT.fullmatch(namespace):
        raise EncodeError(f"not an endpoint: {namespace!r}")
    if packet.id is not None and not 0 <= packet.id <= _MAX_ID:
        raise EncodeError(f"not a number of a packet: {packet.id}")
    data = _dataOf(packet)
    if kind is Kind.MESSAGE and _UNSAFE.search(data):
        kind, data = Kind.JSON, _json(data)
    number = str(packet.id) if packet.id and kind is not Kind.ACK else ""
    if number and (dataAck or kind is Kind.EVENT):
        number += "+"
    head = f"{_TYPES[kind]}:{number}:{namespace if namespace != '/' else ''}"
    return f"{head}:{data}" if data else head


def decode(body: str, form: bool = False) -> Iterator[Received]:
    """
    The packets of a WebSocket message or the body of a POST; an empty one has none.

    :param form: it went through an HTML form as it is, which makes CR LF of line feeds; clients before 0.8.6 do that.
    :raises ProtocolError: at the first thing that is not a packet, after the good packets before it.
    """
    if not body.startswith("\ufffd"):
        packets = iter((body.replace("\r\n", "\n") if form else body,) if body else ())
    else:
        packets = (packet for _, packet in cutFrames(body, form, _HEADER, _END, ""))
    for text in packets:
        received = _packet(text)
        if received is not None:
            yield received


def _number(digits: str | None) -> int:
    number = int(digits or 0)
    if number > _MAX_ID:
        raise ProtocolError("the number of a packet is too large")
    return number


def _packet(text: str) -> Received | None:
    """One packet; ``None`` for an answer that does not say to what, which the JavaScript server drops too."""
    match = _PACKET.fullmatch(text + "::" if text in ("0", "2") else text)
    if match is None:
        raise ProtocolError("not a packet of protocol 1")
    number, digits, plus, endpoint, data = match.groups()
    kind, namespace, answerID = _KINDS[int(number)], endpoint or "/", _number(digits) or None
    content: Any = None
    if kind is Kind.ACK:
        answer = _ANSWER.fullmatch(data or "")
        if answer is None:
            return None
        answerID, content = _number(answer[1]), loads(answer[2]) if answer[2] else []
        if not isinstance(content, list):
            raise ProtocolError("an answer is a list")
    elif kind is Kind.EVENT:
        content = _event(loads(data or ""))
    elif kind is Kind.JSON:
        content = loads(data or "")
    elif kind is Kind.MESSAGE:
        content = data or ""
    elif kind is Kind.CONNECT:
        content = data or None
        if len(data or "") > _LONGEST_QUERY:
            raise ProtocolError("a query that is too long")
    elif kind is Kind.ERROR:
        error = _ERROR.fullmatch(data or "")
        content = [_text(_REASONS, error[1]), _text(_ADVICE, error[2])] if error else ["", ""]
    return Received(Packet(kind, content, namespace, answerID), bool(plus))


def _event(value: Any) -> list[Any]:
    """The name and the arguments of an event's object."""
    name, arguments = (value.get("name"), value.get("args", [])) if isinstance(value, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(arguments, list):
        raise ProtocolError("an event is an object with a name and a list of arguments")
    return [name, *arguments]


def _text(words: tuple[str, ...], number: str | None) -> str:
    """The word of a number; nothing if the protocol has none."""
    return words[int(number)] if number and int(number) < len(words) else ""


#: What a client is not told in words: the handshake said it, or the end of the transport does.
_UNSAID = frozenset((Kind.OPEN, Kind.CLOSE))
#: What :func:`framed` makes of ASCII.
_FRAMED = b"\xef\xbf\xbd%d\xef\xbf\xbd%b"
#: How many namespaces a client may call by another text than their names.
_MOST_ENDPOINTS = 32


#: What stands before the arguments of events, by what does in their JSON; nothing for a name that is not simple.
_heads: dict[bytes, bytes] = {}
#: How many are remembered.
_MOST_HEADS = 1024


def _headOf(name: bytes) -> bytes:
    """What :data:`_heads` has for ``["NAME"``."""
    if len(_heads) >= _MOST_HEADS:
        _heads.clear()
    simple = name[-1] == _QUOTE and name[2:-1].isalnum()
    _heads[name] = head = b'5:::{"name":%b,"args":[' % name[1:] if simple else b""
    return head


class SocketIO09Codec(BaseCodec):
    """
    The codec of the clients 0.7 to 0.9.

    A client that joins ``/chat?a=1`` knows its namespace by that whole text, and is answered by it.
    """

    __slots__ = ("_endpoints",)

    saysHello = False

    def __init__(self, receiver: IPacketReceiver) -> None:
        super().__init__(receiver)
        self.saysOrdinary = True
        #: What the client calls a namespace, where that is not its name.
        self._endpoints: dict[str, str] = {}

    def ordinary(self, said: Ordinary) -> bytes:
        """See :meth:`BaseCodec.ordinary`. What :func:`encode` writes, for a simple name and no backslash."""
        if isinstance(said, str):
            return b"" if _UNSAFE.search(said) else b"3:::%b" % said.encode()
        comma = said.find(b",")  # ["NAME",ARGUMENTS]
        head = _heads.get(said[:comma])
        if head is None:
            head = _headOf(said[:comma])
        return head + said[comma + 1 :] + b"}" if head and comma > 0 and said.find(b"\\") < 0 else b""

    def messages(self, outgoing: Outgoing) -> Sequence[str]:
        """The one message that says a packet."""
        if outgoing.kind in _UNSAID:
            return ()
        if outgoing.attachments:
            raise UnsupportedByClient("clients before 1.0 take no bytes")
        if outgoing.event and (event := self.ordinary(outgoing.event)):
            return (event.decode(),)
        kind, data, namespace, number = outgoing.packet
        if kind in (Kind.JSON, Kind.EVENT, Kind.ACK):
            data, _ = takeOut(data)
        elif kind in (Kind.CONNECT, Kind.HEARTBEAT):
            data = None
        elif kind is Kind.ERROR:
            data = ("unauthorized", "")
        elif kind not in _TYPES:
            raise UnsupportedByClient(f"protocol 1 has no words for {kind.value}")
        return (encode(Packet(kind, data, self._endpoints.get(namespace, namespace), number)),)

    def style(self, queued: Sequence[Queued]) -> str:
        """Whether a payload holds several packets."""
        if len(queued) < 2:
            return "alone"
        said = [each for each in queued if not isinstance(each, Outgoing) or each.kind not in _UNSAID]
        return "framed" if len(said) > 1 else "alone"

    def ordinaryPiece(self, said: Ordinary, style: str) -> bytes:
        """See :meth:`BaseCodec.ordinaryPiece`."""
        message = self.ordinary(said)
        return _FRAMED % (len(message), message) if message and style == "framed" else message

    def piece(self, outgoing: Outgoing, style: str) -> bytes:
        """The packet as it is, or in a frame."""
        if outgoing.event and (event := self.ordinary(outgoing.event)):
            return _FRAMED % (len(event), event) if style == "framed" else event
        text = "".join(map(str, self.said(outgoing)))
        return (framed(text) if text and style == "framed" else text).encode("utf-8")

    def eventOf(self, message: str | bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOf`."""
        if message[:5] == "5:::{":
            event = loadsCall(message[4:])
            if event and event[0] not in RESERVED:
                return event
        return None

    def eventOfUTF8(self, text: bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOfUTF8`."""
        if text[:5] == b"5:::{":
            event = loadsCall(text[4:])
            if event and event[0] not in RESERVED:
                return event
        return None

    def eventIn(self, payload: str | bytes, form: bool = False) -> list[Any] | None:
        """See :meth:`BaseCodec.eventIn`. A packet alone may be framed like several."""
        if form or isinstance(payload, bytes):
            return None
        if payload[:1] == "\ufffd":
            size, _, payload = payload[1:].partition("\ufffd")
            if not (payload.isascii() and size == str(len(payload))):
                return None
        return self.eventOf(payload)

    def read(self, payload: str | bytes, form: bool = False) -> Iterator[Packet]:
        """The packets of a payload or a WebSocket message, which is text."""
        if isinstance(payload, bytes):
            raise ProtocolError("a binary message")
        for packet, dataAck in decode(payload, form):
            if packet.kind is Kind.CONNECT:
                yield from self._connects(packet)
                continue
            if "?" in packet.namespace:
                packet = packet._replace(namespace=packet.namespace.partition("?")[0])
            if packet.kind is Kind.DISCONNECT and packet.namespace == "/":
                yield Packet(Kind.CLOSE)
            elif packet.kind is Kind.DISCONNECT:
                self._call(packet.namespace, None)
                yield packet
            elif packet.id is not None and packet.kind is not Kind.ACK and not dataAck:
                yield Packet(Kind.RECEIPT, None, packet.namespace, packet.id)
                yield packet._replace(id=None)
            else:
                yield packet

    def _connects(self, packet: Packet) -> Iterator[Packet]:
        """A client joins a namespace; it says so of ``/``, where it is already, if it did not understand something."""
        namespace, _, inside = packet.namespace.partition("?")
        query = (packet.data or "").removeprefix("?") or inside
        if namespace == "/":
            return
        if inside:
            if namespace not in self._endpoints and len(self._endpoints) >= _MOST_ENDPOINTS:
                raise ProtocolError("too many namespaces with queries")
            self._call(namespace, packet.namespace)
        else:
            self._call(namespace, None)
        yield Packet(Kind.CONNECT, readQuery(query) or None, namespace)

    def _call(self, namespace: str, endpoint: str | None) -> None:
        """What the client calls a namespace from now on; None for its name."""
        if endpoint is not None:
            self._endpoints[namespace] = endpoint
        elif self._endpoints.pop(namespace, None) is None:
            return
        # With endpoints of its own, its packets are no other client's.
        if self._endpoints:
            self.setKey(object(), private=True)
        else:
            self.setKey(type(self))
