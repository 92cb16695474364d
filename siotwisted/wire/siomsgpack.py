"""
Socket.IO packets of revision 5 as MessagePack, which clients 3.x and 4.x write with socket.io-msgpack-parser.

A packet is one binary message, a map with the keys ``type``, ``nsp``, ``id`` and ``data``; others are ignored. Bytes
stand where they are, so there are no attachments.

What an application gets and gives is the same as with JSON:

* a date arrives as the text that JSON would have, ``undefined`` as ``None``: both may be sent on to any client;
* typed arrays arrive as bytes; ``NaN`` and the infinities, which JSON lacks, pass as they are;
* keys of maps are text, both ways, and the last of two equal ones counts;
* types that JSON can't hold, but for bytes, are not written.

This reader is stricter than the JavaScript parser, for it refuses what JSON can't carry: an event without a name, a
reserved name, a namespace with a comma. In one thing it is laxer: it takes ``nil`` for data or a number that is not
there, as clients in Python write it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import msgspec

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.jsontext import MAX_DEPTH, dumps
from siotwisted.wire.sio45 import MAX_ID, NAMESPACE, checkHead, faultOf

__all__ = ["decode", "encode"]

_REVISION = 5
_KINDS = (Kind.CONNECT, Kind.DISCONNECT, Kind.EVENT, Kind.ACK, Kind.ERROR)
_TYPES = {kind: number for number, kind in enumerate(_KINDS)}


class _Message(msgspec.Struct, omit_defaults=True):
    """The map that a packet is; the order is that of the JavaScript parser."""

    type: Annotated[int, msgspec.Meta(ge=0, le=4)]
    nsp: Annotated[str, msgspec.Meta(max_length=4096)]
    id: Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)] | None = None
    data: Any = None


_write = msgspec.msgpack.Encoder().encode


def _key(key: object) -> str:
    """The key of a map as JSON would write it."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (int, float)):
        return dumps(key)
    raise EncodeError(f"not a key of a map: {key!r}")


def _plain(value: Any) -> Any:
    """A copy in which all is of the few types that are written; msgspec itself would write more than JSON can."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise EncodeError(f"can't be written: {type(value).__name__}")


def encode(packet: Packet) -> bytes:
    """
    The message of one packet.

    :param packet: ``None`` as data of a connect, a disconnect or an error is no data.
    :raises EncodeError: if the protocol has no words for it: as with JSON, and for integers beyond 64 bits and text
        with lone surrogates.
    """
    checkHead(packet)
    kind, _, namespace, number = packet
    try:
        data = _plain(packet.data)
        if data is not None or kind in (Kind.EVENT, Kind.ACK):
            fault = faultOf(kind, data, _REVISION)
            if fault:
                raise EncodeError(fault)
        return _write(_Message(_TYPES[kind], namespace, number, data))
    except EncodeError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise EncodeError(f"not MessagePack: {error}") from error


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: The calendar repeats itself after so many milliseconds, which are 400 years.
_CYCLE = 146_097 * 86_400_000
#: How far from 1970 a date of JavaScript may be, in milliseconds.
_FARTHEST = 8_640_000_000_000_000


def _date(milliseconds: int) -> str | None:
    """A date as JavaScript puts it into JSON: ISO 8601 in UTC; None for one that is not valid."""
    if abs(milliseconds) > _FARTHEST:
        return None
    cycles, rest = divmod(milliseconds, _CYCLE)
    moment = _EPOCH + rest * _MILLISECOND
    year = moment.year + 400 * cycles
    return (
        (f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}") + moment.isoformat(timespec="milliseconds")[4:23] + "Z"
    )


#: JavaScript writes ``undefined``, dates and typed arrays as one type of extension, and tells them apart by the form of
#: their headers alone, of which msgspec says nothing. So these are the arrays that are as long as one of the others.
_ARRAYS = re.compile(rb"\xc7(?=(\x01\0.|\x08\0.{8}))", re.DOTALL)
_UNDEFINED = b"\xd4\0\0"


def _arrays(frame: bytes) -> Collection[bytes]:
    """
    The typed arrays in a message that are as long as ``undefined`` or a date: their lengths, types and bytes.

    There may be more that only look like it. It matters if a packet has one, and a date or ``undefined`` of just its
    bytes: then dates are taken for arrays, and arrays of one zero for ``undefined``, which is more frequent.
    """
    arrays = set(_ARRAYS.findall(frame))
    if arrays and _UNDEFINED in frame:
        arrays.discard(b"\1\0\0")
    return arrays


def _extension(arrays: Collection[bytes], code: int, content: memoryview) -> Any:
    """The value of an extension that JavaScript writes."""
    if code != 0:
        raise ProtocolError(f"unknown type of extension: {code}")
    data = bytes(content)
    if len(data) not in (1, 8) or b"%c\0%b" % (len(data), data) in arrays:
        return data
    return None if len(data) == 1 else _date(int.from_bytes(data, "big", signed=True))


def _checked(data: Any) -> Any:
    """
    The same data, whose times became texts.

    :raises ProtocolError: if it nests too deep, or has a map with keys that are not text.
    """
    root = [data]
    containers: list[Any] = [root]
    for _ in range(MAX_DEPTH + 1):
        inner = []
        for container in containers:
            keyed = isinstance(container, dict)
            for key, value in container.items() if keyed else enumerate(container):
                if keyed and type(key) is not str:
                    raise ProtocolError("a key that is not text")
                if isinstance(value, (list, dict)):
                    inner.append(value)
                elif isinstance(value, datetime):  # the type of extension that MessagePack itself has for times
                    container[key] = _date((value - _EPOCH) // _MILLISECOND)
        if not inner:
            return root[0]
        containers = inner
    raise ProtocolError("data nested too deep")


def decode(frame: bytes) -> Packet | None:
    """
    Read one message.

    :param frame: what Engine.IO delivered.
    :return: the packet; ``None`` if it says nothing: an answer that does not say to what.
    :raises ProtocolError: if this is not a packet.
    """
    hook = partial(_extension, _arrays(frame))
    try:
        message = msgspec.msgpack.decode(frame, type=_Message, ext_hook=hook)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"bad MessagePack: {error}") from error
    if not NAMESPACE.fullmatch(message.nsp):
        raise ProtocolError("not a namespace")
    kind, data = _KINDS[message.type], _checked(message.data)
    if data is not None or kind not in (Kind.CONNECT, Kind.DISCONNECT):
        fault = faultOf(kind, data, _REVISION)
        if fault:
            raise ProtocolError(fault)
    if kind is Kind.ACK and message.id is None:
        return None
    return Packet(kind, data, message.nsp, message.id)
