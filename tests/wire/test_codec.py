"""
``codec``: the conversation of a codec with its session and its transports, and that a codec of one's own is one class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from siotwisted.errors import EncodeError, ProtocolError, UnsupportedByClient
from siotwisted.interfaces import ICodec, IPacketReceiver, ISessionTransport
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, messagePacket
from siotwisted.wire.codec import MAX_PACKETS, Codec, isPlainText
from siotwisted.wire.jsontext import dumps, loads
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.wire import checks


class LineCodec(Codec):
    """A codec such as an application might write: a line of JSON for each message, and no word for goodbyes."""

    __slots__ = ()

    name = "lines"
    encoded = 0

    def encode(self, outgoing: Outgoing) -> str:
        """A line; that of a heartbeat begins with an exclamation mark."""
        LineCodec.encoded += 1
        packet = outgoing.packet
        if packet.kind is Kind.HEARTBEAT:
            return f"!{packet.data}\n"
        return "" if packet.kind is Kind.CLOSE else dumps(packet.data) + "\n"

    def decode(self, payload: str, form: bool = False) -> Iterator[Packet]:
        """The lines of a payload."""
        for line in payload.splitlines():
            if line.startswith("!"):
                yield Packet(Kind.HEARTBEAT, line[1:])
            else:
                yield Packet(Kind.JSON, loads(line), "form" if form else "/")


class PlainTextTests(SynchronousTestCase):
    """Which text every transport can carry as it is."""

    def test_plain(self) -> None:
        """Any text of whole characters, as long as no line of it begins like a boundary."""
        for text in ("", "a", "--", "a--b", "\n-", "\n -", "\r--", "é♥😀", "♥--\n", "\0\u2028", "~h~5"):
            self.assertEqual(isPlainText(text), True, repr(text))

    def test_notPlain(self) -> None:
        """Lone surrogates, which UTF-8 can't carry, and the beginnings of boundaries."""
        for text in (
            "\n--",
            "a\n--socketio\nb",
            "\r\n--x",
            "♥\n--",
            "\ud800",
            "a\udfffb",
            "\ud83d\ude00",
            "\n--\ud800",
        ):
            self.assertEqual(isPlainText(text), False, repr(text))

    @checks.PROPERTY
    @given(st.text(st.characters()) | st.text(checks.AWKWARD))
    def test_anyText(self, text: str) -> None:
        """Plain text is UTF-8 without a boundary, and any other is not."""
        carried = text.encode("utf-8", "replace")
        self.assertEqual(isPlainText(text), b"\n--" not in carried and carried.decode("utf-8") == text)


class CodecTests(SynchronousTestCase):
    """What a codec does between a session and a transport."""

    def setUp(self) -> None:
        """A codec of our own for a session that remembers, and nothing encoded yet."""
        self.session = checks.Recorder()
        self.codec = LineCodec(self.session)
        LineCodec.encoded = 0

    def test_interface(self) -> None:
        """Every codec provides the interface."""
        for codec in (LineCodec, SIOCodec, SIOStreamingCodec):
            self.assertTrue(verifyClass(ICodec, codec))
            self.assertTrue(verifyObject(ICodec, codec(self.session)))
        self.assertTrue(verifyObject(ISessionTransport, checks.Transport("a")))

    def test_names(self) -> None:
        """The names by which configurations and URLs call the two codecs."""
        self.assertEqual([SIOCodec.name, SIOStreamingCodec.name], ["sio", "streaming"])

    def test_abstract(self) -> None:
        """A codec that does not say how to encode and decode can't be made."""
        self.assertRaises(TypeError, Codec, self.session)

    def test_small(self) -> None:
        """A codec has no room for attributes by accident: there is one for each client."""
        for codec in (LineCodec, SIOCodec, SIOStreamingCodec):
            self.assertRaises(AttributeError, setattr, codec(self.session), "odd", 1)

    def test_dataReceived(self) -> None:
        """All packets of a payload reach the session in one call."""
        self.codec.dataReceived("1\n!5\n2\n")
        expected = [Packet(Kind.JSON, 1), Packet(Kind.HEARTBEAT, "5"), Packet(Kind.JSON, 2)]
        self.assertEqual(self.session.calls, [expected])

    def test_manyPackets(self) -> None:
        """A payload has up to ten thousand packets; what is behind them is not handed over."""
        codecs: tuple[type[Codec], ...] = (SIOCodec, SIOStreamingCodec)
        for codec in codecs:
            session = checks.Recorder()
            one = codec(session).encode(Outgoing(Packet(Kind.MESSAGE, "a")))
            codec(session).dataReceived(one * MAX_PACKETS)
            self.assertRaises(ProtocolError, codec(session).dataReceived, one * (MAX_PACKETS + 1))
            self.assertEqual([len(packets) for packets in session.calls], [MAX_PACKETS] * 2)

    def test_dataReceivedEmpty(self) -> None:
        """An empty payload is a payload without packets."""
        for codec in (LineCodec, SIOCodec, SIOStreamingCodec):
            session = checks.Recorder()
            codec(session).dataReceived("")
            codec(session).dataReceived("", form=True)
            self.assertEqual(session.calls, [[], []])

    def test_dataReceivedForm(self) -> None:
        """That a payload went through a form is told to the decoder."""
        self.codec.dataReceived("1\n", form=True)
        self.assertEqual(self.session.calls, [[Packet(Kind.JSON, 1, "form")]])
        session = checks.Recorder()
        SIOCodec(session).dataReceived("~m~3~m~a\r\nb", form=True)
        self.assertEqual(session.calls, [[Packet(Kind.MESSAGE, "a\nb")]])

    def test_damage(self) -> None:
        """The good packets before the damage are handed over, then the damage is reported; nothing of it is kept."""
        self.assertRaises(ProtocolError, self.codec.dataReceived, "1\nbad\n2\n")
        self.codec.dataReceived("3\n")
        self.assertEqual(self.session.calls, [[Packet(Kind.JSON, 1)], [Packet(Kind.JSON, 3)]])

    def test_sessionFails(self) -> None:
        """An error of the session itself is not taken for damage."""

        @implementer(IPacketReceiver)
        class Failing:
            """A session with a fault."""

            def packetsReceived(self, packets: Sequence[Packet]) -> None:
                """Fail."""
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, LineCodec(Failing()).dataReceived, "1\n")

    def test_messages(self) -> None:
        """A packet is one frame, made once for all codecs of a class; what a client knows already has none."""
        outgoing = Outgoing(messagePacket("♥"))
        self.assertEqual(self.codec.messages(outgoing), ('"♥"\n',))
        self.assertEqual(self.codec.piece(outgoing, ""), '"♥"\n'.encode())
        self.assertEqual(SIOCodec(self.session).messages(outgoing), ("~m~1~m~♥",))
        for kind in (Kind.CLOSE, Kind.CONNECT, Kind.NOOP):
            self.assertEqual(self.codec.messages(Outgoing(Packet(kind))), ())
            self.assertEqual(self.codec.piece(Outgoing(Packet(kind)), ""), b"")

    def test_said(self) -> None:
        """What says a packet is made once for all codecs of a class."""
        outgoing = Outgoing(messagePacket("♥"))
        said = [list(each.said(outgoing)) for each in (self.codec, LineCodec(self.session))]
        self.assertEqual((said, LineCodec.encoded), ([['"♥"\n']] * 2, 1))
        self.assertEqual(list(SIOCodec(self.session).said(outgoing)), ["~m~1~m~♥"])
        self.assertFalse(self.codec.said(Outgoing(Packet(Kind.NOOP))))

    def test_notUTF8(self) -> None:
        """What a codec writes that UTF-8 can't carry is found out before it is accepted."""

        class Careless(LineCodec):
            """A codec that does not escape."""

            def encode(self, outgoing: Outgoing) -> str:
                """As it is."""
                return f"{outgoing.text}\n"

        self.assertRaises(UnsupportedByClient, Careless(self.session).said, Outgoing(messagePacket("\ud800")))
        self.assertEqual(list(Careless(self.session).said(Outgoing(messagePacket("é")))), ["é\n"])

    def test_unwritable(self) -> None:
        """A packet that a codec can't write has no words: its client's generation lacks the words, each time."""

        class Picky(LineCodec):
            """A codec that refuses."""

            def encode(self, outgoing: Outgoing) -> str:
                """Refuse."""
                raise EncodeError("no")

        outgoing = Outgoing(messagePacket("a"))
        for _ in range(2):
            error = self.assertRaises(UnsupportedByClient, Picky(self.session).said, outgoing)
            self.assertEqual(str(error), "no")
        self.assertEqual(list(self.codec.said(outgoing)), ['"a"\n'])

    def test_unsupported(self) -> None:
        """Socket.IO 0.6 has neither namespaces nor answers nor bytes, and few kinds of packets."""
        for packet in (
            Packet(Kind.MESSAGE, "a", "/chat"),
            Packet(Kind.EVENT, ["a"], "/chat"),
            Packet(Kind.EVENT, ["a"], "/", 1),
            Packet(Kind.JSON, [b"a"]),
            Packet(Kind.JSON, b"a"),
            Packet(Kind.EVENT, ["a", {"b": b"c"}]),
            Packet(Kind.EVENT, ["message", b"c"]),
            Packet(Kind.ACK, [], "/", 1),
            Packet(Kind.ACK, []),
            Packet(Kind.DISCONNECT),
            Packet(Kind.ERROR, {"message": "no"}),
            Packet(Kind.PING),
        ):
            for codec in (LineCodec, SIOCodec, SIOStreamingCodec):
                self.assertRaises(UnsupportedByClient, codec(self.session).said, Outgoing(packet))

    def test_events(self) -> None:
        """The event ``message`` with one argument is that message; any other is an object with its name."""
        rows: tuple[tuple[list[object], str], ...] = (
            (["message", "a"], "~m~1~m~a"),
            (["message", {"a": 1}], '~m~10~m~~j~{"a":1}'),
            (["message", 7], "~m~1~m~7"),
            (["message"], '~m~31~m~~j~{"name":"message","args":[]}'),
            (["message", 1, 2], '~m~34~m~~j~{"name":"message","args":[1,2]}'),
            (["news", "a"], '~m~31~m~~j~{"name":"news","args":["a"]}'),
            (["news"], '~m~28~m~~j~{"name":"news","args":[]}'),
        )
        for data, frame in rows:
            self.assertEqual(checks.say(SIOCodec, Packet(Kind.EVENT, data)), frame)

    def test_numbers(self) -> None:
        """Numbers travel as text, as the first servers sent them."""
        for number, text in ((7, "7"), (-1.5, "-1.5"), (True, "true"), (1e300, "1e+300")):
            self.assertEqual(checks.say(SIOCodec, messagePacket(number)), f"~m~{len(text)}~m~{text}")
        self.assertEqual(checks.say(SIOCodec, messagePacket(float("nan"))), "~m~7~m~~j~null")

    def test_binaryMessage(self) -> None:
        """Clients of 0.6 send text."""
        self.assertRaises(ProtocolError, self.codec.dataReceived, b"1\n")
        self.assertRaises(ProtocolError, self.codec.messageReceived, b"1\n")

    def test_messageReceived(self) -> None:
        """A WebSocket message may have any number of frames."""
        self.codec.messageReceived("1\n2\n")
        self.assertEqual(self.session.calls, [[Packet(Kind.JSON, 1), Packet(Kind.JSON, 2)]])

    def test_noProbe(self) -> None:
        """A client of 0.6 does not try out WebSockets."""
        self.assertRaises(ProtocolError, self.codec.readProbe, "2probe")

    def test_transport(self) -> None:
        """A codec knows the transport that it is connected to, and none before and after."""
        self.assertIs(self.codec.transport, None)
        transport = checks.Transport("a")
        self.codec.makeConnection(transport)
        self.assertIs(self.codec.transport, transport)
        self.codec.connectionLost()
        self.assertIs(self.codec.transport, None)

    def test_send(self) -> None:
        """Packets are written together, in order, each dressed as the transport likes it."""
        transport = checks.Transport("a")
        self.codec.makeConnection(transport)
        self.codec.send([Outgoing(messagePacket(1)), Outgoing(Packet(Kind.HEARTBEAT, "5"))])
        self.codec.send([Outgoing(messagePacket([2]))])
        self.assertEqual(transport.writes, [[b'a["1"\n]', b"a[!5\n]"], [b"a[[2]\n]"]])
        self.assertEqual(transport.binary, [False, False])

    def test_unsaid(self) -> None:
        """What has no words is no part of a payload."""
        for streaming in (True, False):
            transport = checks.Transport("a", streaming)
            self.codec.makeConnection(transport)
            self.codec.send([Outgoing(Packet(Kind.NOOP)), Outgoing(messagePacket([2])), Outgoing(Packet(Kind.CLOSE))])
            self.assertEqual(transport.writes, [[b"a[[2]\n]"]])

    def test_webSocket(self) -> None:
        """On a WebSocket every frame is a message of its own."""
        transport = checks.Transport("a", messages=True)
        self.codec.makeConnection(transport)
        self.codec.send([Outgoing(messagePacket([1])), Outgoing(Packet(Kind.NOOP)), Outgoing(messagePacket([2]))])
        self.assertEqual(transport.writes, [[b"a([1]\n)", b"", b"a([2]\n)"]])

    def test_sharedDress(self) -> None:
        """A broadcast is dressed once for each form of transport and class of codec."""
        transports = [checks.Transport("a"), checks.Transport("a"), checks.Transport("b"), checks.Transport("a")]
        outgoing = Outgoing(messagePacket("x"))
        for transport, codec in zip(transports, (LineCodec, LineCodec, LineCodec, SIOCodec), strict=True):
            connected = codec(self.session)
            connected.makeConnection(transport)
            connected.send([outgoing])
        expected = [[[b'a["x"\n]']], [[b'a["x"\n]']], [[b'b["x"\n]']], [[b"a[~m~1~m~x]"]]]
        self.assertEqual([transport.writes for transport in transports], expected)
        self.assertIs(transports[0].writes[0][0], transports[1].writes[0][0])
        self.assertEqual([transport.dressed for transport in transports], [1, 0, 1, 1])

    def test_sharedMessages(self) -> None:
        """So is one on WebSockets."""
        transports = [checks.Transport(form, messages=True) for form in "aab"]
        outgoing = Outgoing(messagePacket("x"))
        for transport in transports:
            connected = LineCodec(self.session)
            connected.makeConnection(transport)
            connected.send([outgoing])
        self.assertEqual([transport.dressed for transport in transports], [1, 0, 1])

    def test_otherTransport(self) -> None:
        """After a change of transport, packets are written to the new one, in its form."""
        first, second = checks.Transport("a"), checks.Transport("b")
        outgoing = Outgoing(messagePacket("x"))
        self.codec.makeConnection(first)
        self.codec.send([outgoing])
        self.codec.connectionLost()
        self.codec.makeConnection(second)
        self.codec.send([outgoing])
        self.assertEqual((first.writes, second.writes), ([[b'a["x"\n]']], [[b'b["x"\n]']]))
