"""
JSON as Socket.IO may put it on the wire: strict both ways.

What a browser can't parse is never written (``NaN``, raw surrogates), and what no browser writes is never read
(``NaN``, numbers that overflow, nesting beyond :data:`MAX_DEPTH`), whatever the interpreter's own limits are.

msgspec does nearly all of the work, in a fraction of the standard library's time. It reads the same values, large
integers among them, and refuses the same texts, but for the lone surrogates that browsers escape: whatever it
refuses, the standard library has the last word about. It writes more than JSON can hold (bytes, dates, NaN as null), so
only lists of text and whole numbers, as most events are, are left to it: see :func:`flatJSON`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NoReturn

import msgspec

from siotwisted.errors import EncodeError, ProtocolError

__all__ = ["MAX_DEPTH", "dumps", "dumpsFlat", "dumpsFlatObject", "flatJSON", "loads", "loadsCall", "loadsEvent"]

#: How deep arrays and objects may nest in JSON that a peer sends.
MAX_DEPTH = 64
#: A text of fewer characters may be read before it is known how deep it nests: it can't use up the stack.
_SHORT = 1024

#: A string, or what might have become one: unless an open end matches too, each quote would be tried to the end.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _refuseConstant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("number out of range")
    return value


_encodeSlowly = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encodeASCII = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
_decodeSlowly = json.JSONDecoder(parse_constant=_refuseConstant, parse_float=_finite).decode
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Call(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An object with a name and, perhaps, arguments."""

    name: str
    args: list[Any] = []


_decodeCall = msgspec.json.Decoder(_Call).decode
#: What msgspec writes as the standard library does.
_ATOMS = frozenset((str, int, bool, type(None)))
_NAMES = {str}


def flatJSON(values: Sequence[Any]) -> bytes:
    """What :func:`dumps` writes of a list of text and whole numbers, as UTF-8; ``b""`` if it is not so simple."""
    for value in values:
        if type(value) not in _ATOMS:
            return b""
    try:
        return _encode(values)
    except ValueError:  # lone surrogates
        return b""


def dumpsFlat(value: object) -> str:
    """What :func:`dumps` writes of a list of text and whole numbers; ``""`` if it is not so simple."""
    return flatJSON(value).decode() if type(value) is list else ""


def dumpsFlatObject(value: object) -> str:
    """What :func:`dumps` writes of text and whole numbers by name; ``""`` if it is not so simple."""
    if type(value) is not dict or not (set(map(type, value)) <= _NAMES and set(map(type, value.values())) <= _ATOMS):
        return ""
    try:
        return _encode(value).decode()
    except ValueError:  # lone surrogates
        return ""


def dumps(value: object) -> str:
    """
    Write a value as compact JSON that UTF-8 can carry.

    A text with lone surrogates, which UTF-8 can't carry, is written with escapes instead.

    :param value: anything that JSON can hold.
    :raises EncodeError: for a value that JSON can't hold: bytes, ``NaN``, an infinity, a cycle, an unknown type.
    """
    flat = dumpsFlat(value) or dumpsFlatObject(value)
    if flat:
        return flat
    try:
        text = _encodeSlowly(value)
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                return _encodeASCII(value)
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"not JSON: {error}") from error


def _tooDeep(text: str) -> bool:
    """Whether arrays and objects nest deeper than :data:`MAX_DEPTH`."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub("", text).encode("ascii", "ignore").translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH


def loads(text: str) -> Any:
    """
    Read a JSON text that a peer sent.

    :raises ProtocolError: if it is not JSON, or nests too deep, or holds a number that Python can't hold.
    """
    short = len(text) < _SHORT
    if not short and _tooDeep(text):
        raise ProtocolError("JSON nested too deep")
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        try:
            value = _decodeSlowly(text)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("bad JSON") from error
    if short:
        if type(value) is list:
            for item in value:
                if type(item) not in _ATOMS:
                    break
            else:
                return value  # as deep as most events are
        if _tooDeep(text):
            raise ProtocolError("JSON nested too deep")
    return value


def loadsEvent(data: bytes) -> list[Any] | None:
    """
    What :func:`loads` reads of a list that begins with text, in UTF-8; None if that, or whether it can be read at all,
    takes more thought.
    """
    if len(data) >= _SHORT:
        return None
    try:
        event: list[Any] = _decode(data)
    except (ValueError, RecursionError):
        return None
    for item in event:
        if type(item) not in _ATOMS:
            return event if data.count(b"[") + data.count(b"{") <= MAX_DEPTH else None
    return event


def loadsCall(text: str | bytes) -> list[Any] | None:
    """
    The list of ``NAME`` and ``ARGUMENTS`` that ``{"name": NAME, "args": ARGUMENTS}`` stands for; None if :func:`loads`
    has to see what it is, as of a long text.

    :param text: may be UTF-8.
    """
    if len(text) >= _SHORT:
        return None
    try:
        call = _decodeCall(text)
    except (ValueError, RecursionError):
        return None
    for argument in call.args:
        if type(argument) not in _ATOMS and _tooDeep(text if isinstance(text, str) else text.decode()):
            return None
    return [call.name, *call.args]
