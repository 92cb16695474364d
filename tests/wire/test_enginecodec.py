"""
The codecs of Engine.IO: packets in WebSocket messages and polls of both revisions, the framing that each client reads,
and what the parsers inside make of the packets of Socket.IO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siotwisted.errors import ProtocolError, UnsupportedByClient
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ICodec
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, messagePacket
from siotwisted.wire import engine3, engine4, siomsgpack
from siotwisted.wire.codec import MAX_PACKETS
from siotwisted.wire.enginecodec import (
    EngineCodec,
    EngineIO3Codec,
    EngineIO4Codec,
    SocketIO3Codec,
    SocketIO4Codec,
    SocketIO5Codec,
    SocketIO5JSONCodec,
    SocketIO5MessagePackCodec,
)
from tests.wire import checks

CODECS: tuple[type[EngineCodec], ...] = (EngineIO3Codec, EngineIO4Codec, SocketIO4Codec, SocketIO5Codec)
#: The time against caches of a client of 1.0.1 to 1.3.7.
OLD_TIME = "1416823000123-0"


def make(codec: type[EngineCodec], attachments: int = 10, /, **query: str) -> tuple[EngineCodec, checks.Recorder]:
    """A codec for a client with this query, and the session behind it."""
    session = checks.Recorder()
    made = codec(session)
    made.begin(Handshake("GET", "/socket.io/", {}, query), attachments, 1_000_000)
    return made, session


def poll(codec: EngineCodec, *packets: Packet, takesBytes: bool = True) -> tuple[bytes, bool]:
    """The answer to a poll that says these packets, and whether it is said to be binary."""
    transport = checks.Transport("", streaming=False, takesBytes=takesBytes)
    transport.dress = lambda data, text=False: data if isinstance(data, bytes) else data.encode()  # type: ignore
    codec.makeConnection(transport)
    codec.send([Outgoing(packet) for packet in packets])
    codec.connectionLost()
    return b"".join(transport.writes[0]), transport.binary[0]


def say(codec: EngineCodec, *packets: Packet) -> list[str | bytes]:
    """The WebSocket messages that say these packets."""
    return [message for packet in packets for message in codec.messages(Outgoing(packet))]


class CodecTests(SynchronousTestCase):
    """What all have in common."""

    def test_interface(self) -> None:
        """Every codec provides the interface, and has no room for attributes by accident."""
        for codec in CODECS:
            made, _ = make(codec)
            self.assertTrue(verifyObject(ICodec, made))
            self.assertRaises(AttributeError, setattr, made, "odd", 1)

    def test_engine(self) -> None:
        """The packets of Engine.IO itself are the same in all, on a WebSocket."""
        for codec in CODECS:
            made, _ = make(codec)
            packets = [Packet(Kind.OPEN, "{}"), Packet(Kind.PING), Packet(Kind.PONG, "probe"), Packet(Kind.NOOP)]
            self.assertEqual(say(made, *packets), ["0{}", "2", "3probe", "6"])
            self.assertEqual(say(made, Packet(Kind.CLOSE)), [])

    def test_received(self) -> None:
        """And so are those that come."""
        for codec in CODECS:
            made, session = make(codec)
            for message in ("2probe", "3", "5", "6", "1", "0"):
                made.messageReceived(message)
            expected = [
                *(Packet(Kind.PING, "probe"), Packet(Kind.PONG), Packet(Kind.UPGRADE), Packet(Kind.NOOP)),
                *(Packet(Kind.CLOSE), Packet(Kind.OPEN)),
            ]
            self.assertEqual([packet for call in session.calls for packet in call], expected)

    def test_probe(self) -> None:
        """A message on a WebSocket that is tried out is a packet of Engine.IO, and nothing more is made of it."""
        for codec in CODECS:
            made, session = make(codec)
            self.assertEqual(made.readProbe("2probe"), Packet(Kind.PING, "probe"))
            self.assertEqual(made.readProbe("5"), Packet(Kind.UPGRADE))
            self.assertEqual(made.readProbe("4garbage"), Packet(Kind.MESSAGE, "garbage"))
            self.assertRaises(ProtocolError, made.readProbe, "garbage")
            self.assertEqual(session.calls, [])

    def test_manyPackets(self) -> None:
        """Seventeen packets in one POST, and ten thousand; one more is refused."""
        for codec, join in ((SocketIO4Codec, framed3), (SocketIO5Codec, "\x1e".join)):
            for count in (1, 17, MAX_PACKETS):
                made, session = make(codec)
                made.dataReceived(join(['42["a"]'] * count))
                self.assertEqual(session.calls, [[Packet(Kind.EVENT, ["a"])] * count])
            made, session = make(codec)
            self.assertRaises(ProtocolError, made.dataReceived, join(["2"] * (MAX_PACKETS + 1)))
            self.assertEqual([len(call) for call in session.calls], [MAX_PACKETS])

    def test_damage(self) -> None:
        """The good packets before the damage are handed over."""
        for codec, join in ((SocketIO4Codec, framed3), (SocketIO5Codec, "\x1e".join)):
            for bad in ("", "9", "x", "4", "49", '42["a"', '42{"a":1}', "bAB"):
                made, session = make(codec)
                self.assertRaises(ProtocolError, made.dataReceived, join(["2", bad, "2"]))
                self.assertEqual(session.calls, [[Packet(Kind.PING)]], bad)

    def test_said(self) -> None:
        """The messages of a packet, bytes among them; what the generation lacks has no words."""
        made, _ = make(SocketIO5Codec)
        text = '451-["é",{"_placeholder":true,"num":0}]'
        self.assertEqual(list(made.said(Outgoing(Packet(Kind.EVENT, ["é", b"abc"])))), [text, b"abc"])
        self.assertFalse(made.said(Outgoing(Packet(Kind.CLOSE))))
        self.assertRaises(UnsupportedByClient, made.said, Outgoing(Packet(Kind.HEARTBEAT, "1")))
        self.assertRaises(UnsupportedByClient, made.said, Outgoing(Packet(Kind.EVENT, ["connect"], "/", 1)))
        plain, _ = make(EngineIO4Codec)
        self.assertRaises(UnsupportedByClient, plain.said, Outgoing(Packet(Kind.EVENT, ["a"])))
        self.assertRaises(UnsupportedByClient, plain.said, Outgoing(Packet(Kind.MESSAGE, "a\x1eb")))


def framed3(packets: Sequence[str]) -> str:
    """Packets in the text framing."""
    return "".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets)


class Engine4Tests(SynchronousTestCase):
    """Revision 4."""

    def test_poll(self) -> None:
        """Packets are separated; bytes are base64; it is text, always."""
        made, _ = make(SocketIO5Codec)
        body, binary = poll(made, Packet(Kind.OPEN, "{}"), Packet(Kind.EVENT, ["é", b"\1"]), Packet(Kind.PING))
        self.assertEqual(body.decode(), '0{}\x1e451-["é",{"_placeholder":true,"num":0}]\x1ebAQ==\x1e2')
        self.assertFalse(binary)
        self.assertEqual(poll(made, Packet(Kind.NOOP)), (b"6", False))
        self.assertEqual(poll(made, Packet(Kind.CLOSE)), (b"1", False))
        self.assertEqual(poll(made, Packet(Kind.PING), Packet(Kind.CLOSE)), (b"2\x1e1", False))

    def test_script(self) -> None:
        """In a script the separator is escaped as the rest is."""
        transport = checks.Transport("", streaming=False, takesBytes=False)
        made, _ = make(EngineIO4Codec)
        made.makeConnection(transport)
        made.send([Outgoing(Packet(Kind.PING)), Outgoing(Packet(Kind.MESSAGE, "a"))])
        self.assertEqual(transport.writes, [[b"[2][\x1e][4a]"]])

    def test_webSocket(self) -> None:
        """Bytes are messages of their own, as they are."""
        made, session = make(SocketIO5Codec)
        sent = say(made, Packet(Kind.EVENT, ["a", b"\1\2", [b"\3"]]))
        self.assertEqual(
            sent, ['452-["a",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]', b"\1\2", b"\3"]
        )
        for message in sent:
            made.messageReceived(message)
        self.assertEqual(session.calls, [[], [], [Packet(Kind.EVENT, ["a", b"\1\2", [b"\3"]])]])

    def test_binaryPost(self) -> None:
        """It posts text."""
        made, session = make(SocketIO5Codec)
        self.assertRaises(ProtocolError, made.dataReceived, b"4a")
        self.assertEqual(session.calls, [])

    def test_empty(self) -> None:
        """An empty body is one empty packet, which is none."""
        made, _ = make(SocketIO5Codec)
        for body in ("", "\x1e", "2\x1e", "\x1e2", "2\x1e\x1e2"):
            self.assertRaises(ProtocolError, made.dataReceived, body)

    def test_attachmentsOverPosts(self) -> None:
        """The bytes of a packet may come with a later POST, or by the WebSocket that the client moved to."""
        made, session = make(SocketIO5Codec)
        made.dataReceived('452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]\x1ebAQ==')
        made.messageReceived(b"\2")
        self.assertEqual(session.calls, [[], [Packet(Kind.EVENT, ["a", b"\1", b"\2"])]])

    def test_tooManyAttachments(self) -> None:
        """More than the configuration allows are refused before they come."""
        for codec in (SocketIO4Codec, SocketIO5Codec):
            made, _ = make(codec, 2)
            made.messageReceived('452-["a"]')
            other, _ = make(codec, 2)
            self.assertRaises(ProtocolError, other.messageReceived, '453-["a"]')

    def test_tooLargeAttachments(self) -> None:
        """The attachments of one packet may have so many bytes together, and not one more."""
        for last, fits in ((500_000, True), (500_001, False)):
            made, session = make(SocketIO5Codec)
            made.messageReceived('452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
            made.messageReceived(bytes(500_000))
            if fits:
                made.messageReceived(bytes(last))
                self.assertEqual(len(session.calls[-1]), 1)
            else:
                self.assertRaises(ProtocolError, made.messageReceived, bytes(last))

    def test_plain(self) -> None:
        """Engine.IO alone carries text and bytes as they are."""
        made, session = make(EngineIO4Codec)
        self.assertEqual(say(made, Packet(Kind.MESSAGE, "é"), Packet(Kind.MESSAGE, b"\1")), ["4é", b"\1"])
        self.assertEqual(poll(made, Packet(Kind.MESSAGE, "a"), Packet(Kind.MESSAGE, b"\1")), (b"4a\x1ebAQ==", False))
        made.dataReceived("4a\x1ebAQ==\x1e4")
        expected = [Packet(Kind.MESSAGE, "a"), Packet(Kind.MESSAGE, b"\1"), Packet(Kind.MESSAGE, "")]
        self.assertEqual(session.calls, [expected])

    @checks.PROPERTY
    @given(st.lists(st.text().filter(lambda text: "\x1e" not in text and text.isprintable()) | st.binary(), min_size=1))
    def test_comesBack(self, messages: list[str | bytes]) -> None:
        """What is said in a poll, or on a WebSocket, comes back."""
        packets = [Packet(Kind.MESSAGE, message) for message in messages]
        for codec in (EngineIO3Codec, EngineIO4Codec):
            made, session = make(codec)
            body, binary = poll(made, *packets)
            made.dataReceived(body if binary else body.decode("utf-8"))
            for message in say(made, *packets):
                made.messageReceived(message)
            self.assertEqual(session.calls, [packets, *([packet] for packet in packets)])


class Engine3Tests(SynchronousTestCase):
    """Revision 3, whose clients read different framings."""

    wide = Packet(Kind.MESSAGE, "é€")
    plain = Packet(Kind.MESSAGE, "a")
    bytes = Packet(Kind.MESSAGE, b"\1")

    def test_text(self) -> None:
        """The text framing for clients of 2.x; an empty answer is ``1:6``."""
        made, _ = make(EngineIO3Codec, t="NqL9u3K")
        self.assertEqual(poll(made, Packet(Kind.OPEN, "{}"), self.plain), (b"3:0{}2:4a", False))
        self.assertEqual(poll(made, Packet(Kind.NOOP)), (b"1:6", False))
        self.assertEqual(poll(made, Packet(Kind.CLOSE)), (b"1:1", False))

    def test_binary(self) -> None:
        """The binary framing where there are bytes, or text that nobody knows how to write yet."""
        made, _ = make(EngineIO3Codec)
        self.assertEqual(poll(made, self.plain, self.bytes), (b"\0\2\xff4a\1\2\xff\4\1", True))
        self.assertEqual(poll(made, self.wide), (b"\0\6\xff4" + "é€".encode(), True))

    def test_base64(self) -> None:
        """A client that takes no bytes gets base64, in a poll and on a WebSocket, and text as 2.x writes it."""
        made, _ = make(EngineIO3Codec, b64="1", t=OLD_TIME)
        self.assertEqual(poll(made, self.plain, self.bytes), (b"2:4a6:b4AQ==", False))
        self.assertEqual(poll(made, self.wide), ("3:4é€".encode(), False))
        self.assertEqual(say(made, self.bytes), ["b4AQ=="])
        empty, _ = make(EngineIO3Codec, b64="")
        self.assertEqual(say(empty, self.bytes), [b"\4\1"])

    def test_script(self) -> None:
        """A script takes no bytes, whatever the client does elsewhere."""
        for query in ({}, {"EIO": "2"}, {"t": OLD_TIME}):
            made, _ = make(EngineIO3Codec, **query)
            self.assertEqual(poll(made, self.plain, self.bytes, takesBytes=False), (b"2:4a6:b4AQ==", False))
            self.assertEqual(say(made, self.bytes), [b"\4\1"])

    def test_onlyBinary(self) -> None:
        """Clients up to 1.3.7 read nothing but the binary framing: they are known by their ``EIO`` or their time."""
        for query in ({"EIO": "2"}, {"t": OLD_TIME}, {"t": "1416823000123"}, {"EIO": "2", "t": "x"}):
            made, _ = make(EngineIO3Codec, **query)
            self.assertEqual(poll(made, Packet(Kind.OPEN, "{}")), (b"\0\3\xff0{}", True), query)
            self.assertEqual(poll(made, Packet(Kind.NOOP)), (b"\0\1\xff6", True), query)
        for time in ("NqL9u3K", "", "14168230001234", "141682300012", OLD_TIME + "x", "1416823000123-", "a" + OLD_TIME):
            made, _ = make(EngineIO3Codec, EIO="3", t=time)
            self.assertEqual(poll(made, Packet(Kind.NOOP)), (b"1:6", False), time)

    def test_learnsOne(self) -> None:
        """Once a client has written as 1.x does, it is answered so."""
        body = engine3Text(self.wide, engine3.Parser.ONE)
        self.assertEqual(body, "6:4" + "é€".encode().decode("latin-1"))
        made, session = make(EngineIO3Codec)
        made.dataReceived(body)
        self.assertEqual(session.calls, [[self.wide]])
        self.assertEqual(poll(made, self.wide), (body.encode("utf-8"), False))

    def test_learnsTwo(self) -> None:
        """Or as 2.x does."""
        made, session = make(EngineIO3Codec)
        made.dataReceived("3:4é€")
        self.assertEqual(session.calls, [[self.wide]])
        self.assertEqual(poll(made, self.wide), ("3:4é€".encode(), False))

    def test_learnsOnce(self) -> None:
        """The first text that tells decides, and ASCII tells nothing; a body of 2.x that looks like 1.x is read so."""
        made, session = make(EngineIO3Codec)
        made.dataReceived("2:4a")
        made.dataReceived("2:4€")
        made.dataReceived("3:4Ã©")
        self.assertEqual([call[0].data for call in session.calls], ["a", "€", "Ã©"])
        other, session = make(EngineIO3Codec)
        other.dataReceived("3:4Ã©")
        other.dataReceived("3:4Ã©")
        self.assertEqual([call[0].data for call in session.calls], ["é", "é"])

    def test_binaryPost(self) -> None:
        """A POST in the binary framing; one with text alone is of 1.x."""
        made, session = make(EngineIO3Codec)
        made.dataReceived(b"\0\6\xff4" + "é€".encode() + b"\1\2\xff\4\1")
        self.assertEqual(session.calls, [[self.wide, self.bytes]])
        made.dataReceived(b"\0\2\xff4a")
        self.assertEqual(poll(made, self.wide)[0].decode(), engine3Text(self.wide, engine3.Parser.ONE))
        made.dataReceived(b"")
        self.assertEqual(session.calls[-1], [])

    def test_webSocket(self) -> None:
        """A message of bytes begins with its type."""
        made, session = make(SocketIO4Codec)
        sent = say(made, Packet(Kind.EVENT, ["a", b"\1"]))
        self.assertEqual(sent, ['451-["a",{"_placeholder":true,"num":0}]', b"\4\1"])
        for message in sent:
            made.messageReceived(message)
        self.assertEqual(session.calls, [[], [Packet(Kind.EVENT, ["a", b"\1"])]])
        self.assertRaises(ProtocolError, made.messageReceived, b"\1")
        self.assertRaises(ProtocolError, made.messageReceived, b"")

    def test_broadcast(self) -> None:
        """Clients that take bytes don't share their messages with those that don't."""
        outgoing = Outgoing(self.bytes)
        for query, expected in (({}, b"\4\1"), ({"b64": "1"}, "b4AQ=="), ({}, b"\4\1")):
            transport = checks.Transport("a", messages=True)
            made, _ = make(EngineIO3Codec, **query)
            made.makeConnection(transport)
            made.send([outgoing])
            self.assertEqual(transport.writes, [[b"a[\4\1]" if isinstance(expected, bytes) else b"a(b4AQ==)"]])

    def test_sharedPolls(self) -> None:
        """Nor do polls of one framing share with another."""
        outgoing = Outgoing(self.plain)
        for query, expected in (({}, b"2:4a"), ({"EIO": "2"}, b"\0\2\xff4a"), ({}, b"2:4a")):
            transport = checks.Transport("", streaming=False)
            made, _ = make(EngineIO3Codec, **query)
            made.makeConnection(transport)
            made.send([outgoing])
            self.assertEqual(transport.writes, [[b"[" + expected + b"]"]])


def engine3Text(packet: Packet, parser: engine3.Parser) -> str:
    """The text framing of one packet."""
    text = engine3.encodePayload([packet], False, parser)
    assert isinstance(text, str)
    return text


class SocketIO4Tests(SynchronousTestCase):
    """Socket.IO 1.x and 2.x."""

    def say(self, *packets: Packet) -> list[Any]:
        """What is said on a WebSocket."""
        return say(make(SocketIO4Codec)[0], *packets)

    def test_ascii(self) -> None:
        """JSON is ASCII, so that the framing of a poll does not matter."""
        event = Packet(Kind.EVENT, ["é😀"])
        self.assertEqual(self.say(event), ['42["\\u00e9\\ud83d\\ude00"]'])
        self.assertEqual(poll(make(SocketIO4Codec)[0], event), (b'24:42["\\u00e9\\ud83d\\ude00"]', False))

    def test_wideNamespace(self) -> None:
        """A name of a namespace can't be escaped: it goes in the binary framing, until the client has shown its own."""
        made, _ = make(SocketIO4Codec)
        connect = Packet(Kind.CONNECT, None, "/чат")
        self.assertEqual(poll(made, connect), (b"\0\1\0\xff" + "40/чат,".encode(), True))
        made.dataReceived("6:40/чат")
        self.assertEqual(poll(made, connect), ("7:40/чат,".encode(), False))

    def test_messages(self) -> None:
        """A message is the event ``message``."""
        self.assertEqual(
            self.say(messagePacket('a"b'), messagePacket({"a": 1}, "/n"), messagePacket(b"\1")),
            [
                '42["message","a\\"b"]',
                '42/n,["message",{"a":1}]',
                '451-["message",{"_placeholder":true,"num":0}]',
                b"\4\1",
            ],
        )

    def test_control(self) -> None:
        """A connect has no data, an error one value, a disconnect none."""
        self.assertEqual(
            self.say(
                Packet(Kind.CONNECT, {"sid": "abc"}),
                Packet(Kind.CONNECT, {"sid": "abc"}, "/n"),
                Packet(Kind.ERROR, {"message": "no"}, "/n"),
                Packet(Kind.ERROR, {"message": "no", "data": {"a": 1}}, "/n"),
                Packet(Kind.DISCONNECT, None, "/n"),
                Packet(Kind.ACK, [1, "é"], "/n", 7),
            ),
            ["40", "40/n,", '44/n,"no"', '44/n,{"a":1}', "41/n,", '43/n,7[1,"\\u00e9"]'],
        )

    def test_query(self) -> None:
        """A query behind a namespace is the data of the connect."""
        made, session = make(SocketIO4Codec)
        for message in ("40/chat?a=1&b=%C3%BC&c=", "40/chat", "40/chat?", "40"):
            made.messageReceived(message)
        self.assertEqual(
            [call[0] for call in session.calls],
            [
                Packet(Kind.CONNECT, {"a": "1", "b": "ü", "c": ""}, "/chat"),
                Packet(Kind.CONNECT, None, "/chat"),
                Packet(Kind.CONNECT, {}, "/chat"),
                Packet(Kind.CONNECT),
            ],
        )

    def test_notFinite(self) -> None:
        """Numbers that JSON lacks are null."""
        self.assertEqual(self.say(Packet(Kind.EVENT, ["a", float("nan")])), ['42["a",null]'])


class SocketIO3Tests(SynchronousTestCase):
    """Socket.IO 1.0.x, which has two ways to write an answer with bytes, and tells nobody which."""

    def test_answers(self) -> None:
        """An answer is written both ways, with its attachments once."""
        made, _ = make(SocketIO3Codec)
        self.assertEqual(say(made, Packet(Kind.ACK, ["a"], "/", 7)), ['430-7["a"]', '460-7["a"]'])
        self.assertEqual(
            say(made, Packet(Kind.ACK, [b"\1"], "/n", 7)),
            [
                *('431-/n,7[{"_placeholder":true,"num":0}]', '461-/n,7[{"_placeholder":true,"num":0}]'),
                b"\4\1",
            ],
        )

    def test_others(self) -> None:
        """Everything else is as later clients have it."""
        made, _ = make(SocketIO3Codec)
        self.assertEqual(
            say(made, Packet(Kind.EVENT, ["a"], "/", 7), Packet(Kind.CONNECT, {"sid": "x"})), ['427["a"]', "40"]
        )

    def test_received(self) -> None:
        """All ways are read."""
        made, session = make(SocketIO3Codec)
        for text in ('437["a"]', '430-7["a"]', '460-7["a"]'):
            made.messageReceived(text)
        for text in ('431-7[{"_placeholder":true,"num":0}]', '461-7[{"_placeholder":true,"num":0}]'):
            made.messageReceived(text)
            made.messageReceived(b"\4\1")
        made.messageReceived('421["a"]')
        made.messageReceived('451-1["a",{"_placeholder":true,"num":0}]')
        made.messageReceived(b"\4\1")
        packets = [packet for call in session.calls for packet in call]
        self.assertEqual(
            packets,
            [
                *[Packet(Kind.ACK, ["a"], "/", 7)] * 3,
                *[Packet(Kind.ACK, [b"\1"], "/", 7)] * 2,
                *(Packet(Kind.EVENT, ["a"], "/", 1), Packet(Kind.EVENT, ["a", b"\1"], "/", 1)),
            ],
        )


class ReservedTests(SynchronousTestCase):
    """Events that only the library itself may use."""

    def test_reserved(self) -> None:
        """Before revision 5 the session drops them; in it, they are no packets."""
        made, session = make(SocketIO4Codec)
        made.messageReceived('42["connect",1]')
        self.assertEqual(session.calls, [[Packet(Kind.EVENT, ["connect", 1])]])
        made, session = make(SocketIO5Codec)
        self.assertRaises(ProtocolError, made.messageReceived, '42["connect",1]')


class DoubledTests(SynchronousTestCase):
    """Some clients of 1.0.x make UTF-8 of text, and the WebSocket does so once more."""

    doubled = '42["' + "é€".encode().decode("latin-1") + '"]'

    def texts(self, *messages: str) -> list[Any]:
        """The texts in the events of these messages, from one client."""
        made, session = make(SocketIO3Codec)
        for message in messages:
            made.messageReceived(message)
        return [packet.data[0] for call in session.calls for packet in call]

    def test_doubled(self) -> None:
        """What can only be that is read so, each time."""
        self.assertEqual(self.texts('42["a"]', self.doubled, self.doubled), ["a", "é€", "é€"])

    def test_plain(self) -> None:
        """A client that has sent text as it is does so for ever."""
        self.assertEqual(self.texts('42["é€"]', self.doubled), ["é€", "é€".encode().decode("latin-1")])

    def test_bytes(self) -> None:
        """Bytes are bytes."""
        made, session = make(SocketIO3Codec)
        made.messageReceived('451-["a",{"_placeholder":true,"num":0}]')
        made.messageReceived(b"\4\xc3\xa9")
        self.assertEqual(session.calls[-1], [Packet(Kind.EVENT, ["a", b"\xc3\xa9"])])


class SocketIO5Tests(SynchronousTestCase):
    """Socket.IO 3.x and 4.x, in JSON or MessagePack."""

    packets = (
        Packet(Kind.CONNECT, {"sid": "abc"}, "/n"),
        Packet(Kind.ERROR, {"message": "no", "data": 1}),
        Packet(Kind.DISCONNECT),
        Packet(Kind.ACK, ["é"], "/", 7),
        messagePacket("hi"),
    )

    def test_welcome(self) -> None:
        """What a client is told first is the same in whatever way it is written."""
        codec, _ = make(SocketIO5Codec)
        for data, text in (
            ({"sid": "a"}, '{"sid":"a"}'),
            ({"sid": "\xe9", "pid": "b"}, '{"sid":"\xe9","pid":"b"}'),
            ({"sid": "a", "more": [1]}, '{"sid":"a","more":[1]}'),
        ):
            self.assertEqual(say(codec, Packet(Kind.CONNECT, data)), [f"40{text}"])
            self.assertEqual(say(codec, Packet(Kind.CONNECT, data, "/a")), [f"40/a,{text}"])
        self.assertEqual(say(codec, Packet(Kind.OPEN, "{}")), ["0{}"])
        for codec, _ in (make(EngineIO4Codec), make(EngineIO3Codec)):
            self.assertEqual(say(codec, Packet(Kind.OPEN, "{}")), ["0{}"])

    def test_json(self) -> None:
        """The words of revision 5."""
        made, session = make(SocketIO5Codec)
        made.messageReceived("40")
        self.assertEqual(
            say(made, *self.packets),
            ['40/n,{"sid":"abc"}', '44{"message":"no","data":1}', "41", '437["é"]', '42["message","hi"]'],
        )
        made.messageReceived('40/n?x,{"token":"t"}')
        self.assertEqual(session.calls, [[Packet(Kind.CONNECT)], [Packet(Kind.CONNECT, {"token": "t"}, "/n?x")]])

    def test_messagePack(self) -> None:
        """A client whose first message is bytes speaks MessagePack, and is answered so, on polls and WebSockets."""
        for bySocket in (True, False):
            made, session = make(SocketIO5Codec)
            self.assertEqual(say(made, Packet(Kind.PING)), ["2"])
            hello = siomsgpack.encode(Packet(Kind.CONNECT, {"token": "t"}))
            if bySocket:
                made.messageReceived(hello)
            else:
                made.dataReceived(engine4.encodePayload([Packet(Kind.MESSAGE, hello)]))
            self.assertEqual(session.calls, [[Packet(Kind.CONNECT, {"token": "t"})]])
            sent = say(made, *self.packets)
            for packet, message in zip(self.packets, sent, strict=True):
                assert isinstance(message, bytes)
                expected = packet._replace(kind=Kind.EVENT, data=["message", "hi"]) if packet.data == "hi" else packet
                self.assertEqual(siomsgpack.decode(message), expected)
            body, binary = poll(made, Packet(Kind.PING), self.packets[2])
            self.assertEqual((body[:3], binary), (b"2\x1eb", False))

    def test_mixed(self) -> None:
        """Who has begun in one can't go on in the other."""
        made, _ = make(SocketIO5Codec)
        made.messageReceived(siomsgpack.encode(Packet(Kind.CONNECT)))
        self.assertRaises(ProtocolError, made.messageReceived, '42["a"]')
        other, _ = make(SocketIO5Codec)
        other.messageReceived("40")
        self.assertRaises(ProtocolError, other.messageReceived, siomsgpack.encode(Packet(Kind.CONNECT)))

    def test_only(self) -> None:
        """A server may be told that all its clients speak the one or the other."""
        hello = siomsgpack.encode(Packet(Kind.CONNECT))
        packed, session = make(SocketIO5MessagePackCodec)
        self.assertIsInstance(say(packed, messagePacket("a"))[0], bytes)
        packed.messageReceived(hello)
        self.assertEqual(session.calls, [[Packet(Kind.CONNECT)]])
        self.assertRaises(ProtocolError, packed.messageReceived, "40")
        plain, _ = make(SocketIO5JSONCodec)
        self.assertEqual(say(plain, messagePacket("a")), ['42["message","a"]'])
        self.assertRaises(ProtocolError, plain.messageReceived, hello)

    def test_damaged(self) -> None:
        """Bytes that are no packet are damage."""
        made, _ = make(SocketIO5Codec)
        self.assertRaises(ProtocolError, made.messageReceived, b"\xc1")

    def test_lateChoice(self) -> None:
        """What Engine.IO itself says before does not decide."""
        made, session = make(SocketIO5Codec)
        made.messageReceived("3")
        made.messageReceived(siomsgpack.encode(Packet(Kind.CONNECT)))
        self.assertEqual(session.calls, [[Packet(Kind.PONG)], [Packet(Kind.CONNECT)]])

    def test_broadcast(self) -> None:
        """A broadcast is written once for each of the two, and shared by those that speak the same."""
        event = Outgoing(Packet(Kind.EVENT, ["a"]))
        writes = []
        for first in ("40", siomsgpack.encode(Packet(Kind.CONNECT)), "40", siomsgpack.encode(Packet(Kind.CONNECT))):
            made, _ = make(SocketIO5Codec)
            transport = checks.Transport("a", messages=True)
            made.makeConnection(transport)
            made.messageReceived(first)
            made.send([event])
            writes.append(transport.writes[0][0])
        self.assertEqual(writes[0], b'a(42["a"])')
        self.assertIs(writes[0], writes[2])
        self.assertNotEqual(writes[0], writes[1])
        self.assertIs(writes[1], writes[3])
