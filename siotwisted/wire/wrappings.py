"""
How payloads are dressed for the transports that can't carry them bare, and how the bodies of POST requests are
undressed.

Socket.IO 0.5 and 0.6:

===================  ==========================================================================
jsonp-polling        ``io.JSONP[INDEX]._("PAYLOAD");``, a script that the page runs
htmlfile             ``<script>parent.s._("PAYLOAD", document);</script>`` in an endless page
xhr-multipart        ``Content-Type: ...\\n\\nPAYLOAD\\n--socketio\\n`` in an endless multipart body
POST                 ``data=PAYLOAD``, form-encoded
===================  ==========================================================================

Socket.IO 0.7 to 0.9:

===================  ==========================================================================
jsonp-polling        ``io.j[INDEX]("PAYLOAD");``, and ``d=JSON`` or, before 0.8.6, ``d=PAYLOAD``
htmlfile             ``<script>_("PAYLOAD");</script>`` in an endless page that defines ``_``
===================  ==========================================================================

Engine.IO, which is Socket.IO from 1.0 on:

===================  ==========================================================================
JSONP                ``___eio[INDEX]("PAYLOAD");``, and ``d=PAYLOAD`` with its line feeds escaped
===================  ==========================================================================

Wire facts: the browser client of Socket.IO 0.6.3 and the server of npm socket.io 0.6.18; the client 0.9.17 and the
server of npm socket.io 0.9.19; for Engine.IO, the client of 3.x and the server of 6.x.
"""

from __future__ import annotations

import re
from codecs import charmap_decode
from urllib.parse import parse_qsl, unquote_to_bytes

from siotwisted.errors import ProtocolError
from siotwisted.wire.jsontext import dumps, loads

__all__ = [
    "HTMLFILE_09_OPENING",
    "HTMLFILE_OPENING",
    "MULTIPART_OPENING",
    "engineCall",
    "engineText",
    "formField",
    "htmlfile09Script",
    "htmlfileScript",
    "jsonp09Call",
    "jsonpCall",
    "jsonpError",
    "multipartPart",
    "posted09",
    "quoted",
    "readQuery",
]

#: What browsers want to see before they show the first script of a page that never ends.
HTMLFILE_OPENING = b"<html><body>" + b" " * 244
#: The same for clients 0.7 to 0.9, with the function that their scripts call.
HTMLFILE_09_OPENING = (
    b"<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>" + b" " * 173
)
#: The boundary before the first part.
MULTIPART_OPENING = b"--socketio\n"

#: JSON that may stand in a script and in an HTML page: engines of 2011 take U+2028 for a line break, and HTML parsers
#: look for tags even inside a script's string.
_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def quoted(frame: bytes) -> bytes:
    """
    The inside of a script's string that holds ``frame``; such insides may be joined.

    :param frame: UTF-8.
    """
    return dumps(frame.decode("utf-8"))[1:-1].translate(_UNSAFE).encode("utf-8")


def jsonpCall(index: int, inside: bytes) -> bytes:
    """The script that answers a JSONP poll of Socket.IO 0.6, around a :func:`quoted` payload."""
    return b'io.JSONP[%d]._("%b");' % (index, inside)


def jsonp09Call(index: int, inside: bytes) -> bytes:
    """The script that answers a JSONP request of Socket.IO 0.7 to 0.9, around a :func:`quoted` payload."""
    return b'io.j[%d]("%b");' % (index, inside)


def jsonpError(index: int, text: str) -> bytes:
    """
    The script that refuses a handshake by JSONP of Socket.IO 0.7 to 0.9.

    :param text: what the client is told.
    """
    return b'io.j[%d](new Error("%b"));' % (index, quoted(text.encode("utf-8")))


def engineCall(index: int, inside: bytes) -> bytes:
    """The script that answers a JSONP poll of Engine.IO, around a :func:`quoted` payload."""
    return b'___eio[%d]("%b");' % (index, inside)


def htmlfileScript(frame: bytes) -> bytes:
    """The script that carries one payload in an htmlfile stream of Socket.IO 0.6."""
    return b'<script>parent.s._("%b", document);</script>' % quoted(frame)


def htmlfile09Script(frame: bytes) -> bytes:
    r"""The same for Socket.IO 0.7 to 0.9. Each ``/`` is written ``\/``, as their server does."""
    return b'<script>_("%b");</script>' % quoted(frame).replace(b"/", rb"\/")


def multipartPart(frame: bytes) -> bytes:
    """One payload as a part of a multipart stream, with the boundary that lets the browser deliver it at once."""
    return b"Content-Type: text/plain; charset=UTF-8\n\n%b\n--socketio\n" % frame


#: How many fields a form may have; a client sends one.
_MAX_FIELDS = 8
#: As browsers have it: the five bytes that the character set leaves out stand for control characters.
_WINDOWS_1252 = "".join(
    chr(code) if code in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes((code,)).decode("windows-1252")
    for code in range(256)
)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def formField(body: bytes, name: bytes) -> str:
    """
    The value of the only field ``name`` of a form-encoded body, whatever content type was claimed for it.

    :return: the text; bytes that are not UTF-8 come from a page in a Western character set and are read as
        windows-1252.
    :raises ProtocolError: if there is no such field, or two, or too many others, or a broken escape.
    """
    fields = body.split(b"&", _MAX_FIELDS)
    values = [value for key, _, value in (field.partition(b"=") for field in fields) if key == name]
    if len(fields) > _MAX_FIELDS or len(values) != 1 or _BAD_ESCAPE.search(values[0]):
        raise ProtocolError("the body is not a form with the one field that is expected")
    value = unquote_to_bytes(values[0].replace(b"+", b" "))
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return charmap_decode(value, "strict", _WINDOWS_1252)[0]


def posted09(body: bytes) -> tuple[str, bool]:
    """
    The payload that a JSONP client of Socket.IO 0.7 to 0.9 put into the field ``d`` of a form.

    :return: the payload, and whether it went through the form as it is, which changes line breaks: clients from 0.8.6
        on wrap it in JSON. No payload begins with a quote by itself.
    :raises ProtocolError: if the body is no such form, or the JSON is damaged.
    """
    value = formField(body, b"d")
    return (loads(value), False) if value.startswith('"') else (value, True)


#: How many fields a query may have.
_MAX_QUERY = 64


def readQuery(query: str) -> dict[str, str]:
    """
    The fields of a query, in a URL or behind a namespace: name to value, the last one of a repeated name.

    :raises ProtocolError: if there are more than 64.
    """
    if "%" not in query and "+" not in query and query.count("&") < _MAX_QUERY:
        # Nothing to unquote, as in nearly every poll; the standard library takes much longer.
        fields = {}
        for field in query.split("&"):
            name, equals, value = field.partition("=")
            if name or equals:
                fields[name] = value
        return fields
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_QUERY))
    except ValueError as error:
        raise ProtocolError("a query with too many fields") from error


_ESCAPED_FEED = re.compile(r"(\\?)\\n")


def engineText(value: str) -> str:
    r"""
    The payload that a JSONP client of Engine.IO put into the field ``d`` of a form.

    A form would make CR LF of a line feed, so the client writes ``\n`` for it, and ``\\n`` for a ``\n`` that was there.
    """
    return _ESCAPED_FEED.sub(lambda match: r"\n" if match[1] else "\n", value)
