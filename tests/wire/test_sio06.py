"""
``SIOCodec`` against the vectors of the real client and server of Socket.IO 0.6, whole, cut and damaged; by property;
and against a model of the browser client, which the vectors check in turn.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, messagePacket
from siotwisted.wire.sio06 import SIOCodec, frame
from siotwisted.wire.wrappings import formField
from tests.wire import checks

VECTORS = checks.vectors("vectors-sio06.json")


def frameOf(data: str) -> str:
    """A frame as the client's own encoder writes it: the length is the text's in UTF-16."""
    return f"~m~{len(data.encode('utf-16-le', 'surrogatepass')) // 2}~m~{data}"


def packetOf(data: str) -> Packet:
    """What a frame's data says to a server."""
    if data.startswith("~h~"):
        return Packet(Kind.HEARTBEAT, data[3:])
    if data.startswith("~j~"):
        return Packet(Kind.JSON, json.loads(data[3:]))
    return Packet(Kind.MESSAGE, data)


class BrowserClient:
    """
    The client of 0.6.3 as far as a well-formed conversation goes: what it writes for ``send(x)``, and what it makes of
    a server's payloads. The rows ``encode`` and ``session`` of the vectors say what the real one does.
    """

    def __init__(self) -> None:
        self.sessionID = ""
        self.log: list[list[Any]] = []

    def send(self, value: Any) -> list[str]:
        """The frames' data for ``send(value)``: an array is several messages, of which inner arrays are text."""
        return [self._data(item) for item in value] if isinstance(value, list) else [self._data(value)]

    def _data(self, value: Any) -> str:
        return "~j~" + checks.compact(value) if isinstance(value, dict) else self._string(value)

    def _string(self, value: Any) -> str:
        if isinstance(value, list):
            return ",".join(map(self._string, value))
        if isinstance(value, str):
            return value
        return "" if value is None else checks.compact(value)

    def receive(self, payload: str) -> None:
        """Take a payload: the first frame is the session id; JSON that can't be parsed loses all that follows it."""
        units = checks.unitsOf(payload)
        while header := re.match("~m~([0-9]*)~m~", units):
            end = header.end() + int(header.group(1))
            data = checks.asJavaScript(units[header.end() : end])
            units = units[end:]
            if not self.sessionID:
                self.sessionID = data
                self.log.append(["connect"])
            elif data.startswith("~h~"):
                self.log.append(["sends", frameOf(data)])
            elif data.startswith("~j~"):
                try:
                    self.log.append(["message", json.loads(data[3:])])
                except ValueError:
                    self.log.append(["throws", "SyntaxError"])
                    return
            else:
                self.log.append(["message", data])


@checks.eachRow("encode", VECTORS["encode"])
@checks.eachRow("decode", VECTORS["decode"])
@checks.eachRow("malformed", VECTORS["malformed"])
@checks.eachRow("heartbeat", VECTORS["heartbeat"])
@checks.eachRow("handshake", VECTORS["handshake"])
@checks.eachRow("session", VECTORS["session"])
@checks.eachRow("form_bodies", VECTORS["form_bodies"])
class VectorTests(SynchronousTestCase):
    """Each row of the vectors is a test; the ``check`` methods say how a row is read."""

    def assertReads(self, wire: str, *expected: Packet, damaged: bool = False, form: bool = False) -> None:
        """A payload has these packets, and then damage or not."""
        self.assertEqual(checks.readAll(SIOCodec, wire, form), (list(expected), damaged))

    def checkEncode(self, row: checks.Row) -> None:
        """
        A row is what the client writes for ``send(input)``, in text and in UTF-8.

        We read it as the client means it. We write the same for the same input, but for what the client can't say: a
        list is one JSON message with us and many messages there, None is JSON null with us and an empty text there,
        and text that looks like a heartbeat or JSON is a JSON string with us and turns into the other thing there.
        """
        data, wire = row["input"], row["wire"]
        self.assertEqual(wire.encode("utf-8"), bytes.fromhex(row["utf8_hex"]))
        sent = BrowserClient().send(data)
        self.assertEqual("".join(map(frameOf, sent)), wire)
        self.assertReads(wire, *map(packetOf, sent))

        (text,) = SIOCodec(checks.Recorder()).messages(Outgoing(messagePacket(data)))
        written = text.encode("utf-8")
        disguised = isinstance(data, str) and data.startswith(("~h~", "~j~"))
        if data is None or isinstance(data, list) or disguised:
            self.assertEqual(written.decode("utf-8"), frameOf("~j~" + checks.compact(data)))
            self.assertReads(written.decode("utf-8"), Packet(Kind.JSON, data))
        else:
            self.assertEqual(written, bytes.fromhex(row["utf8_hex"]))

    def checkDecode(self, row: checks.Row) -> None:
        """A row's wire has these frames; written again, they are the same wire, but for leading zeros."""
        wire, frames = row["wire"], row["frames"]
        self.assertEqual(wire.encode("utf-8"), bytes.fromhex(row["utf8_hex"]))
        packets = [packetOf(data) for data in frames]
        self.assertReads(wire, *packets)
        self.assertEqual(checks.write(SIOCodec, *packets), re.sub("~m~0+([1-9]~m~)", r"~m~\1", wire))

    #: The good frames before the damage, where there are any.
    kept = {
        "trailing junk": ["a"],
        "junk between": ["a"],
        "length too short": ["ab"],
        "astral counted as 4 bytes (tornadio sender)": ["😀~m"],
        "CRLF from a form post": ["a\r\n"],
    }

    def checkMalformed(self, row: checks.Row) -> None:
        """
        A row's wire gets the answer of ``strict_server``: damage, after the good frames before it.

        Two are no damage to us. The empty payload is accepted. A heartbeat with an odd number is a heartbeat, which no
        session takes for an echo; it does not become a message.
        """
        wire, strict = row["wire"], row["strict_server"]
        self.assertEqual(wire.encode("utf-8"), bytes.fromhex(row["utf8_hex"]))
        if strict.startswith("accept"):
            self.assertReads(wire)
        elif strict.startswith("ignore"):
            self.assertReads(wire, Packet(Kind.HEARTBEAT, "abc"))
        else:
            self.assertTrue(strict.startswith(("reject", "well framed; the JSON is bad", "bad JSON", "jsonp")), strict)
            kept = [Packet(Kind.MESSAGE, data) for data in self.kept.get(row["name"], [])]
            self.assertReads(wire, *kept, damaged=True)
        if strict.startswith("jsonp"):
            self.assertReads(wire, Packet(Kind.MESSAGE, "a\nb"), form=True)

    def checkHeartbeat(self, row: checks.Row) -> None:
        """A heartbeat of number ``n`` is written so, and read so when the client echoes it."""
        packet = Packet(Kind.HEARTBEAT, str(row["n"]))
        self.assertEqual(checks.write(SIOCodec, packet), row["wire"])
        self.assertReads(row["wire"], packet)

    def checkHandshake(self, row: checks.Row) -> None:
        """The session id is the first frame, alone or with what was queued behind it."""
        greeting = Packet(Kind.OPEN, row["sid"])
        self.assertEqual(checks.write(SIOCodec, greeting), row["wire"])
        queued = messagePacket("hi"), messagePacket({"a": 1})
        self.assertEqual(checks.write(SIOCodec, greeting, *queued), row["payload_with_queued"])

    def checkSession(self, row: checks.Row) -> None:
        """
        What the client makes of a server's payloads: our model of it does the same, and what it sends back are echoes
        to us. A payload that makes the client throw is none that our codec could have written: it does not even read.
        """
        client = BrowserClient()
        for payload in row["payloads"]:
            client.receive(payload)
        self.assertEqual(client.log, row["log"])
        self.assertEqual(client.sessionID, row.get("sessionid", ""))
        for what, *argument in row["log"]:
            if what == "sends":
                [echo] = checks.readAll(SIOCodec, argument[0])[0]
                self.assertEqual(echo.kind, Kind.HEARTBEAT)
            elif what == "throws":
                self.assertTrue(checks.readAll(SIOCodec, row["payloads"][-1])[1])

    def checkFormBodies(self, row: checks.Row) -> None:
        """The body of a real browser's POST, with XHR or from a form, has these frames."""
        payload = formField(row["body"].encode("ascii"), b"data")
        packets = [packetOf(data) for data in row["frames"]]
        self.assertReads(payload, *packets, form=True)
        if "jsonp" not in row["name"]:
            self.assertReads(payload, *packets)


class SIOCodecTests(checks.CodecChecks):
    """What every codec must do, and the limits of this one."""

    codec = SIOCodec
    payloads = [
        *([frameOf(data) for data in BrowserClient().send(row["input"])] for row in VECTORS["encode"] if row["wire"]),
        *([frameOf(data) for data in row["frames"][:5]] for row in VECTORS["decode"]),
    ]
    smallest = ["~m~0~m~", "~m~3~m~~h~", "~m~4~m~~j~1"]
    quiet = " abXYZ😀é:,"

    def clientText(self, text: str) -> str:
        """A frame of the client."""
        return frameOf(text)

    def clientJSON(self, text: str) -> str:
        """A frame of the client."""
        return frameOf("~j~" + text)

    def test_frame(self) -> None:
        """A frame counts UTF-16 units."""
        self.assertEqual([frame(""), frame("a😀")], ["~m~0~m~", "~m~3~m~a😀"])

    def test_kinds(self) -> None:
        """Each kind of packet has its frame; a goodbye has none, for 0.6 has no word for it."""
        for packet, written in (
            (Packet(Kind.OPEN, "aSID"), "~m~4~m~aSID"),
            (Packet(Kind.CLOSE, ""), ""),
            (Packet(Kind.HEARTBEAT, "12"), "~m~5~m~~h~12"),
            (Packet(Kind.MESSAGE, "x"), "~m~1~m~x"),
            (Packet(Kind.JSON, ["x"]), '~m~8~m~~j~["x"]'),
        ):
            self.assertEqual(checks.write(SIOCodec, packet), written)

    def test_lengthDigits(self) -> None:
        """A length has one to seven ASCII digits: what ``int`` would take beside them is damage."""
        self.assertReads("~m~0000001~m~a", Packet(Kind.MESSAGE, "a"))
        odd = ["", "00000001", "1" * 20, "1_", "+1", "-1", " 1", "1 ", "\u0661", "\uff11", "\xb2", "1.0", "0x1", "1e0"]
        for digits in odd:
            self.assertReads(f"~m~{digits}~m~a", damaged=True)
            self.assertReads(f"~m~{digits}~m~a", damaged=True, form=True)

    def test_textIsNotFrames(self) -> None:
        """Text that looks like frames is one text, in either direction."""
        text = "~m~1~m~a~m~3~m~~h~"
        self.assertReads(frameOf(text), Packet(Kind.MESSAGE, text))
        self.assertEqual(checks.write(SIOCodec, messagePacket(text)), frameOf(text))

    def test_badJSON(self) -> None:
        """JSON that is none, nests too deep or overflows is damage; frames before it are kept, those behind it not."""
        for text in ("", "{bad", "[1,]", "NaN", "1e400", "[" * 65 + "]" * 65, "[" * 100_000, "9" * 5000, '"\t"'):
            payload = frameOf("a") + frameOf("~j~" + text) + frameOf("b")
            self.assertReads(payload, Packet(Kind.MESSAGE, "a"), damaged=True)

    def test_heartbeatsOfAllKinds(self) -> None:
        """Whatever follows ``~h~`` is a heartbeat's and not the application's."""
        for number in ("", "1", "abc", "-1", "\u0661", "9" * 1000, "~j~{}"):
            self.assertReads(frameOf("~h~" + number), Packet(Kind.HEARTBEAT, number))

    def test_framesAfterHeartbeat(self) -> None:
        """A heartbeat does not hide the frames behind it in the same payload."""
        expected = [Packet(Kind.MESSAGE, "a"), Packet(Kind.HEARTBEAT, "1"), Packet(Kind.MESSAGE, "b")]
        self.assertReads("~m~1~m~a~m~4~m~~h~1~m~1~m~b", *expected)

    def test_formWithFrameInside(self) -> None:
        """Text from a form that looks like a frame's beginning is not cut there."""
        self.assertForm(self.form("a\n~m~b\n~m~1~m~"), "a\n~m~b\n~m~1~m~")

    @checks.PROPERTY
    @given(st.lists(checks.TEXTS | checks.VALUES))
    def test_browserUnderstands(self, messages: list[object]) -> None:
        """The browser's client gets the session id and then every message as what it was."""
        client = BrowserClient()
        packets = [Packet(Kind.OPEN, "aSID"), *map(messagePacket, messages), Packet(Kind.HEARTBEAT, "7")]
        client.receive(checks.write(SIOCodec, *packets))
        expected = [["message", checks.asJavaScript(packet.data)] for packet in packets[1:-1]]
        self.assertEqual(repr(client.log), repr([["connect"], *expected, ["sends", "~m~4~m~~h~7"]]))

    def test_otherKinds(self) -> None:
        """What only later generations can say is refused, not dropped."""
        for kind in (Kind.EVENT, Kind.ACK, Kind.CONNECT, Kind.PING):
            with self.assertRaises(EncodeError):
                SIOCodec(checks.Recorder()).encode(Outgoing(Packet(kind, "")))

    @checks.PROPERTY
    @given(st.lists(checks.VALUES))
    def test_browserIsUnderstood(self, messages: list[object]) -> None:
        """We read every message of the browser's client as what it sent, but for text that it sends in disguise."""
        frames = [data for message in messages for data in BrowserClient().send(message)]
        frames = [re.sub("[\ud800-\udfff]", "", checks.asJavaScript(data)) for data in frames]
        plain = [data for data in frames if data.startswith("~j~{") or not data.startswith(("~h~", "~j~"))]
        self.assertReads("".join(map(frameOf, plain)), *map(packetOf, plain))
