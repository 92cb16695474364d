"""
The codec of clients 0.7 to 0.9: what it makes of the packets of the session, what its clients send, and what they call
their namespaces. The wire itself is in ``tests.wire.test_sio09``.
"""

from __future__ import annotations

import math
from functools import partial

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siotwisted.errors import ProtocolError, UnsupportedByClient
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ICodec
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, messagePacket
from siotwisted.wire.codec import MAX_PACKETS
from siotwisted.wire.sio09 import SocketIO09Codec, framed
from tests.wire import checks


class CodecCase(SynchronousTestCase):
    """A codec, and the session behind it."""

    def setUp(self) -> None:
        """Make them."""
        self.session = checks.Recorder()
        self.codec = SocketIO09Codec(self.session)
        self.codec.begin(Handshake("GET", "/socket.io/1/", {}), 10, 1000)

    def say(self, *packets: Packet) -> list[str]:
        """The messages of some packets."""
        return [message for packet in packets for message in self.codec.messages(Outgoing(packet))]

    def poll(self, *packets: Packet) -> str:
        """The answer to a poll that says these packets."""
        transport = checks.Transport("", streaming=False)
        self.codec.makeConnection(transport)
        self.codec.send([Outgoing(packet) for packet in packets])
        self.codec.connectionLost()
        self.assertEqual(transport.binary, [False])
        return b"".join(chunk[1:-1] for chunk in transport.writes[0]).decode("utf-8")

    def read(self, payload: str, form: bool = False) -> list[Packet]:
        """The packets of a payload."""
        self.session.calls.clear()
        self.codec.dataReceived(payload, form)
        (packets,) = self.session.calls
        return packets


class SayTests(CodecCase):
    """What is said to clients."""

    def test_plainEvents(self) -> None:
        """Events that are quickly read and written are the same as others, and so are those that seem so."""
        for text, packet in (
            ('5:::{"name":"a","args":[1]}', Packet(Kind.EVENT, ["a", 1])),
            ('5:::{"name":"a"}', Packet(Kind.EVENT, ["a"])),
            ('5:::{"name":"connect","args":[1]}', Packet(Kind.EVENT, ["connect", 1])),
            ('5:::{"name":"é","args":["é"]}', Packet(Kind.EVENT, ["é", "é"])),
            ('5:::{"name":"a,b","args":["c,d"]}', Packet(Kind.EVENT, ["a,b", "c,d"])),
            ('5:::{"name":"a\\"","args":["\\""]}', Packet(Kind.EVENT, ['a"', '"'])),
            ('5:::{"name":"a","args":[[1,{"b":null}],"c"]}', Packet(Kind.EVENT, ["a", [1, {"b": None}], "c"])),
        ):
            self.session.calls.clear()
            self.codec.messageReceived(text)
            self.assertEqual(self.session.calls, [[packet]])
            self.assertEqual(self.codec.messages(Outgoing(packet)), (text,))

    def test_interface(self) -> None:
        """It is a codec, and has no room for attributes by accident."""
        self.assertTrue(verifyObject(ICodec, self.codec))
        self.assertRaises(AttributeError, setattr, self.codec, "odd", 1)

    def test_words(self) -> None:
        """The words for everything that a client may hear."""
        rows: tuple[tuple[Packet, str], ...] = (
            (Packet(Kind.CONNECT, {"sid": "x"}), "1::"),
            (Packet(Kind.CONNECT, {"sid": "x"}, "/n"), "1::/n"),
            (Packet(Kind.DISCONNECT), "0::"),
            (Packet(Kind.DISCONNECT, None, "/n"), "0::/n"),
            (Packet(Kind.HEARTBEAT, "7"), "2::"),
            (Packet(Kind.NOOP), "8::"),
            (messagePacket("a", "/n"), "3::/n:a"),
            (messagePacket("a\nb"), '4:::"a\\nb"'),
            (messagePacket({"a": 1}), '4:::{"a":1}'),
            (Packet(Kind.EVENT, ["a"]), '5:::{"name":"a"}'),
            (Packet(Kind.EVENT, ["a", 1], "/n", 3), '5:3+:/n:{"name":"a","args":[1]}'),
            (Packet(Kind.ACK, [], "/", 3), "6:::3"),
            (Packet(Kind.ACK, [1], "/n", 3), "6::/n:3+[1]"),
            (Packet(Kind.ERROR, {"message": "no"}, "/n"), "7::/n:2"),
        )
        for packet, text in rows:
            self.assertEqual(self.say(packet), [text])

    def test_unsaid(self) -> None:
        """The handshake said the beginning, and the end of the transport says the end."""
        self.assertEqual(self.say(Packet(Kind.OPEN, "abc:60:60:websocket"), Packet(Kind.CLOSE)), [])

    def test_unsupported(self) -> None:
        """Clients before 1.0 take no bytes, and don't know the packets of Engine.IO."""
        for packet in (Packet(Kind.EVENT, ["a", b"b"]), messagePacket(b"a"), Packet(Kind.PING), Packet(Kind.UPGRADE)):
            self.assertRaises(UnsupportedByClient, self.codec.said, Outgoing(packet))
        self.assertRaises(UnsupportedByClient, self.codec.said, Outgoing(messagePacket("a", "/a:b")))

    def test_notFinite(self) -> None:
        """Numbers that JSON lacks are null, as they are for all other clients."""
        self.assertEqual(
            self.say(
                messagePacket([math.nan]), Packet(Kind.EVENT, ["a", math.inf]), Packet(Kind.ACK, [math.nan], "/", 1)
            ),
            ["4:::[null]", '5:::{"name":"a","args":[null]}', "6:::1+[null]"],
        )

    def test_poll(self) -> None:
        """One packet goes as it is; several in frames, with lengths in UTF-16 units."""
        self.assertEqual(self.poll(messagePacket("😀")), "3:::😀")
        self.assertEqual(self.poll(messagePacket("😀"), Packet(Kind.NOOP)), "\ufffd6\ufffd3:::😀\ufffd3\ufffd8::")

    def test_pollWithUnsaid(self) -> None:
        """What has no words does not count."""
        hello, close = Packet(Kind.OPEN, "x"), Packet(Kind.CLOSE)
        self.assertEqual(self.poll(hello, messagePacket("a"), close), "3:::a")
        self.assertEqual(
            self.poll(hello, Packet(Kind.CONNECT), messagePacket("a")), "\ufffd3\ufffd1::\ufffd5\ufffd3:::a"
        )

    def test_shared(self) -> None:
        """A broadcast is written once, alone and in a frame."""
        outgoing, other = Outgoing(messagePacket("a")), Outgoing(messagePacket("b"))
        chunks = []
        for batch in ([outgoing], [outgoing], [outgoing, other], [outgoing, other]):
            codec = SocketIO09Codec(self.session)
            codec.makeConnection(checks.Transport("", streaming=False))
            chunks.append(codec.dressed(batch).chunks)
        self.assertIs(chunks[0][0], chunks[1][0])
        self.assertIs(chunks[2][0], chunks[3][0])
        self.assertNotEqual(chunks[0][0], chunks[2][0])


class ReadTests(CodecCase):
    """What clients say."""

    def test_words(self) -> None:
        """The packets of every kind, as the session knows them."""
        rows: tuple[tuple[str, Packet], ...] = (
            ("0::/n", Packet(Kind.DISCONNECT, None, "/n")),
            ("0::", Packet(Kind.CLOSE)),
            ("0", Packet(Kind.CLOSE)),
            ("2::", Packet(Kind.HEARTBEAT)),
            ("8::", Packet(Kind.NOOP)),
            ("3::/n:a", Packet(Kind.MESSAGE, "a", "/n")),
            ('4:::{"a":1}', Packet(Kind.JSON, {"a": 1})),
            ('5:1+::{"name":"a","args":[1]}', Packet(Kind.EVENT, ["a", 1], "/", 1)),
            ("3:1+::a", Packet(Kind.MESSAGE, "a", "/", 1)),
            ("6:::3+[1]", Packet(Kind.ACK, [1], "/", 3)),
            ("6:::3", Packet(Kind.ACK, [], "/", 3)),
            ("7::", Packet(Kind.ERROR, ["", ""])),
        )
        for text, packet in rows:
            self.assertEqual(self.read(text), [packet], text)

    def test_receipts(self) -> None:
        """What the client's library wants to know is answered by ours; the packet itself has no number then."""
        self.assertEqual(self.read("3:1:/n:a"), [Packet(Kind.RECEIPT, None, "/n", 1), Packet(Kind.MESSAGE, "a", "/n")])
        self.assertEqual(
            self.read('5:2::{"name":"a"}'), [Packet(Kind.RECEIPT, None, "/", 2), Packet(Kind.EVENT, ["a"])]
        )

    def test_connects(self) -> None:
        """A client joins namespaces; of ``/`` it says so only if it did not understand something."""
        self.assertEqual(self.read("1::/n"), [Packet(Kind.CONNECT, None, "/n")])
        for text in ("1::", "1:::", "1:::?a=1", "1::/", "1::/?a=1"):
            self.assertEqual(self.read(text), [], text)

    def test_payload(self) -> None:
        """Several packets, in frames; an empty payload has none."""
        self.assertEqual(
            self.read(framed("3:::a") + framed("2::")), [Packet(Kind.MESSAGE, "a"), Packet(Kind.HEARTBEAT)]
        )
        self.assertEqual(self.read(""), [])

    def test_form(self) -> None:
        """Line breaks that a form has changed."""
        self.assertEqual(self.read("3:::a\r\nb", form=True), [Packet(Kind.MESSAGE, "a\nb")])

    def test_bytes(self) -> None:
        """There are none."""
        self.assertRaises(ProtocolError, self.codec.dataReceived, b"2::")
        self.assertRaises(ProtocolError, self.codec.messageReceived, b"2::")

    def test_manyPackets(self) -> None:
        """Seventeen packets in one POST, and ten thousand; one more is refused."""
        for count in (17, MAX_PACKETS):
            self.assertEqual(len(self.read(framed("3:::a") * count)), count)
        self.assertRaises(ProtocolError, self.read, framed("3:::a") * (MAX_PACKETS + 1))

    def test_noProbe(self) -> None:
        """Such clients don't try out WebSockets."""
        self.assertRaises(ProtocolError, self.codec.readProbe, "2probe")


class AliasTests(CodecCase):
    """A namespace with a query, which the client then knows by that whole text."""

    def test_inside(self) -> None:
        """The query is part of the name for the client, and data of the connect for us."""
        self.assertEqual(self.read("1::/chat?a=1&b=%C3%BC"), [Packet(Kind.CONNECT, {"a": "1", "b": "ü"}, "/chat")])
        self.assertEqual(
            self.say(Packet(Kind.CONNECT, None, "/chat"), messagePacket("x", "/chat"), messagePacket("y", "/other")),
            ["1::/chat?a=1&b=%C3%BC", "3::/chat?a=1&b=%C3%BC:x", "3::/other:y"],
        )
        self.assertEqual(self.read("3::/chat?a=1&b=%C3%BC:hi"), [Packet(Kind.MESSAGE, "hi", "/chat")])
        self.assertEqual(self.read("0::/chat?a=1&b=%C3%BC"), [Packet(Kind.DISCONNECT, None, "/chat")])

    def test_behind(self) -> None:
        """A query behind the name is no part of it."""
        self.assertEqual(self.read("1::/chat:?a=1&b="), [Packet(Kind.CONNECT, {"a": "1", "b": ""}, "/chat")])
        self.assertEqual(self.say(Packet(Kind.CONNECT, None, "/chat")), ["1::/chat"])

    def test_left(self) -> None:
        """A client that left, or came again without a query, calls the namespace by its name from then on."""
        connected = Packet(Kind.CONNECT, None, "/room")
        for goes in ("0::/room?a=1", "1::/room"):
            self.read("1::/room?a=1")
            self.assertEqual(self.say(connected), ["1::/room?a=1"])
            self.read(goes)
            self.assertEqual(self.say(connected), ["1::/room"])

    def test_many(self) -> None:
        """A client may go from room to room for ever, but not be in more than 32 by names of its own at once."""
        for number in range(100):
            self.read(f"1::/room-{number}?a=1")
            self.read(f"0::/room-{number}?a=1")
        for number in range(32):
            self.read(f"1::/room-{number}?a=1")
            self.read(f"1::/room-{number}?a=2")
        self.assertRaises(ProtocolError, self.read, "1::/one-more?a=1")

    def test_long(self) -> None:
        """A namespace, and the query behind it, have a length."""
        self.assertEqual(len(self.read("1::/" + "a" * 4095)), 1)
        self.assertEqual(len(self.read("1::/a:?" + "a" * 4095)), 1)
        self.assertRaises(ProtocolError, self.read, "1::/" + "a" * 4096)
        self.assertRaises(ProtocolError, self.read, "1::/a:?" + "a" * 4096)

    def test_empty(self) -> None:
        """A query without a name in it is none."""
        self.assertEqual(self.read("1::/chat?"), [Packet(Kind.CONNECT, None, "/chat")])
        self.assertEqual(self.read("1::/chat:"), [Packet(Kind.CONNECT, None, "/chat")])

    def test_broadcast(self) -> None:
        """Those who call a namespace by its name share its messages; of what others get, nobody else has any use."""
        outgoing = Outgoing(messagePacket("x", "/chat"))
        written = []
        for text in ("1::/chat", "1::/chat?a=1", "1::/chat", "1::/chat?a=1", "1::/chat?a=2"):
            codec = SocketIO09Codec(checks.Recorder())
            codec.dataReceived(text)
            codec.makeConnection(checks.Transport("", messages=True))
            written.append(codec.dressed([outgoing]).chunks[0])
        self.assertEqual(
            written, [b"(3::/chat:x)", b"(3::/chat?a=1:x)", b"(3::/chat:x)", b"(3::/chat?a=1:x)", b"(3::/chat?a=2:x)"]
        )
        self.assertIs(written[0], written[2])

    def test_elsewhere(self) -> None:
        """Who calls one namespace by a text of its own says the same of all others; having left it, it shares that."""
        outgoing = Outgoing(messagePacket("x"))
        written = []
        for text in ("1::/chat", "1::/chat?a=1", framed("1::/chat?a=1") + framed("0::/chat?a=1")):
            codec = SocketIO09Codec(checks.Recorder())
            codec.dataReceived(text)
            codec.makeConnection(checks.Transport("", messages=True))
            written.append(codec.dressed([outgoing]).chunks[0])
        self.assertEqual(written[0], written[1])
        self.assertIs(written[0], written[2])

    def test_work(self) -> None:
        """A client that joins namespaces without end makes no more work for each, and is not remembered without end."""
        payloads = ["".join(framed(f"1::/n{number}?a") for number in range(count)) for count in (1000, 2000)]

        def read(payload: str) -> None:
            try:
                SocketIO09Codec(checks.Recorder()).dataReceived(payload)
            except ProtocolError:
                pass

        one, two = (checks.callsOf(partial(read, payload)) for payload in payloads)
        self.assertLessEqual(two, 2.1 * one + 50)
        codec = SocketIO09Codec(checks.Recorder())
        try:
            codec.dataReceived(payloads[1])
        except ProtocolError:
            return
        self.assertLessEqual(len(codec._endpoints), 1000)
