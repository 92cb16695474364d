"""
Protocol 1 of clients 0.7 to 0.9: every row of the vectors, what the strict reader refuses, the texts that some clients
would lose, payloads whole, cut and damaged, there and back, and the work that hostile payloads make.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.sio09 import Received, decode, encode, framed, handshakeBody
from tests.wire.checks import (
    AWKWARD,
    INTRUDERS,
    MEGABYTE,
    PROPERTY,
    TEXTS,
    VALUES,
    Row,
    asJavaScript,
    boundedWork,
    callsOf,
    eachRow,
    formOf,
    unitsOf,
    vectors,
)

FILE = vectors("vectors-sio1.json")

#: What is written otherwise than by the JavaScript client.
WRITTEN = {
    "3:::a\nb\r\n": '4:::"a\\nb\\r\\n"',  # which all versions can read
    '5:2::{"name":"noplus","args":[1]}': '5:2+::{"name":"noplus","args":[1]}',  # which is answered
    "7:::-1": "7::",
    "7::/e:-1+0": "7::/e:+0",
}
#: What else the strict reader makes of rows that are not plainly refused.
LENIENT = {
    "0": Packet(Kind.DISCONNECT),
    "2": Packet(Kind.HEARTBEAT),
    "7:::x+y": Packet(Kind.ERROR, ["", ""]),
    '5::/a b:{"name":"x"}': Packet(Kind.EVENT, ["x"], "/a b"),
}
#: Refused, where the JavaScript parser takes any number of digits, and any endpoint.
REFUSED = {"3:99999999999999999999::x", "1::nospace"}
#: Bodies whose first frame is whole, if not as it was meant, and the text in it.
AS_COUNTED = {
    "\ufffd4\ufffd3:::xyz": "",
    "\ufffd5\ufffd3:::ajunk\ufffd3\ufffd2::": "a",
    "\ufffd8\ufffd3:::😀\ufffd3\ufffd2::": "😀\ufffd3",
}


def payload(packets: Sequence[str]) -> str:
    """The body of a poll: one packet as it is, several in frames."""
    return packets[0] if len(packets) == 1 else "".join(map(framed, packets))


def received(row: Row) -> Received:
    """A packet of the vectors."""
    kind = Kind(row["type"])
    number = row.get("ackId" if kind is Kind.ACK else "id")
    data: Any = row.get("data")
    if kind is Kind.MESSAGE:
        data = data or ""
    elif kind is Kind.EVENT:
        data = [row["name"], *row.get("args", [])]
    elif kind is Kind.ACK:
        data = row.get("args", [])
    elif kind is Kind.ERROR:
        data = [row.get("reason", ""), row.get("advice", "")]
    elif kind is Kind.CONNECT:
        data = row.get("qs") or None
    packet = Packet(kind, data, row.get("endpoint") or "/", None if number is None else int(number))
    return Received(packet, row.get("ack") == "data")


def read(body: str, form: bool = False) -> tuple[list[Received], bool]:
    """The good packets of a body, and whether damage came after them."""
    packets = []
    try:
        for one in decode(body, form):
            packets.append(one)
    except ProtocolError:
        return packets, True
    return packets, False


@eachRow("encode", FILE["encode"])
@eachRow("decode", FILE["decode"])
@eachRow("payload_encode", FILE["payload_encode"])
@eachRow("payload_decode", FILE["payload_decode"])
@eachRow("malformed", FILE["malformed"])
@eachRow("payload_malformed", FILE["payload_malformed"])
class VectorTests(SynchronousTestCase):
    """What the client of 0.9.17 writes and reads, and what a strict server should."""

    def checkEncode(self, row: Row) -> None:
        """The same text, which is read again."""
        packet, dataAck = received(row["packet"])
        text = encode(packet, dataAck)
        self.assertEqual(text, WRITTEN.get(row["wire"], row["wire"]))
        packets, damaged = read(text)
        self.assertEqual((encode(*packets[0]), len(packets), damaged), (text, 1, False))

    def checkDecode(self, row: Row) -> None:
        """The same packet."""
        expected = ([], True) if row["wire"] in REFUSED else ([received(row["packet"])], False)
        self.assertEqual(read(row["wire"]), expected)

    def checkPayloadEncode(self, row: Row) -> None:
        """The same body."""
        self.assertEqual(payload(row["packets"]), row["wire"])

    def checkPayloadDecode(self, row: Row) -> None:
        """The same packets; an empty one there is damage here."""
        packets = [received(item) for item in row["packets"] if item]
        self.assertEqual(read(row["wire"]), (packets, {} in row["packets"]))

    def checkMalformed(self, row: Row) -> None:
        """What the row asks of a strict server."""
        wire, wanted = row["wire"], row["strict_server"]
        expected: tuple[list[Received], bool] = [], True
        if wanted.startswith("ignore"):
            expected = [], False
        elif wire in LENIENT:
            expected = [Received(LENIENT[wire])], False
        elif wire not in REFUSED:
            self.assertTrue(wanted.startswith("reject"))
        self.assertEqual(read(wire), expected)

    def checkPayloadMalformed(self, row: Row) -> None:
        """Damage, behind no packet but those of whole frames."""
        packets, damaged = read(row["wire"])
        if row["strict_server"].startswith("NOT"):
            text = row["real_parser"][0]["data"]
            self.assertEqual((packets, damaged), ([Received(Packet(Kind.MESSAGE, text))], False))
            return
        texts = [AS_COUNTED[row["wire"]]] if row["wire"] in AS_COUNTED else []
        self.assertEqual((packets, damaged), ([Received(Packet(Kind.MESSAGE, text)) for text in texts], True))


class EncodeTests(SynchronousTestCase):
    """What is written."""

    def test_unwritable(self) -> None:
        """What the protocol has no words for is an EncodeError."""
        for bad in (
            Packet(Kind.PING),
            Packet(Kind.MESSAGE),
            Packet(Kind.MESSAGE, b"a"),
            Packet(Kind.MESSAGE, "a", "a"),
            Packet(Kind.MESSAGE, "a", "/a:b"),
            Packet(Kind.MESSAGE, "a", "/\ud83d"),
            Packet(Kind.MESSAGE, "a", "/", -1),
            Packet(Kind.MESSAGE, "a", "/", 2**53),
            Packet(Kind.JSON, b"a"),
            Packet(Kind.JSON, math.nan),
            Packet(Kind.EVENT),
            Packet(Kind.EVENT, []),
            Packet(Kind.EVENT, [1]),
            Packet(Kind.EVENT, "a"),
            Packet(Kind.ACK, []),
            Packet(Kind.ACK, "a", "/", 1),
            Packet(Kind.ERROR, "ab c"),
            Packet(Kind.ERROR, ["a"]),
            Packet(Kind.CONNECT, ["?a"]),
            Packet(Kind.CONNECT, "?\ud83d"),
            Packet(Kind.DISCONNECT, "a"),
            Packet(Kind.HEARTBEAT, "1"),
        ):
            self.assertRaises(EncodeError, encode, bad)

    def test_textAsJSON(self) -> None:
        """Text that some client loses or changes is JSON, in which nothing is left that it could lose."""
        for text, wire in (
            ("\u2028\u2029", '4:::"\\u2028\\u2029"'),
            ("\n", '4:::"\\n"'),
            ("\r", '4:::"\\r"'),
            ("\ud83d", '4:::"\\ud83d"'),
            ("a\\/b", '4:::"a\\\\\\u002fb"'),
            ("\\\\/", '4:::"\\\\\\\\\\u002f"'),
            ("a/b\\", "3:::a/b\\"),
            ("😀\ufffd", "3:::😀\ufffd"),
        ):
            self.assertEqual(encode(Packet(Kind.MESSAGE, text)), wire)
            packets, _ = read(wire)
            self.assertEqual(packets[0].packet.data, text)

    def test_safeJSON(self) -> None:
        """Nor do values and events hold such ends of lines."""
        self.assertEqual(encode(Packet(Kind.JSON, ["\u2028", "\\/"])), '4:::["\\u2028","\\\\\\u002f"]')
        self.assertEqual(encode(Packet(Kind.EVENT, ["\u2029"])), '5:::{"name":"\\u2029"}')
        self.assertEqual(encode(Packet(Kind.ACK, ["\u2029"], "/", 1)), '6:::1+["\\u2029"]')

    def test_answers(self) -> None:
        """Messages ask for an answer with data unless told otherwise; events always do."""
        self.assertEqual(encode(Packet(Kind.MESSAGE, "a", "/b", 3)), "3:3+:/b:a")
        self.assertEqual(encode(Packet(Kind.JSON, 1, "/", 3), dataAck=False), "4:3::1")
        self.assertEqual(encode(Packet(Kind.EVENT, ("a", 1), "/", 3), dataAck=False), '5:3+::{"name":"a","args":[1]}')
        self.assertEqual(encode(Packet(Kind.ACK, (), "/", 0)), "6:::0")

    def test_errors(self) -> None:
        """Words that the protocol doesn't know are not sent."""
        self.assertEqual(encode(Packet(Kind.ERROR)), "7::")
        self.assertEqual(encode(Packet(Kind.ERROR, ("client not handshaken", "reconnect"))), "7:::1+0")
        self.assertEqual(encode(Packet(Kind.ERROR, ("unauthorized", "go away"), "/a")), "7::/a:2")

    def test_payloadOfNothing(self) -> None:
        """No packets are an empty body."""
        self.assertEqual(payload([]), "")


class HandshakeTests(SynchronousTestCase):
    """The answer to a handshake."""

    def test_body(self) -> None:
        """Session id, both times, and the transports in their order."""
        self.assertEqual(
            handshakeBody("4d4f", 60, 25, ["websocket", "xhr-polling"]), "4d4f:60:25:websocket,xhr-polling"
        )

    def test_refused(self) -> None:
        """What a client could not live with is an EncodeError."""
        for sessionID, heartbeat, close in (("", 1, 1), ("a:b", 1, 1), ("a/b", 1, 1), ("a", 0, 1), ("a", 1, 0)):
            self.assertRaises(EncodeError, handshakeBody, sessionID, heartbeat, close, ["websocket"])


class DecodeTests(SynchronousTestCase):
    """The strict reader."""

    payloads = (
        ["3:::a"],
        ["3:1+:/ns:♥😀", "2::", '5:2+::{"name":"x","args":[1,"\\n"]}'],
        ['4::/a:{"a":"b"}', "6:::1+[1]", "0::/a", "7:::2+0", "8::", "1::/b:?c=d"],
    )

    def test_damaged(self) -> None:
        """No packets: numbers in other writings, endpoints over more than one line."""
        for text in (
            "٣:::a",
            "3:٣::a",
            "3:+::a",
            "3:9007199254740992::a",
            "3:10000000000000000::a",
            "6:::9007199254740992",
            "6:::12345678901234567",
            "6:::1+1",
            "6:::1x",
            "3::a:b",
            "3::/a\nb:c",
            "3::/\ud83d:c",
            "1",
            "8",
            "00",
            "5::",
            "4::",
            '5:::{"args":[]}',
            '5:::{"name":null}',
            '5:::{"name":"a","args":null}',
        ):
            self.assertEqual(read(text), ([], True), text)

    def test_accepted(self) -> None:
        """What the protocol allows beyond the vectors."""
        for text, packet in (
            ("3:0::a", Packet(Kind.MESSAGE, "a")),
            ("3:9007199254740991::a", Packet(Kind.MESSAGE, "a", "/", 2**53 - 1)),
            ("3::/:a", Packet(Kind.MESSAGE, "a", "/")),
            ("1::/a?b=c", Packet(Kind.CONNECT, None, "/a?b=c")),
            ("6:::0", Packet(Kind.ACK, [], "/", 0)),
            ("6:9::4+", Packet(Kind.ACK, [], "/", 4)),
        ):
            self.assertEqual(read(text), ([Received(packet)], False), text)

    def test_form(self) -> None:
        """A form's line breaks are line feeds again, in one packet and in frames."""
        for packets in (["3:::a\nb"], ["3:::a\nb", '4:::"♥"', "3:::\n"]):
            body = payload(packets)
            self.assertEqual(read(formOf(body), form=True), read(body))
        self.assertEqual(read("3:::a\r\nb"), ([Received(Packet(Kind.MESSAGE, "a\r\nb"))], False))

    def test_prefixes(self) -> None:
        """Cut after each UTF-16 unit, frames give their whole packets, and damage unless the cut is at an end."""
        for texts in self.payloads:
            frames = [payload([text, ""]).removesuffix("\ufffd0\ufffd") for text in texts]
            units = unitsOf("".join(frames))
            ends = [len(unitsOf("".join(frames[:number]))) for number in range(len(frames) + 1)]
            packets, damaged = read(units)
            self.assertEqual((len(packets), damaged), (len(texts), False))
            for cut in range(len(units)):
                whole = sum(end <= cut for end in ends) - 1
                self.assertEqual(read(units[:cut]), (packets[:whole], cut not in ends), units[:cut])

    def test_damagedCharacters(self) -> None:
        """With any one character replaced, added or taken away, frames before the damage are kept, and the rest raises
        ProtocolError alone."""
        for texts in self.payloads:
            frames = [payload([text, ""]).removesuffix("\ufffd0\ufffd") for text in texts]
            body, packets = "".join(frames), read("".join(frames))[0]
            ends = [len("".join(frames[: number + 1])) for number in range(len(frames))]
            for at in range(len(body) + 1):
                whole = sum(end <= at for end in ends)
                for intruder in ("", "\ufffd", "+", *INTRUDERS):
                    for end in (at, at + 1):
                        damaged = body[:at] + intruder + body[end:]
                        self.assertEqual(read(damaged)[0][:whole], packets[:whole], damaged)
                        read(damaged, form=True)

    def test_damagedPackets(self) -> None:
        """So do bare packets."""
        for text in (text for texts in self.payloads for text in texts):
            for at in range(len(text) + 1):
                for intruder in ("", "\ufffd", "+", *INTRUDERS):
                    read(text[:at] + intruder + text[at:])
                    read(text[:at] + intruder + text[at + 1 :])

    @PROPERTY
    @given(
        st.text(st.characters())
        | st.text(AWKWARD | st.just("\ufffd"))
        | st.from_regex(r"[0-8]:(1\+?)?:(/a)?(:[0-9+\[{\"a}\]]*)?")
        | st.lists(st.sampled_from(["\ufffd3\ufffd", "\ufffd", "2::", "3:::", "\r\n", "😀"])).map("".join),
        st.booleans(),
    )
    def test_anyBody(self, body: str, form: bool) -> None:
        """Any text at all raises nothing but ProtocolError."""
        read(body, form)

    # There and back.

    @PROPERTY
    @given(
        st.lists(
            st.builds(
                Packet,
                st.just(Kind.EVENT),
                st.builds(lambda name, values: [name, *values], TEXTS, st.lists(VALUES, max_size=3)),
                st.from_regex("/[^:\r\n\u2028\u2029\ud800-\udfff]*", fullmatch=True),
                st.none() | st.integers(1, 2**53 - 1),
            )
            | TEXTS.map(partial(Packet, Kind.MESSAGE))
            | st.builds(Packet, st.just(Kind.ACK), st.lists(VALUES, max_size=3), st.just("/a"), st.integers(0, 99)),
            max_size=4,
        )
    )
    def test_comesBack(self, packets: list[Packet]) -> None:
        """What is written is read again, if text may come back as JSON, and is UTF-8."""
        body = payload([encode(packet) for packet in packets])
        body.encode("utf-8")
        back, damaged = read(body)
        self.assertEqual(damaged, False)
        self.assertEqual([packet.data for packet, _ in back], [asJavaScript(packet.data) for packet in packets])
        for (packet, _), sent in zip(back, packets, strict=True):
            self.assertEqual((packet.namespace, packet.id), (sent.namespace, sent.id))
            self.assertIn(packet.kind, (sent.kind, Kind.JSON))

    # How much work hostile payloads make.

    def test_work(self) -> None:
        """The work for a body grows with its length alone."""
        for head, piece in (
            ("", "\ufffd3\ufffd2::"),
            ("", "\ufffd0\ufffd"),
            ("3:", "1"),
            ("3::/", "a"),
            ("3:::", "😀"),
            ("5:::", "{"),
            ("6:::", "1"),
            ("7:::", "+1"),
            ("\ufffd9999999\ufffd", "\r\n"),
        ):
            for form in (False, True):
                one, two = (callsOf(partial(read, head + piece * count, form)) for count in (500, 1000))
                self.assertLessEqual(two, 2.1 * one + 50)

    def test_megabytes(self) -> None:
        """A megabyte of anything is read or refused."""
        for head, piece in (
            ("", "\ufffd3\ufffd2::"),
            ("3:", "1"),
            ("3::/", "a"),
            ("3::/", "\n"),
            ("3:::", "😀"),
            ("3:::", "\r\n"),
            ("4:::", "["),
            ("4:::", '"\\'),
            ("6:::1", "1"),
        ):
            with boundedWork():
                read(head + piece * (MEGABYTE // len(piece)), form=True)
