"""
Text counted as JavaScript counts it: in UTF-16 code units.

Both codecs of Socket.IO 0.6 write the length of a frame that way, so a character beyond U+FFFF counts 2. To cut such
text,
:func:`toUnits` gives every unit a character of its own and :func:`fromUnits` joins them again.

:func:`formCandidates` undoes what an HTML form does to text: a browser submits every line break as CR LF, and in a page
that is not UTF-8 writes what its character set lacks as ``&#N;``; the lengths inside still count the text as it was
before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from siotwisted.errors import ProtocolError

__all__ = ["formCandidates", "fromUnits", "toUnits", "unitCount"]

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_FORM_TOKEN = re.compile(r"\r\n|&#([0-9]{1,7});")
#: Characters that a form writes for one unit, at the most: ``&#1114111;`` for the two of U+10FFFF, ``&#65535;`` for
#: one.
_LONGEST = 8
#: Text that mixes LF and CR LF is tried with up to this many line feeds; a bound, for hostile text is tried in vain.
_MIXED = 8


def unitCount(text: str) -> int:
    """How many UTF-16 code units ``text`` has: JavaScript's ``text.length``."""
    if text.isascii() or _ASTRAL.search(text) is None:
        return len(text)
    return len(text) + len(_ASTRAL.findall(text))


def _pair(match: re.Match[str]) -> str:
    code = ord(match.group()) - 0x10000
    return chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))


def toUnits(text: str) -> str:
    """The same text with one character for each code unit: those beyond U+FFFF become their two surrogates."""
    return text if text.isascii() else _ASTRAL.sub(_pair, text)


def fromUnits(units: str) -> str:
    """
    The text of a run of code units.

    :raises ProtocolError: if the run begins or ends inside a pair of surrogates.
    """
    if units.isascii():
        return units
    try:
        return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise ProtocolError("a frame ends inside a character") from error


def _reference(token: re.Match[str]) -> str | None:
    """The units that a character reference stands for, or None if it is no reference to a character."""
    digits = token.group(1)
    if digits is None:
        return None
    code = int(digits)
    return None if code > 0x10FFFF or 0xD800 <= code < 0xE000 else toUnits(chr(code))


def _take(units: str, start: int, count: int, breaks: int, references: bool) -> tuple[str, int] | None:
    """
    Read ``count`` original units of form text from ``start``; None if the text ends before, or a token straddles the
    end.

    :param breaks: how many CR LF count as the one line feed that they were; those after count as they are.
    :param references: whether ``&#N;`` counts as the character that it stands for.
    """
    pieces: list[str] = []
    position = start
    for token in _FORM_TOKEN.finditer(units, start, start + _LONGEST * count + 2):
        if count <= token.start() - position:
            break
        if token.group() == "\r\n":
            if breaks == 0:
                continue
            breaks -= 1
            original: str | None = "\n"
        else:
            original = _reference(token) if references else None
        if original is None:
            continue
        pieces += (units[position : token.start()], original)
        count -= token.start() - position + len(original)
        position = token.end()
        if count < 0:
            return None
    end = position + count
    if end > len(units):
        return None
    pieces.append(units[position:end])
    return "".join(pieces), end


def formCandidates(units: str, start: int, count: int) -> Iterator[tuple[str, int]]:
    """
    Every way to read ``count`` original units of text that went through an HTML form, the likeliest first.

    :param units: the text, as :func:`toUnits` gives it.
    :param start: where the run begins.
    :param count: how many units it had before the browser changed it.
    :return: pairs of the text as it was and the position after it. The caller takes the first that a frame may follow.
    """
    seen: set[tuple[str, int]] = set()
    for references in (False, True):
        for breaks in (count, *range(_MIXED)):
            candidate = _take(units, start, count, breaks, references)
            if candidate is not None and candidate not in seen:
                seen.add(candidate)
                yield candidate
