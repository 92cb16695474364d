"""
``wrappings``: payloads dressed for scripts, pages and multipart streams, byte for byte and with hostile text; and the
forms of POST requests.
"""

from __future__ import annotations

import json
import re
from functools import partial
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import ProtocolError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import messagePacket
from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from siotwisted.wire.wrappings import (
    HTMLFILE_09_OPENING,
    HTMLFILE_OPENING,
    MULTIPART_OPENING,
    engineCall,
    formField,
    htmlfile09Script,
    htmlfileScript,
    jsonp09Call,
    jsonpCall,
    jsonpError,
    multipartPart,
    posted09,
    quoted,
    readQuery,
)
from tests.wire import checks

CODECS: list[type[Codec]] = [SIOCodec, SIOStreamingCodec]

#: Text that means something to scripts, to pages, or to a multipart stream.
HOSTILE = st.lists(
    st.sampled_from(
        ["</script>", "<!--", "]]>", '"', "\\", "'", "&lt;", "\u2028\u2029", "\n--socketio", "\r\n--", "\0"]
    )
    | st.text(st.characters()),
).map("".join)


def frameOf(codec: type[Codec], message: object) -> bytes:
    """The frame of a message."""
    return codec(checks.Recorder()).piece(Outgoing(messagePacket(message)), "")


class ScriptTests(SynchronousTestCase):
    """JSONP and htmlfile."""

    def test_quoted(self) -> None:
        """The inside of a string: quotes and controls escaped as JSON does, tags and line separators beyond that."""
        self.assertEqual(quoted(b"plain ~m~ 'text'"), b"plain ~m~ 'text'")
        self.assertEqual(quoted(b'"\\/\n\0'), b'\\"\\\\/\\n\\u0000')
        self.assertEqual(quoted(b"</script>&<!--"), b"\\u003c/script\\u003e\\u0026\\u003c!--")
        self.assertEqual(quoted("\u2028\u2029é♥😀".encode()), "\\u2028\\u2029é♥😀".encode())

    @checks.PROPERTY
    @given(st.text() | HOSTILE.map(lambda text: text.encode("utf-8", "replace").decode("utf-8")))
    def test_quotedIsSafe(self, text: str) -> None:
        """Any text is read back from the script, and there is nothing in it that ends a string, a script or a page."""
        inside = quoted(text.encode("utf-8")).decode("utf-8")
        self.assertEqual(json.loads(f'"{inside}"'), text)
        self.assertEqual(re.findall("[<>&\u2028\u2029\x00-\x1f]", inside), [])

    @checks.PROPERTY
    @given(st.lists(st.text()))
    def test_quotedJoins(self, texts: list[str]) -> None:
        """Insides, joined, are the inside of the joined text."""
        inside = b"".join(quoted(text.encode("utf-8")) for text in texts)
        self.assertEqual(inside, quoted("".join(texts).encode("utf-8")))

    def test_jsonp(self) -> None:
        """A JSONP answer calls the callback of its index, whose name depends on the generation."""
        self.assertEqual(jsonpCall(0, b""), b'io.JSONP[0]._("");')
        self.assertEqual(jsonpCall(12, quoted(b'~m~1~m~"')), b'io.JSONP[12]._("~m~1~m~\\"");')
        self.assertEqual(jsonp09Call(0, b""), b'io.j[0]("");')
        self.assertEqual(jsonp09Call(12, quoted(b'3:::"')), b'io.j[12]("3:::\\"");')
        self.assertEqual(engineCall(12, quoted(b'3:4"a')), b'___eio[12]("3:4\\"a");')

    def test_jsonpError(self) -> None:
        """A handshake is refused with an error in place of the answer, whose text can't get out of its string."""
        self.assertEqual(jsonpError(0, "handshake unauthorized"), b'io.j[0](new Error("handshake unauthorized"));')
        self.assertEqual(
            jsonpError(3, '"); é</script>'), 'io.j[3](new Error("\\"); é\\u003c/script\\u003e"));'.encode()
        )

    def test_htmlfile(self) -> None:
        """An htmlfile stream begins with a page that is long enough to be shown, and says each payload in a script."""
        self.assertEqual(HTMLFILE_OPENING, b"<html><body>" + b" " * 244)
        self.assertEqual(len(HTMLFILE_OPENING), 256)
        self.assertEqual(htmlfileScript(b"~m~2~m~hi"), b'<script>parent.s._("~m~2~m~hi", document);</script>')

    def test_htmlfile09(self) -> None:
        """The page of 0.9 defines what its scripts call, and their slashes are escaped."""
        self.assertEqual(len(HTMLFILE_09_OPENING), 256)
        self.assertEqual(
            HTMLFILE_09_OPENING.rstrip(b" "),
            b"<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>",
        )
        self.assertEqual(htmlfile09Script(b"3:::a/b\\/"), b'<script>_("3:::a\\/b\\\\\\/");</script>')

    @checks.PROPERTY
    @given(HOSTILE.map(lambda text: text.encode("utf-8", "replace")))
    def test_htmlfile09IsSafe(self, frame: bytes) -> None:
        """Any frame is read back from the script, which ends once; the only slash unescaped is of its end tag."""
        script = htmlfile09Script(frame)
        head, inside, end = script[:11], script[11:-12], script[-12:]
        self.assertEqual((head, end), (b'<script>_("', b'");</script>'))
        self.assertEqual(json.loads(b'"%b"' % inside), frame.decode("utf-8"))
        self.assertEqual(re.findall(rb"[<>&]|(?<!\\)/", inside), [])

    @checks.PROPERTY
    @given(HOSTILE)
    def test_htmlfileEndsOnce(self, text: str) -> None:
        """Whatever the message, a script begins once and ends once, at its end."""
        for codec in CODECS:
            script = htmlfileScript(frameOf(codec, text))
            self.assertEqual([match.start() for match in re.finditer(b"</?script|<!--", script)], [0, len(script) - 9])

    def test_megabytes(self) -> None:
        """A megabyte of characters that are all escaped is written in good time."""
        for character in ("<", "\0", "\u2028", "😀"):
            frame = character.encode("utf-8") * (checks.MEGABYTE // len(character.encode("utf-8")))
            with checks.boundedWork():
                quoted(frame)


class MultipartTests(SynchronousTestCase):
    """xhr-multipart."""

    def test_bytes(self) -> None:
        """The stream begins with a boundary, and each part ends with the next."""
        self.assertEqual(MULTIPART_OPENING, b"--socketio\n")
        part = b"Content-Type: text/plain; charset=UTF-8\n\n~m~2~m~hi\n--socketio\n"
        self.assertEqual(multipartPart(b"~m~2~m~hi"), part)

    @checks.PROPERTY
    @given(st.lists(HOSTILE | st.dictionaries(st.just("\n--socketio\n"), HOSTILE)))
    def test_partsAreWhole(self, messages: list[object]) -> None:
        """Whatever the messages, the parts of a stream are the frames, each with the header before it."""
        for codec in CODECS:
            frames = [frameOf(codec, message) for message in messages]
            stream = MULTIPART_OPENING + b"".join(map(multipartPart, frames))
            first, *parts, last = re.split(b"(?:^|\n)--socketio\n", stream)
            self.assertEqual((first, last), (b"", b""))
            self.assertEqual([part.partition(b"\n\n")[2] for part in parts], frames)


class FormFieldTests(SynchronousTestCase):
    """The bodies of POST requests; those of real browsers are among the codec's vectors."""

    def assertRefused(self, *bodies: bytes) -> None:
        """Each of these is no form with the one field ``data``."""
        for body in bodies:
            self.assertRaises(ProtocolError, formField, body, b"data")

    def test_value(self) -> None:
        """Escapes and plus signs are undone; what needs no escape may stand for itself."""
        for body, value in (
            (b"data=", ""),
            (b"data", ""),
            (b"data=~m~1~m~a", "~m~1~m~a"),
            (b"data=%7Em%7E3%7Em%7Ea+b", "~m~3~m~a b"),
            (b"data=%2B%26%3D%25", "+&=%"),
            (b"data=a=b", "a=b"),
            (b"data=%e2%99%A5%F0%9F%98%80", "♥😀"),
            ("data=♥".encode(), "♥"),
            (b"data=%00%0D%0A\r\n", "\0\r\n\r\n"),
            (b"data=\\n", "\\n"),
        ):
            self.assertEqual(formField(body, b"data"), value)

    def test_otherFields(self) -> None:
        """A few other fields don't matter, whatever is in them; the name is the one that is asked for."""
        for body in (b"a=1&data=x", b"data=x&a=1", b"data=x&", b"&data=x", b"data=x&data2=y&%=%zz&DATA=y"):
            self.assertEqual(formField(body, b"data"), "x")
        self.assertEqual(formField(b"d=1&data=2", b"d"), "1")
        self.assertEqual(formField(b"data=x" + b"&a=1" * 7, b"data"), "x")
        self.assertRefused(b"data=x" + b"&a=1" * 8)

    def test_refused(self) -> None:
        """No field, two, or a broken escape are refused, and so is a body of another kind."""
        self.assertRefused(b"", b"dat=x", b"datax", b"data;=x", b"xdata=y", b" data=x", b"%64ata=x")
        self.assertRefused(b"data=x&data=y", b"data=&data=", b"data=x&data")
        self.assertRefused(b"data=%", b"data=%4", b"data=%zz", b"data=%%41", b"data=%u2665", b"data=% 1", b"data=%+1")
        self.assertRefused(b'{"data":"x"}', b"~m~1~m~a", b"\xff\xfed\0a\0t\0a\0=\0")

    def test_windows1252(self) -> None:
        """Bytes that are not UTF-8 are of a page in a Western character set, as browsers read it."""
        self.assertEqual(formField(b"data=%E9%80+%93x%94", b"data"), "é€ “x”")
        self.assertEqual(formField(b"data=\xe9", b"data"), "é")

    @checks.PROPERTY
    @given(st.binary())
    def test_windows1252KeepsLength(self, value: bytes) -> None:
        """Any byte at all is one character there, so that the lengths of frames still hold."""
        text = formField(b"data=%FF" + quote_plus(value).encode("ascii"), b"data")
        self.assertEqual(len(text), 1 + len(value))

    @checks.PROPERTY
    @given(st.text())
    def test_comesBack(self, text: str) -> None:
        """What a form or XHR encodes comes back, whatever it is."""
        self.assertEqual(formField(urlencode({"data": text}).encode("ascii"), b"data"), text)
        self.assertEqual(formField(b"data=" + quote(text, safe="~()*!.'").encode("ascii"), b"data"), text)

    @checks.PROPERTY
    @given(
        st.binary() | st.lists(st.sampled_from([b"data", b"=", b"&", b"%", b"%4", b"1", b"+", b"\xff"])).map(b"".join)
    )
    def test_anyBody(self, body: bytes) -> None:
        """Any body is a text or a ProtocolError."""
        try:
            self.assertIsInstance(formField(body, b"data"), str)
        except ProtocolError:
            pass

    def test_manyFields(self) -> None:
        """Fields without end are not cut apart."""
        one, two = (checks.callsOf(partial(self.assertRefused, b"a=1&" * count + b"data=x")) for count in (500, 1000))
        self.assertEqual(one, two)

    def test_megabytes(self) -> None:
        """A megabyte of fields, escapes, broken escapes or odd bytes is read or refused in good time."""
        for piece in (b"&", b"=", b"%41", b"%", b"%4", b"\x81", b"+", b"data=&"):
            with checks.boundedWork():
                try:
                    formField(b"data=" + piece * (checks.MEGABYTE // len(piece)), b"data")
                except ProtocolError:
                    pass


class Posted09Tests(SynchronousTestCase):
    """What JSONP clients of 0.7 to 0.9 post."""

    def test_json(self) -> None:
        """From 0.8.6 on it is JSON, as the clients were seen to send it, and no form has changed it."""
        self.assertEqual(posted09(b"d=%223%3A%3A%3Ahi%22"), ("3:::hi", False))
        self.assertEqual(posted09(b"d=%223%3A%3A%3Aa%5Cr%5Cn%5C%22%5Cud83d%22"), ('3:::a\r\n"\ud83d', False))

    def test_bare(self) -> None:
        """Before that it is the payload itself, whose line breaks a form has changed."""
        self.assertEqual(posted09(b"d=3%3A%3A%3Ahi%0D%0A"), ("3:::hi\r\n", True))
        self.assertEqual(posted09(b"d=%EF%BF%BD3%EF%BF%BD2%3A%3A"), ("\ufffd3\ufffd2::", True))
        self.assertEqual(posted09(b"d=3:::%22a%22"), ('3:::"a"', True))
        self.assertEqual(posted09(b"d="), ("", True))

    def test_refused(self) -> None:
        """Damaged JSON, more after it, and a form without the field, are refused."""
        for body in (b"d=%22", b"d=%22a%22b", b"d=%22%5Cx%22", b"d=%22a%0A%22", b"data=%22a%22", b"d=1&d=2", b""):
            self.assertRaises(ProtocolError, posted09, body)

    @checks.PROPERTY
    @given(st.text(st.characters()))
    def test_comesBack(self, payload: str) -> None:
        """Whatever a client wraps comes back; half a character too, which its JSON writes as an escape."""
        body = urlencode({"d": json.dumps(payload)}).encode("ascii")
        self.assertEqual(posted09(body), (checks.asJavaScript(payload), False))

    @checks.PROPERTY
    @given(st.binary() | st.lists(st.sampled_from([b"d=", b"%22", b'"', b"\\", b"u", b"%5C", b"\xff"])).map(b"".join))
    def test_anyBody(self, body: bytes) -> None:
        """Any body is a text or a ProtocolError."""
        try:
            self.assertIsInstance(posted09(b"d=" + body)[0], str)
        except ProtocolError:
            pass


class QueryTests(SynchronousTestCase):
    """The fields of a query."""

    @checks.PROPERTY
    @given(st.text(st.sampled_from("ab=&;%4 1+é\u2028"), max_size=20))
    def test_anyQuery(self, query: str) -> None:
        """They are those that the standard library finds, empty ones too."""
        self.assertEqual(readQuery(query), dict(parse_qsl(query, keep_blank_values=True)))

    def test_many(self) -> None:
        """There are 64 at most, whether they are quoted or not."""
        for field in ("a=1", "%61=1"):
            self.assertEqual(readQuery("&".join([field] * 64)), {"a": "1"})
            self.assertRaises(ProtocolError, readQuery, "&".join([field] * 65))
