"""Bytes that are handed to a TCP transport at once, on real sockets."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet import reactor as installedReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from siotwisted.transports.immediate import takesAtOnce, writeAtOnce, writeLast

# Typed loosely: what it can do depends on the platform.
reactor: Any = installedReactor


@implementer(IPushProducer)
class Server(Protocol):
    """One end; it remembers whether it may write."""

    transport: Any

    def __init__(self) -> None:
        self.made: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.ready = True

    def connectionMade(self) -> None:
        """It is there."""
        self.made.callback(None)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It is gone."""
        self.lost.callback(None)

    def pauseProducing(self) -> None:
        """Enough for now."""
        self.ready = False

    def resumeProducing(self) -> None:
        """Go on."""
        self.ready = True

    def stopProducing(self) -> None:
        """It is gone."""


class ImmediateTests(TestCase):
    """A server's transport, and a plain socket at the other end."""

    async def connect(self) -> Any:
        """The transport, while the other end is :attr:`client`."""
        self.server = Server()
        factory = Factory.forProtocol(lambda: self.server)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.client = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.client.setblocking(False)
        self.addCleanup(self.client.close)
        await self.server.made
        await port.stopListening()
        self.addCleanup(self.end)
        return self.server.transport

    def end(self) -> Deferred[None]:
        """Cut the connection."""
        self.server.transport.abortConnection()
        return self.server.lost

    async def receive(self, count: int) -> bytes:
        """So many bytes from the client's end."""
        received = bytearray()
        while len(received) < count:
            try:
                received += self.client.recv(1_000_000)
            except BlockingIOError:
                await deferLater(reactor, 0.001)
        return bytes(received)

    async def test_whichTransports(self) -> None:
        """An accepted TCP connection, and nothing that only looks like it."""
        transport = await self.connect()
        self.assertTrue(takesAtOnce(transport))
        self.assertFalse(takesAtOnce(StringTransport()))
        transport.TLS = True
        self.assertFalse(takesAtOnce(transport))
        transport.TLS = False

    async def test_atOnce(self) -> None:
        """The other end has it before the reactor comes round."""
        writeAtOnce(await self.connect(), b"hello")
        self.assertEqual(self.client.recv(10), b"hello")

    async def test_behindOthers(self) -> None:
        """What was written in the usual way before comes first."""
        transport = await self.connect()
        transport.write(b"one")
        writeAtOnce(transport, b"two")
        self.assertRaises(BlockingIOError, self.client.recv, 10)
        self.assertEqual(await self.receive(6), b"onetwo")
        writeAtOnce(transport, b"three")
        self.assertEqual(self.client.recv(10), b"three")

    async def test_last(self) -> None:
        """The last bytes are taken at once, and leave when the connection ends."""
        transport = await self.connect()
        self.assertTrue(writeLast(transport, b""))
        self.assertTrue(writeLast(transport, b"bye"))
        transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(await self.receive(3), b"bye")
        self.assertEqual(self.client.recv(1), b"")

    async def test_lastBehindOthers(self) -> None:
        """What waits comes before the last, which the reactor sends then; so it does what the socket does not take."""
        transport = await self.connect()
        transport.write(b"one")
        self.assertFalse(writeLast(transport, b"two"))
        self.assertEqual(await self.receive(6), b"onetwo")
        data = bytes(range(256)) * 100_000
        self.assertFalse(writeLast(transport, data))
        transport.loseConnection()
        self.assertTrue(await self.receive(len(data)) == data)

    async def test_lastOfBroken(self) -> None:
        """A socket that refuses the last leaves it to the reactor, which notices."""
        transport = await self.connect()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        self.assertFalse(writeLast(transport, b"bye"))
        await self.server.lost
        self.assertFalse(writeLast(transport, b"bye"))

    async def test_full(self) -> None:
        """What the socket does not take follows in order, and the producer is paused until it has."""
        transport = await self.connect()
        transport.registerProducer(self.server, True)
        self.addCleanup(transport.unregisterProducer)
        pieces = [bytes([number]) * 1_000_000 for number in range(20)]
        for piece in pieces:
            writeAtOnce(transport, piece)
        self.assertFalse(self.server.ready)
        self.assertEqual(await self.receive(20_000_000), b"".join(pieces))
        self.assertTrue(self.server.ready)

    async def test_broken(self) -> None:
        """A connection that the other end has cut is lost in the usual way."""
        transport = await self.connect()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        writeAtOnce(transport, b"hello")
        writeAtOnce(transport, b"hello")
        await self.server.lost
        writeAtOnce(transport, b"hello")

    async def test_closing(self) -> None:
        """A transport that is closing first sends what it has, and a write behind that is none of ours to change."""
        transport = await self.connect()
        transport.write(b"one")
        transport.loseConnection()
        writeAtOnce(transport, b"two")
        self.assertEqual(await self.receive(6), b"onetwo")
        await self.server.lost
