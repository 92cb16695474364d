"""
``workers``, ``workerlinks``: processes that share a port, first as links and sites in one process, on real sockets,
then as processes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from unittest import SkipTest

import msgspec
from twisted.internet import reactor as theReactor
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from zope.interface.verify import verifyObject

from siotwisted.ids import serverOf
from siotwisted.interfaces import ICluster
from siotwisted.resource import SocketIOResource
from siotwisted.server import SocketIO
from siotwisted.site import SocketIOSite
from siotwisted.workerlinks import WorkerLinks
from siotwisted.workers import SharedPort
from tests.integration.test_siochat import LOOPBACK, Poller, SiochatCase
from tests.integration.test_websocket import Raw
from tests.websocketpeer import clientFrame

reactor: Any = theReactor


async def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not true():
        await deferLater(reactor, 0.005)


class WorkersCase(TestCase):
    """Links in a folder."""

    timeout = 30

    def setUp(self) -> None:
        """Nobody is there."""
        self.folder = mkdtemp()
        self.addCleanup(rmtree, self.folder)
        self.links: list[WorkerLinks] = []

    def link(self, number: int, count: int = 2) -> WorkerLinks:
        """A worker's links; they end with the test."""
        links = WorkerLinks(reactor, number, count, self.folder)
        self.links.append(links)
        self.addCleanup(links.stopService)
        return links

    async def linked(self, count: int = 2) -> list[WorkerLinks]:
        """Workers that know each other."""
        all = [self.link(number, count) for number in range(count)]
        for links in all:
            links.startService()
        await until(lambda: all and [len(links._links) for links in all] == [count - 1] * count)
        return all


class LinkTests(WorkersCase):
    """What workers tell each other."""

    async def test_tell(self) -> None:
        """All that is told arrives, in order, with who told it; one may be told alone, or nobody."""
        first, second, third = await self.linked(3)
        self.assertTrue(verifyObject(ICluster, first))
        heard: list[Any] = []

        def note(own: int, *values: Any) -> None:
            heard.append((own, *values))

        for links in (second, third):
            links.on("t", partial(note, links.number))
        values = ["text é", b"\xff", 1, None, [1.5, {"a": ["b"]}], "x" * 1_000_000]
        for value in values:
            first.tell("t", value)
        first.tellOne(2, "t", "alone")
        first.tellOne(7, "t", "nobody")
        first.tell("unknown")
        await until(lambda: len(heard) == 2 * len(values) + 1)
        self.assertEqual([each[1:] for each in heard if each[0] == 1], [(0, value) for value in values])
        self.assertEqual(heard[-1][1:] if heard[-1][0] == 2 else None, (0, "alone"))

    @staticmethod
    def greet(links: WorkerLinks, number: int) -> None:
        """Tell one that has come something."""
        links.tellOne(number, "t", "told")

    async def test_comeAndGo(self) -> None:
        """Each hears of the others, and then what they tell; one that is there again is another one."""
        heard: list[Any] = []
        first = self.link(0)
        first.onCome(lambda number: heard.append(("come", number)))
        first.onGo(lambda number: heard.append(("go", number)))
        first.on("t", lambda number, value: heard.append((value, number)))
        first.startService()
        for _ in range(2):
            second = self.link(1)
            second.onCome(partial(self.greet, second))
            second.startService()
            await until(lambda: len(heard) % 3 == 2)
            await second.stopService()
            await until(lambda: len(heard) % 3 == 0)
        self.assertEqual(heard, [("come", 1), ("told", 1), ("go", 1)] * 2)

    async def test_killed(self) -> None:
        """What a worker that was killed has left is no obstacle for the next one."""
        path = os.path.join(self.folder, "0")
        left = socket.socket(socket.AF_UNIX)
        self.addCleanup(left.close)
        left.bind(path)
        await self.linked()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    async def test_failing(self) -> None:
        """A handler that fails is no end of anything."""
        first, second = await self.linked()
        heard: list[int] = []
        second.on("t", [].remove)
        second.on("t", heard.append)
        first.tell("t")
        await until(lambda: heard)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_deaf(self) -> None:
        """What one that does not read is told waits, and it is given up when that is too much."""
        first = self.link(0)
        gone: list[int] = []
        first.onGo(gone.append)
        first.startService()
        deaf = await connectProtocol(UNIXClientEndpoint(reactor, os.path.join(self.folder, "0")), Protocol())
        hello = msgspec.msgpack.encode(1)
        deaf.transport.write(len(hello).to_bytes(4) + hello)
        deaf.transport.pauseProducing()
        await until(lambda: first._links)
        (link,) = first._links.values()
        first.tell("t", b"x" * 3_000_000)
        await until(lambda: link._waiting is not None)
        first.tell("t", "waits")
        connections = socket.socketpair()
        self.addCleanup(connections[0].close)
        first.handOver(1, connections[1], b"waits, too")
        self.assertEqual(len(link._waiting or ()), 2)
        deaf.transport.resumeProducing()
        await until(lambda: link._waiting is None)
        deaf.transport.pauseProducing()
        self.patch(sys.modules["siotwisted.workerlinks"], "_MUCH", 1000)
        first.tell("t", b"x" * 3_000_000)
        await until(lambda: link._waiting is not None)
        first.tell("t", b"x" * 1000)
        await until(lambda: gone)
        self.assertEqual((gone, len(self.flushLoggedErrors())), ([1], 0))
        deaf.transport.abortConnection()

    async def test_tooLong(self) -> None:
        """Who speaks another language is nobody."""
        first = self.link(0)
        first.startService()
        stranger = Raw()
        await connectProtocol(UNIXClientEndpoint(reactor, os.path.join(self.folder, "0")), stranger)
        stranger.write(b"GET / HTTP/1.1\r\n")
        stranger.write(b"\xff" * 100)
        await stranger.ended
        self.assertEqual(first._links, {})


class HandOverTests(WorkersCase):
    """Sites that hand connections to each other."""

    async def serve(self) -> None:
        """Two sites, linked, each on a port of its own."""
        self.servers: list[SocketIO] = []
        self.ports: list[int] = []
        self.heard: list[tuple[int, Any]] = []
        for links in await self.linked():
            sio = SocketIO(reactor, cluster=links)
            sio.onMessage(lambda connection, message, number=links.number: self.heard.append((number, message)))
            self.servers.append(sio)
            root = Resource()
            root.putChild(b"socket.io", SocketIOResource(sio))
            root.putChild(b"other", Resource())
            links.site = site = SocketIOSite(root, links)
            port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(site)
            self.ports.append(port.getHost().port)
            self.addCleanup(port.stopListening)
            self.addCleanup(sio.stop)

    async def connect(self, number: int) -> Raw:
        """A connection that this one accepts."""
        client: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.ports[number]), Raw())
        self.addCleanup(client.cut)
        return client

    @staticmethod
    async def answer(client: Raw, request: bytes) -> bytes:
        """Send a request; the body of its answer."""
        before = len(client.received)
        client.write(request)

        def whole() -> bool:
            head, end, body = client.received[before:].partition(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            return bool(end and length) and len(body) == int(length[0].split(b":")[1])

        await until(whole)
        return client.received[before:].partition(b"\r\n\r\n")[2]

    @staticmethod
    def get(path: str) -> bytes:
        """A request."""
        return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()

    @staticmethod
    def post(path: str, body: str) -> bytes:
        """The same with a body."""
        return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    async def begin(self, number: int) -> tuple[Raw, str]:
        """A client whose session is here; its connection, and the URL of its polls."""
        client = await self.connect(number)
        sid = json.loads((await self.answer(client, self.get("/socket.io/?EIO=4&transport=polling")))[1:])["sid"]
        self.assertEqual(serverOf(sid), number)
        return client, f"/socket.io/?EIO=4&transport=polling&sid={sid}"

    async def test_polls(self) -> None:
        """Whoever accepts a request, its session is found, again and again, and on one connection."""
        await self.serve()
        _, here = await self.begin(0)
        _, there = await self.begin(1)
        client = await self.connect(0)
        for poll in (here, there):
            self.assertEqual(await self.answer(client, self.post(poll, "40")), b"ok")
            self.assertRegex(await self.answer(client, self.get(poll)), b"40.*sid")
        for number in range(2):
            client = await self.connect(number)
            for count, other in enumerate((here, there, here, here, there, there)):
                said = self.post(other, f'42["message",{10 * number + count}]')
                self.assertEqual(await self.answer(client, said), b"ok")
                self.assertEqual(self.heard.pop(), ((here, there).index(other), 10 * number + count))
        self.assertEqual(self.heard, [])

    async def test_bytes(self) -> None:
        """A request may come byte by byte, or be large, or come with the next one."""
        await self.serve()
        _, poll = await self.begin(1)
        client = await self.connect(0)
        for byte in self.post(poll, "40"):
            client.write(bytes((byte,)))
            await deferLater(reactor, 0)
        await until(lambda: client.received.endswith(b"ok"))
        client = await self.connect(0)
        text = "x" * 500_000
        client.write(self.post(poll, f'42["message","{text}"]') + self.post(poll, '42["message","next"]'))
        await until(lambda: len(self.heard) == 2)
        self.assertEqual(self.heard, [(1, text), (1, "next")])

    async def test_webSocket(self) -> None:
        """A client moves to a WebSocket on whatever worker accepts that."""
        await self.serve()
        client, poll = await self.begin(1)
        self.assertEqual(await self.answer(client, self.post(poll, "40")), b"ok")
        self.assertRegex(await self.answer(client, self.get(poll)), b"40.*sid")
        path = poll.replace("polling", "websocket")
        moved = await self.connect(0)
        head = f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        moved.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        await until(lambda: b"101 Switching" in moved.received)
        moved.write(clientFrame("2probe"))
        await until(lambda: b"3probe" in moved.received)
        moved.write(clientFrame("5") + clientFrame('42["message","moved"]'))
        await until(lambda: self.heard)
        self.assertEqual(self.heard, [(1, "moved")])
        (connection,) = self.servers[1].connections.values()
        self.assertEqual(connection.transport, "websocket")

    async def test_others(self) -> None:
        """What is for no session, or none that is there, is served where it comes, and all if the other one is gone."""
        await self.serve()
        _, poll = await self.begin(1)
        client = await self.connect(0)
        unknown = self.get("/socket.io/?EIO=4&transport=polling&sid=bAAAAAAAAAAAAAAAAAAAAAAAAAA")
        self.assertIn(b"Session ID unknown", await self.answer(client, unknown))
        self.assertIn(b"Session ID unknown", await self.answer(client, unknown.replace(b"sid=b", b"sid=?")))
        for line in (b"GET /other HTTP/1.1\r\n", b"GET /nowhere/ HTTP/1.1\r\n"):
            await self.answer(client, line + b"Host: a\r\n\r\n")
            self.assertRegex(client.received, b"HTTP/1.1 40[45] ")
        client = await self.connect(0)
        client.write(b"G" * 20_000)
        await client.ended
        client = await self.connect(0)
        client.write(b"NONSENSE\r\n\r\n")
        await client.ended
        await self.links[1].stopService()
        await until(lambda: not self.links[0].reaches(1))
        client = await self.connect(0)
        self.assertIn(b"Session ID unknown", await self.answer(client, self.get(poll)))

    async def test_left(self) -> None:
        """A client that leaves while it is handed over is no matter; nor is a worker that goes meanwhile."""
        await self.serve()
        _, poll = await self.begin(1)
        for _ in range(20):
            client = await self.connect(0)
            client.write(self.get(poll))
            client.cut()
            await client.ended
        here, _there = self.links
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        here.handOver(7, other, b"")
        self.assertEqual(other.fileno(), -1)
        self.links[1].site = None
        client = await self.connect(0)
        client.write(self.get(poll))
        await client.ended

    async def leave(self, **attributes: Any) -> tuple[Any, Any]:
        """A channel that is about to be handed over, and its transport, which is like this."""
        await self.serve()
        _, poll = await self.begin(1)
        self.patch(sys.modules["siotwisted.site"], "takesAtOnce", lambda transport: True)
        site: Any = self.links[0].site
        protocol = site.buildProtocol(None)
        transport: Any = StringTransport()
        usual = {"setTcpNoDelay": bool, "connected": True, "dataBuffer": b"", "_tempDataLen": 0}
        vars(transport).update({**usual, **attributes})
        protocol.makeConnection(transport)
        protocol.dataReceived(self.get(poll))
        await deferLater(reactor, 0.05)
        return protocol, transport

    async def test_leftBefore(self) -> None:
        """A client that leaves before its connection is handed over is no matter."""
        protocol, transport = await self.leave(connected=False)
        protocol.dataReceived(b"more")
        self.assertEqual((transport.value(), transport.producerState), (b"", "paused"))
        protocol.connectionLost()

    async def test_unsent(self) -> None:
        """What still has to leave on a connection leaves before that is handed over."""
        protocol, transport = await self.leave(dataBuffer=b"an answer")
        self.assertEqual((transport.disconnecting, transport.producerState), (False, "paused"))
        transport.connected = False
        await deferLater(reactor, 0.05)
        protocol.connectionLost()

    async def test_tooManyFiles(self) -> None:
        """A connection that can't be handed over is cut."""

        class Full:
            """A socket of a process that has no descriptors left."""

            def dup(self) -> None:
                """Fail."""
                raise OSError(24, "too many open files")

        protocol, transport = await self.leave(socket=Full())
        self.assertTrue(transport.disconnected)
        protocol.connectionLost()

    async def test_lost(self) -> None:
        """A descriptor that the system has dropped ends the link, for no message can be trusted then."""
        await self.serve()
        _, poll = await self.begin(1)
        (link,) = self.links[1]._links.values()
        self.patch(link, "fileDescriptorReceived", os.close)
        client = await self.connect(0)
        client.write(self.get(poll))
        await client.ended
        self.assertTrue(link.transport.disconnected)
        await until(lambda: self.links[0].reaches(1) and self.links[1].reaches(0))

    async def test_fails(self) -> None:
        """What fails in a connection that was handed over is its end, and no other's."""
        await self.serve()
        _, poll = await self.begin(1)
        (link,) = self.links[1]._links.values()
        site: Any = self.links[1].site
        build = site.buildProtocol

        def failing(addr: Any) -> Any:
            protocol = build(addr)
            protocol.dataReceived = [].remove
            return protocol

        self.patch(site, "buildProtocol", failing)
        client = await self.connect(0)
        client.write(self.get(poll))
        await client.ended
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIs(self.links[1]._links[0], link)

    async def test_handedOver(self) -> None:
        """
        A connection that was handed over may live: the answer that it has brought counts as read, and a client of 0.6,
        which polls again elsewhere, keeps its session.
        """
        await self.serve()
        _, other = await self.begin(1)
        client = await self.connect(0)
        opening = await self.answer(client, self.get("/socket.io/xhr-polling//1322000000000"))
        sid = opening.decode().rpartition("~")[2]
        await self.answer(client, self.post(other, "40"))
        self.assertEqual(serverOf(sid), 0)
        again = await self.connect(0)
        again.write(self.get(f"/socket.io/xhr-polling/{sid}/1322000060000"))
        await until(lambda: self.servers[0].registry.get(sid) is not None)
        await deferLater(reactor, 0.05)
        session = self.servers[0].registry.get(sid)
        assert session is not None
        self.assertEqual((session.closed, again.received), (False, b""))

    async def test_lent(self) -> None:
        """What was lent to one that goes before it has taken it is closed, and the client knows."""
        await self.serve()
        _, poll = await self.begin(1)
        (link,) = self.links[1]._links.values()
        link.transport.pauseProducing()
        client = await self.connect(0)
        client.write(self.get(poll))
        await until(lambda: self.links[0]._links[1]._lent)
        link.transport.abortConnection()
        await client.ended


class SharedPortTests(TestCase):
    """Endpoints that several processes can listen on."""

    def test_read(self) -> None:
        """Ports of TCP, and their addresses; nothing else."""
        for description, port in (
            ("tcp:8080", SharedPort(8080, "")),
            ("tcp:port=80:interface=127.0.0.1", SharedPort(80, "127.0.0.1")),
            (r"tcp:80:interface=\:\:1", SharedPort(80, "::1")),
            ("tcp:80:backlog=5", None),
            ("ssl:443", None),
            ("unix:/a", None),
        ):
            self.assertEqual(SharedPort.read(description), port)
            if port is not None:
                self.assertEqual(SharedPort.read(str(port)), port)
        self.patch(socket, "SO_REUSEPORT", None)
        del socket.SO_REUSEPORT
        self.assertIsNone(SharedPort.read("tcp:8080"))

    def test_reserve(self) -> None:
        """A port that is taken by somebody else can't be had; one's own can be listened on, twice."""
        holder, port = SharedPort(0, "127.0.0.1").reserve()
        self.addCleanup(holder.close)
        again, same = port.reserve()
        again.close()
        self.assertEqual(same, port)
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            self.assertRaises(CannotListenError, SharedPort(other.getsockname()[1], "127.0.0.1").reserve)

    async def test_endpoint(self) -> None:
        """Each listens on the address's family."""
        for interface in ("127.0.0.1", "::1"):
            endpoint: Any = SharedPort(0, interface).endpoint(reactor)
            try:
                listening = await endpoint.listen(SocketIOSite(Resource()))
            except CannotListenError:
                if interface == "::1":
                    raise SkipTest("this machine has no IPv6") from None
                raise
            self.assertEqual(listening.getHost().host, interface)
            await listening.stopListening()


class ProcessTests(SiochatCase):
    """``siochat --workers 2``."""

    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "--nodaemon", "--pidfile="]
    command += ["siochat", "--workers", "2"]

    def workers(self) -> list[int]:
        """The ids of the processes that serve."""
        _, transport = self.processes[0]
        return [int(each) for each in Path(f"/proc/{transport.pid}/task/{transport.pid}/children").read_text().split()]

    async def both(self) -> None:
        """Wait until both workers listen."""
        await self.start()
        process, _ = self.processes[0]
        await until(lambda: process.text.count("chat: open") == 2)

    async def spread(self) -> list[Poller]:
        """Clients of both workers."""
        clients = [await self.poller() for _ in range(2)]
        while len({each.id[0] for each in clients}) < 2:
            clients.append(await self.poller())
        return [next(each for each in clients if each.id[0] == letter) for letter in "ab"]

    async def hears(self, client: Poller, text: str) -> None:
        """The client gets a message, sooner or later."""
        while text not in await client.receive():
            pass

    async def test_chat(self) -> None:
        """Clients of either chat with all, and SIGTERM ends everything."""
        await self.both()
        one, other = await self.spread()
        await one.say("from one")
        await self.hears(other, "from one")
        await other.say("from the other")
        await self.hears(one, "from the other")
        for late in await self.spread():
            self.assertRegex(await late.receive(), "buffer.*from one.*from the other")
        log = await self.stop()
        self.assertIn("[worker 0]", log)
        self.assertIn("[worker 1]", log)

    async def test_killed(self) -> None:
        """A worker that dies is started again, and knows the other one; its clients come again."""
        await self.both()
        process, _ = self.processes[0]
        killed, _ = self.workers()
        os.kill(killed, signal.SIGKILL)
        await until(lambda: process.text.count("chat: open") == 3)
        self.assertNotIn(killed, self.workers())
        one, other = await self.spread()
        await one.say("from one")
        await self.hears(other, "from one")
        await self.stop()

    async def test_orphans(self) -> None:
        """Without the process that watches over them, workers end."""
        await self.both()
        process, transport = self.processes[0]
        workers = self.workers()
        transport.signalProcess("KILL")
        await process.ended
        await until(lambda: not any(Path(f"/proc/{each}").exists() for each in workers))

    async def test_portInUse(self) -> None:
        """A port that is taken is told in so many words, and the command fails."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            process = self.spawn("--listen", f"tcp:{other.getsockname()[1]}:interface=127.0.0.1")
            self.assertNotEqual(await process.ended, 0, process.text)
        self.assertIn("Couldn't listen on 127.0.0.1", process.text)

    async def test_badOptions(self) -> None:
        """Options that make no sense are told in so many words."""
        for options in (("--workers", "x"), ("--workers", "99"), ("--listen", "unix:/tmp/a")):
            process = self.spawn("--listen", LOOPBACK, *options)
            self.assertNotEqual(await process.ended, 0, process.text)
            self.assertIn("--workers", process.text)
            self.assertNotIn("Traceback", process.text)
