"""
The Flash policy: the file, the protocol on a port of its own, and the sniffer on a site's port.
"""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport, StringTransportWithDisconnection
from twisted.protocols.policies import TimeoutMixin
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.transports.flashpolicy import FlashPolicyFactory, FlashPolicySniffer, policyFile
from tests.transports import Server, ServerCase

QUESTION = b"<policy-file-request/>\0"
POLICY = policyFile(["example.com"], "8080")


class PolicyFileTests(SynchronousTestCase):
    """The answer."""

    def test_bytes(self) -> None:
        """One host and one port."""
        self.assertEqual(
            policyFile(["example.com"], "8080"),
            b'<?xml version="1.0"?>\n'
            b"<!DOCTYPE cross-domain-policy SYSTEM"
            b' "http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd">\n'
            b"<cross-domain-policy>\n"
            b'<allow-access-from domain="example.com" to-ports="8080"/>\n'
            b"</cross-domain-policy>\n\0",
        )

    def test_hosts(self) -> None:
        """Each host has a rule; none means that nobody may come."""
        for hosts in ([], ["*"], ["a.example", "*.b.example"]):
            root = ElementTree.fromstring(policyFile(hosts, "80,443").rstrip(b"\0"))
            self.assertEqual(
                [(rule.tag, rule.attrib) for rule in root],
                [("allow-access-from", {"domain": host, "to-ports": "80,443"}) for host in hosts],
            )

    def test_escapes(self) -> None:
        """Characters that mean something in XML mean nothing in a rule."""
        odd = "\"'<&>"
        root = ElementTree.fromstring(policyFile([odd], odd).rstrip(b"\0"))
        self.assertEqual([rule.attrib for rule in root], [{"domain": odd, "to-ports": odd}])


def connect(factory: IProtocolFactory, clock: Clock) -> tuple[IProtocol, StringTransportWithDisconnection]:
    """A new connection, whose timeouts are those of a clock."""
    protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 54321))
    assert protocol is not None
    transport = StringTransportWithDisconnection()
    transport.protocol = protocol
    if isinstance(protocol, TimeoutMixin):
        protocol.callLater = clock.callLater  # type: ignore[method-assign, assignment]
    protocol.makeConnection(transport)
    return protocol, transport


class OwnPortTests(SynchronousTestCase):
    """The policy on a port of its own."""

    def setUp(self) -> None:
        """One connection."""
        self.clock = Clock()
        self.protocol, self.transport = connect(FlashPolicyFactory(POLICY), self.clock)

    def tearDown(self) -> None:
        """No timer is left when the connection is gone."""
        self.transport.loseConnection()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def assertAnswered(self) -> None:
        """The client has the policy, and the connection is closed."""
        self.assertEqual((self.transport.value(), self.transport.connected), (POLICY, False))

    def assertClosed(self) -> None:
        """The connection is closed, without an answer."""
        self.assertEqual((self.transport.value(), self.transport.connected), (b"", False))

    def test_question(self) -> None:
        """The question is answered, and the connection closed."""
        self.protocol.dataReceived(QUESTION)
        self.assertAnswered()

    def test_byteByByte(self) -> None:
        """So it is when it comes in bytes: neither too early nor never."""
        for byte in QUESTION[:-1]:
            self.protocol.dataReceived(bytes([byte]))
            self.assertEqual((self.transport.value(), self.transport.connected), (b"", True))
        self.protocol.dataReceived(b"\0")
        self.assertAnswered()

    def test_silence(self) -> None:
        """A client that does not ask within five seconds is not waited for."""
        self.clock.advance(4.9)
        self.assertTrue(self.transport.connected)
        self.clock.advance(0.2)
        self.assertClosed()

    def test_half(self) -> None:
        """Half a question buys no more time, however slowly it comes."""
        for byte in QUESTION[:12]:
            self.protocol.dataReceived(bytes([byte]))
            self.clock.advance(0.4)
        self.clock.advance(0.3)
        self.assertClosed()

    def test_withoutZero(self) -> None:
        """The zero byte belongs to the question: without it there is none, and with another in its place neither."""
        self.protocol.dataReceived(QUESTION[:-1])
        self.assertEqual((self.transport.value(), self.transport.connected), (b"", True))
        self.protocol.dataReceived(b"\n")
        self.assertClosed()

    def test_garbage(self) -> None:
        """Anything else closes the connection at once."""
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"<", b"<policy-file-request/ >\0", b"<POLICY-FILE-REQUEST/>\0", b"\0"):
            _, transport = connection = connect(FlashPolicyFactory(POLICY), self.clock)
            connection[0].dataReceived(data + b"x")
            self.assertEqual((transport.value(), transport.connected), (b"", False), data)

    def test_tooLong(self) -> None:
        """A megabyte is not kept, nor answered."""
        self.protocol.dataReceived(b"<" * 1_000_000)
        self.assertClosed()

    def test_tooLongInPieces(self) -> None:
        """What follows the question in the same segment changes nothing: it is answered once, and closed."""
        self.protocol.dataReceived(QUESTION * 1000)
        self.assertAnswered()

    def test_lost(self) -> None:
        """A client that leaves takes its timer along."""
        self.protocol.dataReceived(QUESTION[:5])
        self.transport.loseConnection()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Recorder(Protocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received.append(data)

    def connectionLost(self, reason: object = None) -> None:
        """Keep that, too."""
        self.lost = True


class RecorderFactory(Factory):
    """Makes recorders, until it does not any more."""

    full = False

    def __init__(self) -> None:
        self.made: list[Recorder] = []
        self.started: list[str] = []

    def startFactory(self) -> None:
        """Note it."""
        self.started.append("start")

    def stopFactory(self) -> None:
        """Note it."""
        self.started.append("stop")

    def buildProtocol(self, addr: object) -> Protocol | None:
        """Another recorder."""
        if self.full:
            return None
        self.made.append(Recorder())
        return self.made[-1]


class SnifferTests(SynchronousTestCase):
    """The policy on the port of another factory."""

    def setUp(self) -> None:
        """A factory that records."""
        self.clock = Clock()
        self.wrapped = RecorderFactory()
        self.wrapped.noisy = False
        self.sniffer = FlashPolicySniffer(self.wrapped, POLICY)

    def connect(self) -> tuple[IProtocol, StringTransportWithDisconnection]:
        """A new connection to the sniffer, whose Flash side has the time of the clock."""
        self.patch(TimeoutMixin, "callLater", lambda _, *args: self.clock.callLater(*args))
        return connect(self.sniffer, self.clock)

    def test_others(self) -> None:
        """A connection that does not begin with ``<`` is the wrapped factory's, from its first byte to its end."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"G")
        protocol.dataReceived(b"ET <")
        transport.loseConnection()
        (recorder,) = self.wrapped.made
        self.assertEqual((recorder.received, recorder.lost), ([b"G", b"ET <"], True))
        self.assertIs(recorder.transport, transport)
        self.assertEqual(transport.value(), b"")

    def test_question(self) -> None:
        """A Flash plugin gets its answer, whole or byte by byte, and the wrapped factory does not hear of it."""
        for size in (len(QUESTION), 1, 5):
            protocol, transport = self.connect()
            for start in range(0, len(QUESTION), size):
                protocol.dataReceived(QUESTION[start : start + size])
            self.assertEqual((transport.value(), transport.connected), (POLICY, False))
        self.assertEqual([(recorder.received, recorder.connected) for recorder in self.wrapped.made], [([], 0)] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_garbage(self) -> None:
        """What begins like the question and is another thing is closed."""
        for data in (b"<html>", b"<" * 100_000, b"<policy-file-request/>x"):
            protocol, transport = self.connect()
            protocol.dataReceived(data)
            self.assertEqual((transport.value(), transport.connected), (b"", False))

    def test_slowQuestion(self) -> None:
        """Half a question is not waited for."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"<policy")
        self.clock.advance(5.1)
        self.assertEqual((transport.value(), transport.connected), (b"", False))

    def test_lostBeforeTheFirstByte(self) -> None:
        """A connection that is lost before it said anything is nothing to anyone."""
        _, transport = self.connect()
        transport.loseConnection()
        self.assertEqual(self.wrapped.made[0].received, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_full(self) -> None:
        """When the wrapped factory takes no connections, neither does the sniffer."""
        self.wrapped.full = True
        self.assertIsNone(self.sniffer.buildProtocol(IPv4Address("TCP", "192.0.2.7", 54321)))

    def test_startAndStop(self) -> None:
        """The wrapped factory is started and stopped once, with the port."""
        self.sniffer.doStart()
        self.sniffer.doStart()
        self.sniffer.doStop()
        self.assertEqual(self.wrapped.started, ["start"])
        self.sniffer.doStop()
        self.assertEqual(self.wrapped.started, ["start", "stop"])


class SniffedSiteTests(ServerCase):
    """A site behind the sniffer."""

    def connect(self, server: Server) -> tuple[IProtocol, StringTransport]:
        """A connection to the sniffer in front of a server's site."""
        return connect(FlashPolicySniffer(server.site, POLICY), server.clock)

    def test_http(self) -> None:
        """Requests are answered, several on one connection, byte by byte too."""
        server = Server()
        protocol, transport = self.connect(server)
        request = b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: h\r\n\r\n"
        protocol.dataReceived(request)
        server.turn()
        for byte in request:
            protocol.dataReceived(bytes([byte]))
        server.turn()
        self.assertEqual(transport.value().count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assertEqual(len(server.notes.connected), 2)

    def test_heldPoll(self) -> None:
        """The loss of the connection reaches the poll that it carries."""
        server = Server()
        sessionID = server.open()
        protocol, transport = self.connect(server)
        protocol.dataReceived(f"GET /socket.io/xhr-polling/{sessionID}/1 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        self.assertEqual(len(server.sio.registry.transports), 1)
        transport.loseConnection()
        self.assertEqual(len(server.sio.registry.transports), 0)

    def test_webSocket(self) -> None:
        """A WebSocket's handshake and its first frame, in one segment, go through."""
        server = Server()
        protocol, transport = self.connect(server)
        key = b"dGhlIHNhbXBsZSBub25jZQ=="
        payload = b"~m~2~m~hi"
        frame = bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload
        protocol.dataReceived(
            b"GET /socket.io/websocket HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n" + frame
        )
        server.turn()
        accept = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        self.assertIn(b"Sec-WebSocket-Accept: " + accept, transport.value())
        self.assertEqual(server.notes.messages, ["hi"])
        transport.loseConnection()
        server.turn()
        server.clock.advance(60)
        self.assertEqual(server.reasons, ["transport close"])

    def test_silence(self) -> None:
        """A connection that never says anything does not stay for ever."""
        server = Server()
        self.patch(TimeoutMixin, "callLater", lambda _, *args: server.clock.callLater(*args))
        _, transport = self.connect(server)
        server.clock.advance(61)
        self.assertFalse(transport.connected)
