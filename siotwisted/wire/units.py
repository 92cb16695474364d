"""
Text counted as JavaScript counts it: in UTF-16 code units.

Both codecs of Socket.IO 0.6 write the length of a frame that way, so a character beyond U+FFFF counts 2. To cut such
text,
:func:`toUnits` gives every unit a character of its own and :func:`fromUnits` joins them again.

:func:`formRun` undoes what an HTML form does to text: a browser submits every line break as CR LF, and in a page
that is not UTF-8 writes what its character set lacks as ``&#N;``; the lengths inside still count the text as it was
before.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from siotwisted.errors import ProtocolError

__all__ = ["cutFrames", "formRun", "fromUnits", "toUnits", "unitCount"]

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_REFERENCE = re.compile("&#([0-9]{1,7});")


def unitCount(text: str) -> int:
    """How many UTF-16 code units ``text`` has: JavaScript's ``text.length``."""
    if text.isascii() or _ASTRAL.search(text) is None:
        return len(text)
    return len(text) + len(_ASTRAL.findall(text))


def toUnits(text: str) -> str:
    """The same text with one character for each code unit: those beyond U+FFFF become their two surrogates."""
    if text.isascii() or _ASTRAL.search(text) is None:
        return text
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(map(chr, struct.unpack(f"<{len(data) // 2}H", data)))


def fromUnits(units: str) -> str:
    """
    The text of a run of code units.

    :raises ProtocolError: if the run begins or ends inside a pair of surrogates.
    """
    if units.isascii() or _SURROGATE.search(units) is None:
        return units
    try:
        return struct.pack(f"<{len(units)}H", *map(ord, units)).decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise ProtocolError("a frame ends inside a character") from error


def cutFrames(
    payload: str, form: bool, header: re.Pattern[str], end: re.Pattern[str], trailer: str
) -> Iterator[tuple[re.Match[str], str]]:
    """
    Cut a payload into frames that each tell how many units of data they have.

    :param form: the payload went through an HTML form.
    :param header: matches what is before the data; its last group is the number of units.
    :param end: matches where data may end, for payloads of forms.
    :param trailer: what is behind the data.
    :return: for each frame the match of its header, and its data.
    :raises ProtocolError: at the first thing that is not a frame, after the good frames before it.
    """
    units = toUnits(payload)
    position = 0
    while position < len(units):
        head = header.match(units, position)
        if head is None:
            raise ProtocolError("a frame does not begin as one")
        start, count = head.end(), int(head.groups()[-1])
        if form:
            data, position = formRun(units, start, count, end)
        else:
            data, position = units[start : start + count], start + count
        if not units.startswith(trailer, position):
            raise ProtocolError("a frame does not end as one")
        yield head, fromUnits(data)
        position += len(trailer)


def _character(reference: re.Match[str]) -> str:
    """The units that a character reference stands for; the reference itself if there is no such character."""
    code = int(reference.group(1))
    return reference.group() if code > 0x10FFFF or 0xD800 <= code < 0xE000 else toUnits(chr(code))


def formRun(units: str, start: int, count: int, end: re.Pattern[str]) -> tuple[str, int]:
    """
    Read ``count`` original units of text that went through an HTML form.

    Which CR LF were one unit and which were two can't be seen; where the next frame begins tells. The likeliest
    reading comes first: all were line feeds, none was, the first few were; then the same with character references.

    :param units: the text, as :func:`toUnits` gives it.
    :param start: where the run begins.
    :param count: how many units it had before the browser changed it.
    :param end: matches where a run may end.
    :return: the text as it was, and the position after it.
    :raises ProtocolError: if no reading ends where a run may end.
    """
    if start + count <= len(units):
        for references in (False, True):
            position, breaks, saved = start, 0, 0
            second: tuple[int, int] | None = None
            for match in end.finditer(units, start + count):
                stop = match.start()
                breaks += units.count("\r\n", position, stop)
                if references:
                    saved += sum(
                        len(reference.group()) - len(_character(reference))
                        for reference in _REFERENCE.finditer(units, position, stop)
                    )
                position = stop
                feeds = stop - start - saved - count  # as many CR LF were line feeds
                if feeds == breaks:
                    return _original(units[start:stop], feeds, references), stop
                if feeds > breaks:
                    break
                if feeds >= 0 and second is None:
                    second = stop, feeds
            if second is not None:
                stop, feeds = second
                return _original(units[start:stop], feeds, references), stop
            if "&#" not in units:
                break
    raise ProtocolError("no reading of a form's line breaks gives whole frames")


def _original(run: str, feeds: int, references: bool) -> str:
    text = run.replace("\r\n", "\n", feeds)
    return _REFERENCE.sub(_character, text) if references else text
