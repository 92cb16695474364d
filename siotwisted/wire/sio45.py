"""
Socket.IO packets of revisions 3 and 4 (clients 1.x, 2.x) and 5 (clients 3.x, 4.x), as Engine.IO messages carry them.

A packet is one message of text, and one binary message for each attachment behind it::

    TEXT = TYPE [COUNT "-"] [NAMESPACE ","] [ID] [JSON]     COUNT: of the attachments, for types 5 and 6 only

Nothing on the wire tells revision 3 from 4; both are read and written alike.

The readings are stricter than those of the JavaScript parsers, which take what JavaScript can make a number of:

* an empty text is no packet, and neither a space nor more digits than a double can hold are part of an id;
* a count has decimal digits alone, the first not zero, and 0 attachments are none;
* a binary packet has JSON;
* the data of ``CONNECT`` is an object, and events have a name, in all revisions: what a 1.x parser takes beyond that no
  client sends;
* an unknown type and damaged JSON end the session in all revisions, where old parsers made an ``ERROR`` of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.attachments import Place, places, putBack, takeOut
from siotwisted.wire.jsontext import dumps, dumpsFlatObject, loads

__all__ = ["MAX_ID", "NAMESPACE", "RESERVED", "Decoder", "checkHead", "encode", "faultOf"]

#: Names of events that only the library itself may use. Revision 5 refuses packets with them; before it, a session
#: must drop them.
RESERVED = frozenset(("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"))

#: The largest number of a packet, which is what JavaScript can count to.
MAX_ID = 2**53 - 1
_TYPES = {Kind.CONNECT: 0, Kind.DISCONNECT: 1, Kind.EVENT: 2, Kind.ACK: 3, Kind.ERROR: 4}
_KINDS = (Kind.CONNECT, Kind.DISCONNECT, Kind.EVENT, Kind.ACK, Kind.ERROR, Kind.EVENT, Kind.ACK)
_BINARY = 3
"""How far the types of packets with attachments are from those without."""

#: What every transport can carry: U+001E would cut a payload, and UTF-8 has no surrogates.
_NAMESPACE = "/[^,\x1e\ud800-\udfff]*+"
#: What a namespace can be called.
NAMESPACE = re.compile(_NAMESPACE)
_HEAD = re.compile(rf"(?:([0-4])|([56])([1-9][0-9]{{0,5}})-)(?:({_NAMESPACE})(?:,|\Z))?+([0-9]*+)(?![ \t\r\n])")
_WIDE = re.compile("[^\0-\x7f]+")
#: No packet.
_NONE = Packet(Kind.NOOP)
#: What each client of 3.x and 4.x sends once.
_JOIN = Packet(Kind.CONNECT)


def faultOf(kind: Kind, data: Any, revision: int) -> str:
    """What is wrong with the data of a packet that has some; ``""`` if nothing is."""
    if kind is Kind.EVENT:
        name = data[0] if isinstance(data, (list, tuple)) and data else None
        if not isinstance(name, (str, int, float)) or isinstance(name, bool):
            return "an event is a list that begins with its name"
        if isinstance(name, float) and not math.isfinite(name):
            return "not the name of an event"
        return "a reserved event name" if revision >= 5 and name in RESERVED else ""
    if kind is Kind.ACK:
        return "" if isinstance(data, (list, tuple)) else "an answer is a list"
    if kind is Kind.CONNECT:
        return "" if isinstance(data, dict) else "what comes with a connect is an object"
    if kind is Kind.DISCONNECT:
        return "nothing comes with a disconnect"
    return "an error is text or an object" if revision >= 5 and not isinstance(data, (str, dict)) else ""


def _escape(run: re.Match[str]) -> str:
    return json.dumps(run.group())[1:-1]


def checkHead(packet: Packet) -> None:
    """
    See that a packet can be written, but for its data.

    :raises EncodeError: if it can't.
    """
    if packet.kind not in _TYPES:
        raise EncodeError(f"{packet.kind} is no Socket.IO packet")
    if not NAMESPACE.fullmatch(packet.namespace):
        raise EncodeError(f"not a namespace: {packet.namespace!r}")
    if packet.id is None and packet.kind is Kind.ACK:
        raise EncodeError("an answer needs the number of what it answers")
    if packet.id is not None and not 0 <= packet.id <= MAX_ID:
        raise EncodeError(f"not a number of a packet: {packet.id}")


def _write(data: object) -> tuple[str, Sequence[bytes]]:
    flat = dumpsFlatObject(data)
    if flat:
        return flat, ()
    value, attachments = takeOut(data)
    return dumps(value), attachments


def encode(packet: Packet, revision: int, written: tuple[str, Sequence[bytes]] | None = None) -> list[str | bytes]:
    """
    The messages of one packet: its text, then its attachments.

    JSON for revisions 3 and 4 is ASCII: clients 1.x and 2.x disagree about other text in a poll.

    :param packet: ``None`` as data of a connect, a disconnect or an error is no data.
    :param revision: 3, 4 or 5.
    :param written: the data as JSON and its attachments, if they are there already.
    :raises EncodeError: if the protocol has no words for it.
    """
    checkHead(packet)
    kind, namespace, number = packet.kind, packet.namespace, packet.id
    text, attachments = written or _write(packet.data)
    if attachments and kind not in (Kind.EVENT, Kind.ACK):
        raise EncodeError("only events and answers have attachments")
    if packet.data is None and kind not in (Kind.EVENT, Kind.ACK):
        text = ""
    else:
        fault = faultOf(kind, packet.data, revision)
        if fault:
            raise EncodeError(fault)
        if revision < 5 and not text.isascii():
            text = _WIDE.sub(_escape, text)
    head = f"{_TYPES[kind] + _BINARY}{len(attachments)}-" if attachments else f"{_TYPES[kind]}"
    if namespace != "/":
        head += namespace + ","
    if number is not None:
        head += str(number)
    return [head + text, *attachments]


class Decoder:
    """
    Reads the packets of one session.

    After a :class:`~siotwisted.errors.ProtocolError` the session ends, and its decoder with it.

    :ivar due: how many attachments the last text still waits for.
    :param revision: 3, 4 or 5.
    :param attachments: how many one packet may have; the JavaScript parser's own limit of 10 is less than clients send.
        All of them are kept until the last has come.
    :param attachmentBytes: how many bytes those of one packet may have together.
    :param idDigits: how long the number of a packet may be, in digits; never more than 2**53 - 1.
    :param namespaceLength: how long a namespace may be, with the query that clients 1.x and 2.x put behind it, in
        characters.
    """

    __slots__ = (
        "_attachments",
        "_maxAttachments",
        "_maxBytes",
        "_maxDigits",
        "_maxNamespace",
        "_packet",
        "_places",
        "_revision",
        "_room",
        "due",
    )

    def __init__(
        self,
        revision: int,
        *,
        attachments: int = 100,
        attachmentBytes: int = 10_000_000,
        idDigits: int = 16,
        namespaceLength: int = 4096,
    ) -> None:
        self._revision = revision
        self._maxAttachments = attachments
        self._maxBytes = attachmentBytes
        self._maxDigits = idDigits
        self._maxNamespace = namespaceLength
        self.due = 0
        self._room = 0
        self._packet = _NONE
        self._places: Sequence[Place] = ()
        self._attachments: list[bytes] | None = None

    def receive(self, frame: str | bytes) -> Packet | None:
        """
        Read one message.

        An answer without data has an empty list.

        :param frame: what Engine.IO delivered, without its own ``4``.
        :return: the packet that this message completes. ``None`` if attachments are still due, or if the packet says
            nothing: an event without data, an answer that does not say to what.
        :raises ProtocolError: if this is not what the protocol has here.
        """
        if isinstance(frame, str):
            return self._text(frame)
        if not self.due:
            raise ProtocolError("bytes that no packet waits for")
        self._room -= len(frame)
        if self._room < 0:
            raise ProtocolError("attachments too large")
        assert self._attachments is not None
        self._attachments.append(frame)
        self.due -= 1
        if self.due:
            return None
        packet, found, attachments = self._packet, self._places, self._attachments
        self._packet, self._places, self._attachments = _NONE, (), None
        putBack(found, attachments)
        return self._told(packet)

    def _text(self, text: str) -> Packet | None:
        if self.due:
            raise ProtocolError("text where attachments are due")
        if text == "0":
            return _JOIN
        head = _HEAD.match(text)
        if head is None:
            raise ProtocolError("not a Socket.IO packet")
        plain, binary, count, namespace, digits = head.groups()
        namespace = namespace or "/"
        if len(namespace) > self._maxNamespace:
            raise ProtocolError("namespace too long")
        number = self._number(digits)
        kind = _KINDS[int(plain or binary)]
        due = int(count or 0)
        if due > self._maxAttachments:
            raise ProtocolError("too many attachments")
        data = None
        if head.end() < len(text):
            data = loads(text[head.end() :])
            fault = faultOf(kind, data, self._revision)
            if fault:
                raise ProtocolError(fault)
        elif due:
            raise ProtocolError("attachments without data")
        elif kind is Kind.ACK:
            data = []
        packet = Packet(kind, data, namespace, number)
        if due:
            self._places, self._attachments = places(packet.data, due), []
            self._packet, self.due, self._room = packet, due, self._maxBytes
            return None
        return self._told(packet)

    def _number(self, digits: str) -> int | None:
        if not digits:
            return None
        if len(digits) > self._maxDigits or int(digits) > MAX_ID:
            raise ProtocolError("the number of a packet is too large")
        return int(digits)

    @staticmethod
    def _told(packet: Packet) -> Packet | None:
        """The packet, unless it says nothing."""
        if packet.kind is Kind.EVENT and packet.data is None:
            return None
        return None if packet.kind is Kind.ACK and packet.id is None else packet
