"""
A packet on its way out, and every form of it that was made so far.

A broadcast hands one :class:`Outgoing` to all its recipients. Whatever two of them have in common, the JSON text, the
messages of a codec, the bytes dressed for a transport, is made for the first and shared by the rest.

What is for one client alone is mostly an event, which is no more than its JSON, or a message, which is no more than its
text. That itself takes the place of an :class:`Outgoing` in queues, where thousands may wait for their client, and the
garbage collector looks at neither bytes nor text.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from siotwisted.packets import Kind, Packet
from siotwisted.wire.attachments import takeOut
from siotwisted.wire.jsontext import dumps, dumpsFlat, loads

__all__ = ["Ordinary", "Outgoing", "Queued", "outgoingOf", "sizeOf"]

_EVENT = Kind.EVENT  # Python 3.11 takes three times as long to look it up in its class
#: The kinds whose data is a value for the application.
_VALUES = frozenset((Kind.JSON, Kind.EVENT, Kind.ACK))

_Form = TypeVar("_Form")


def _textSize(text: Any) -> int:
    if isinstance(text, str):
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if isinstance(text, bytes):
        return len(text)
    return len(str(text)) if text else 0


class Outgoing:
    """
    One packet to send, to however many clients.

    :ivar kind: what it is for.
    :ivar namespace: where it belongs.
    :ivar id: the number by which an answer to it is known.
    :ivar text: its data as text: JSON of the values that applications send, with placeholders for bytes; otherwise the
        data itself.
    :ivar attachments: the bytes that were in it, in the order of the placeholders.
    :ivar data: the data itself; None if it is a list of text and whole numbers, which the text says as well.
    :ivar event: the same text as bytes, if it is ASCII and that of an event of the root namespace that wants no answer,
        as nearly all packets are; ``b""`` for any other.
    :ivar size: how many bytes it has for limits, whatever a codec makes of it: those of the text in UTF-8 or of the
        bytes that it is, those of the attachments, and those of the namespace, if that is not the root. What comes with
        a connect or a refusal is estimated.
    :ivar stamp: its number among all that clients may ask for again when they are back; 0 for no such.
    :raises siotwisted.errors.EncodeError: from the constructor, if JSON can't hold the data.
    """

    __slots__ = ("attachments", "data", "event", "forms", "id", "kind", "namespace", "size", "stamp", "text")

    def __init__(self, packet: Packet) -> None:
        kind, data, namespace, id = packet
        self.kind = kind
        self.namespace = namespace
        self.id = id
        self.stamp = 0
        self.event = b""
        self.data: Any = data
        self.text: str = data
        self.attachments: Sequence[bytes] = ()
        if kind in _VALUES:
            text = dumpsFlat(data)
            if text:
                self.data = None
            else:
                value, attachments = takeOut(data)
                text, self.attachments = dumps(value), attachments or ()
            self.text = text
            if kind is _EVENT and namespace == "/" and id is None and not self.attachments and text.isascii():
                self.event = text.encode()
        self.size = _textSize(self.text)
        if self.attachments:
            self.size += sum(map(len, self.attachments))
        if namespace != "/":
            self.size += len(namespace)
        #: What was made of it so far; see :meth:`form`.
        self.forms: dict[Hashable, Any] = {}

    @classmethod
    def ofEvent(cls, event: bytes) -> Outgoing:
        """The packet whose :attr:`event` this is."""
        self = cls.__new__(cls)
        self.kind, self.namespace, self.id, self.data = _EVENT, "/", None, None
        self.text, self.event, self.size = event.decode(), event, len(event)
        self.stamp, self.attachments, self.forms = 0, (), {}
        return self

    @property
    def packet(self) -> Packet:
        """What it says."""
        data = self.data
        if data is None and self.kind in _VALUES:
            data = loads(self.text)
        return Packet(self.kind, data, self.namespace, self.id)

    def form(self, key: Hashable, build: Callable[[Outgoing], _Form]) -> _Form:
        """
        What is known by ``key``: made by ``build(self)`` the first time, and the same object ever after.

        :param key: names everything that it depends on beside the packet: the codec, the transport.
        """
        form: _Form | None = self.forms.get(key)
        if form is None:
            form = self.forms[key] = build(self)
        return form


#: All that there is to say of an ordinary packet: the :attr:`Outgoing.event` of an event, or the text of a message, if
#: that is ASCII and for the root namespace.
Ordinary = bytes | str
#: A packet in a queue.
Queued = Outgoing | Ordinary


def outgoingOf(queued: Queued) -> Outgoing:
    """The packet that is in a queue."""
    if isinstance(queued, bytes):
        return Outgoing.ofEvent(queued)
    return Outgoing(Packet(Kind.MESSAGE, queued)) if isinstance(queued, str) else queued


def sizeOf(queued: Queued) -> int:
    """The :attr:`Outgoing.size` of a packet in a queue."""
    return queued.size if isinstance(queued, Outgoing) else len(queued)
