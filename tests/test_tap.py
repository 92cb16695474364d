"""
``siotwisted.tap``: the options of ``twistd siochat`` and their errors, and the service that they describe, run in this
process. The command as a process of its own is in ``tests.integration.test_siochat``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, cast

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, IServiceMaker, MultiService, ServiceMaker
from twisted.internet import reactor as theReactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import KeyPair
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from siotwisted import Codec, SIOCodec, SIOStreamingCodec
from siotwisted.config import TRANSPORTS
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Packet
from siotwisted.tap import AnnouncedEndpoint, Options, makeService
from siotwisted.workers import MOST_WORKERS, WorkerMonitor
from tests.integration.test_websocket import Raw
from tests.websocketpeer import CLOSE, closeFrame, framed, upgradeRequest

reactor: Any = theReactor


class QuietCodec(Codec):
    """A codec of somebody else, who has nothing to say."""

    name = "quiet"

    def encode(self, outgoing: Outgoing) -> str:
        """Nothing."""
        return ""

    def decode(self, payload: str, form: bool = False) -> Iterator[Packet]:
        """Nothing."""
        return iter(())


class SameName(QuietCodec):
    """A codec that claims the name of another."""

    name = "sio"


def parse(*arguments: str) -> Options:
    """The options of a command line."""
    options = Options()
    options.parseOptions(arguments)
    return options


class OptionsTests(SynchronousTestCase):
    """Command lines, read."""

    def assertRefused(self, part: str, *arguments: str) -> None:
        """A command line is an error, whose text has this part."""
        error = self.assertRaises(UsageError, parse, *arguments)
        self.assertIn(part, str(error))

    def test_workers(self) -> None:
        """As many processes as letters, and one at least, on ports of TCP."""
        for number in (1, MOST_WORKERS):
            self.assertEqual(parse("--workers", str(number))["workers"], number)
        for wrong in ("0", str(MOST_WORKERS + 1), "-1", "two"):
            self.assertRefused("--workers", "--workers", wrong)
        self.assertRefused("--workers needs", "--workers", "2", "--listen", "unix:/run/chat")
        self.assertEqual(parse("--listen", "unix:/run/chat")["workers"], 1)

    def test_watched(self) -> None:
        """Workers get all options, a time of no seconds among them, but for the port of the Flash policy alone."""
        options = parse("--workers", "2", "--drain-timeout", "0", "--flash-policy", "*", "--flash-listen", "tcp:843")
        parts: Any = makeService(options)
        monitor, _ = parts
        self.assertIsInstance(monitor, WorkerMonitor)
        command = " ".join(monitor._command)
        self.assertIn("--drain-timeout 0.0", command)
        self.assertIn("--flash-policy *", command)
        self.assertNotIn("843", command)

    def test_defaults(self) -> None:
        """Without options: this machine's port 8080, every transport, no foreign pages, no files, no Flash."""
        options = parse()
        config = options["config"]
        self.assertEqual(options["listen"], ["tcp:8080:interface=127.0.0.1"])
        self.assertEqual(tuple(config.transports), TRANSPORTS)
        self.assertEqual(list(config.codecs), [SIOCodec, SIOStreamingCodec])
        self.assertEqual(list(config.origins), [])
        self.assertEqual(config.reconnectTimeout, 15.0)
        self.assertIsNone(options["clients"])
        self.assertEqual((options["flash-policy"], options["flash-listen"]), ("", None))

    def test_listen(self) -> None:
        """``--listen`` takes the default's place, and may be given again."""
        self.assertEqual(parse("--listen", "tcp:1")["listen"], ["tcp:1"])
        options = parse("-l", "tcp:1", "--listen=unix:/run/chat")
        self.assertEqual(options["listen"], ["tcp:1", "unix:/run/chat"])
        self.assertEqual(parse()["listen"], ["tcp:8080:interface=127.0.0.1"])

    def test_badListen(self) -> None:
        """What is no endpoint is an error, and says why."""
        self.assertRefused("nonsense", "--listen", "nonsense:1")
        self.assertRefused("door", "--listen", "tcp:door")
        self.assertRefused("nowhere", "--listen", "ssl:8443:privateKey=/nowhere/key.pem")

    def test_origins(self) -> None:
        """Origins are separated by commas, or blanks, or both."""
        options = parse("--origins", "a.example, https://b.example:* c.example:81,")
        self.assertEqual(list(options["config"].origins), ["a.example", "https://b.example:*", "c.example:81"])
        self.assertRefused("not an origin", "--origins", "http://")
        self.assertRefused("a/b", "-o", "a.example,a/b")

    def test_transports(self) -> None:
        """Only those that are named are served; a name that nobody knows is an error that names it."""
        options = parse("--transports", "websocket,xhr-polling")
        self.assertEqual(list(options["config"].transports), ["websocket", "xhr-polling"])
        self.assertRefused("no such transport: carrier-pigeon", "-t", "websocket,carrier-pigeon")

    def test_codec(self) -> None:
        """The chosen codec answers the plain URLs; the others can still be asked for by name."""
        self.assertEqual(list(parse("--codec", "sio")["config"].codecs), [SIOCodec, SIOStreamingCodec])
        self.assertEqual(list(parse("--codec", "streaming")["config"].codecs), [SIOStreamingCodec, SIOCodec])
        self.assertEqual(
            list(parse("-c", "siotwisted.SIOStreamingCodec")["config"].codecs), [SIOStreamingCodec, SIOCodec]
        )
        self.assertEqual(
            list(parse("--codec", "tests.test_tap.QuietCodec")["config"].codecs),
            [QuietCodec, SIOCodec, SIOStreamingCodec],
        )

    def test_badCodec(self) -> None:
        """A codec that is not there, is none, or has another's name, is an error that names it."""
        for name in ("morse", "tests.test_tap.Morse", "no.such.module", "morse code", ".", "tests..Morse"):
            self.assertRefused(f"no such codec: {name}", "--codec", name)
        self.assertRefused("no such codec", "--codec", "")
        for name in ("tests.test_tap.parse", "tests.test_tap", "siotwisted.Config", "siotwisted.__version__"):
            self.assertRefused(f"not a codec: {name}", "--codec", name)
        self.assertRefused("names", "--codec", "tests.test_tap.SameName")

    def test_abstractCodec(self) -> None:
        """The base of all codecs is none itself."""
        self.assertRefused("not a codec", "--codec", "siotwisted.Codec")

    def test_clientFiles(self) -> None:
        """The scripts of a folder are served; what is no folder is an error that names it."""
        folder = mkdtemp()
        self.addCleanup(rmtree, folder)
        Path(folder, "socket.io.js").write_text("io = 1;")
        options = parse("--client-files", folder)
        self.assertEqual(len(options["clients"]), 1)
        self.assertRefused("nowhere", "-f", "/nowhere")
        self.assertRefused("socket.io.js", "-f", f"{folder}/socket.io.js")

    def test_flash(self) -> None:
        """A port for the Flash policy needs a policy."""
        options = parse("--flash-policy", "a.example", "--flash-listen", "tcp:843")
        self.assertEqual((options["flash-policy"], options["flash-listen"]), ("a.example", "tcp:843"))
        self.assertRefused("--flash-policy", "--flash-listen", "tcp:843")

    def test_unknown(self) -> None:
        """Anything else is an error."""
        self.assertRaises(UsageError, parse, "--frobnicate")
        self.assertRaises(UsageError, parse, "tcp:8080")

    def test_help(self) -> None:
        """Each option has its line in the help, and the defaults are told."""
        text = re.sub(r"\s+", " ", str(Options()))
        for option in ("listen", "origins", "transports", "codec", "client-files", "flash-policy", "flash-listen"):
            self.assertRegex(text, f"--{option}= [A-Z]")
        self.assertIn("[default: tcp:8080:interface=127.0.0.1]", text)
        self.assertIn("[default: sio]", text)

    def test_plugin(self) -> None:
        """``twistd`` finds the command, once, and by it this module."""
        found = [each for each in getPlugins(cast(Any, IServiceMaker)) if each.tapname == "siochat"]
        self.assertEqual(len(found), 1)
        (maker,) = found
        assert isinstance(maker, ServiceMaker)
        self.assertIs(maker.options, Options)
        self.assertIs(maker.makeService, makeService)


@implementer(IListeningPort)
class FakePort:
    """A port that is at an address."""

    def __init__(self, address: IAddress) -> None:
        self._address = address

    def getHost(self) -> IAddress:
        """Its address."""
        return self._address

    def startListening(self) -> None:
        """Nothing."""

    def stopListening(self) -> None:
        """Nothing."""


@implementer(IStreamServerEndpoint)
class FakeEndpoint:
    """An endpoint whose port will be at an address."""

    def __init__(self, address: IAddress) -> None:
        self._port = FakePort(address)
        self.factories: list[IProtocolFactory] = []

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen."""
        self.factories.append(protocolFactory)
        return succeed(self._port)


class LoggedCase(TestCase):
    """A test that reads the log."""

    timeout = 30

    def setUp(self) -> None:
        """Watch the log."""
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.logged)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def logged(self, event: LogEvent) -> None:
        """Keep what is logged."""
        self.events.append(event)

    def lines(self) -> list[str]:
        """What this package logged of itself so far."""
        return [
            formatEvent(event)
            for event in self.events
            if event["log_namespace"].startswith("siotwisted") and "factory" not in event
        ]


class AnnouncedEndpointTests(LoggedCase):
    """The line that says where to look."""

    def test_addresses(self) -> None:
        """The log says what a browser on this machine should open, whatever the server listens on."""
        cases: list[tuple[IAddress, str, str]] = [
            (IPv4Address("TCP", "127.0.0.1", 8080), "http", "chat: open http://127.0.0.1:8080/"),
            (IPv4Address("TCP", "0.0.0.0", 80), "http", "chat: open http://127.0.0.1:80/"),
            (IPv4Address("TCP", "192.0.2.7", 8443), "https", "chat: open https://192.0.2.7:8443/"),
            (IPv6Address("TCP", "::1", 8080), "http", "chat: open http://[::1]:8080/"),
            (IPv6Address("TCP", "::", 8080), "https", "chat: open https://[::1]:8080/"),
            (UNIXAddress("/run/chat"), "http", "chat: listening on UNIXAddress('/run/chat')"),
        ]
        for address, scheme, line in cases:
            endpoint = FakeEndpoint(address)
            factory = Factory()
            port = self.successResultOf(AnnouncedEndpoint(endpoint, scheme).listen(factory))
            self.assertEqual((port.getHost(), endpoint.factories), (address, [factory]))
            self.assertEqual(self.lines()[-1], line)
        self.assertEqual(len(self.lines()), len(cases))


class ServiceTests(LoggedCase):
    """The service, run."""

    def setUp(self) -> None:
        """Nothing runs yet."""
        super().setUp()
        self.folder = mkdtemp()
        self.addCleanup(rmtree, self.folder)

    def start(self, *arguments: str) -> list[int]:
        """Run the service of a command line; the ports that it said it listens on."""
        self.service: Any = makeService(parse(*arguments))
        self.service.privilegedStartService()
        self.service.startService()
        self.addCleanup(self.stop)
        return [int(found[1]) for line in self.lines() if (found := re.search(r"https?://[^/]*:(\d+)/$", line))]

    def stop(self) -> Any:
        """Stop it, unless it has stopped."""
        return self.service.stopService() if self.service.running else None

    async def ask(self, port: int, data: bytes) -> Raw:
        """Send bytes on a new connection; wait for the end of it."""
        client: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Raw())
        client.write(data)
        await client.ended
        return client

    async def get(self, port: int, path: str) -> tuple[str, bytes]:
        """Get a page: its head and its body."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        head, _, body = (await self.ask(port, request.encode())).received.partition(b"\r\n\r\n")
        return head.decode("latin-1"), body

    def test_parts(self) -> None:
        """There is a service for each endpoint, and one that stops the server, and nothing runs yet."""
        service = makeService(parse("--listen", "tcp:0", "--listen", "tcp:0:interface=127.0.0.1"))
        assert isinstance(service, MultiService)
        self.assertTrue(IService.providedBy(service))
        listeners = [each for each in service if isinstance(each, StreamServerEndpointService)]
        self.assertEqual(len(listeners), 2)
        self.assertEqual(self.lines(), [])

    async def test_run(self) -> None:
        """It says where it listens, serves the page and the endpoint there, and stops."""
        (port,) = self.start("--listen", "tcp:0:interface=127.0.0.1")
        self.assertEqual(self.lines(), [f"chat: open http://127.0.0.1:{port}/"])
        head, body = await self.get(port, "/")
        self.assertTrue(head.startswith("HTTP/1.1 200 "), head)
        self.assertIn(b"<!DOCTYPE html>", body)
        _, body = await self.get(port, "/socket.io/xhr-polling//1322000000000")
        self.assertEqual(body[:8], b"~m~27~m~")
        head, _ = await self.get(port, "/socket.io/socket.io.js")
        self.assertTrue(head.startswith("HTTP/1.1 404 "), head)
        await self.service.stopService()
        with self.assertRaises(ConnectionRefusedError):
            await self.get(port, "/")

    async def test_stop(self) -> None:
        """Who is connected when it stops gets a goodbye, and stopping waits for the answer."""
        (port,) = self.start("--listen", "tcp:0:interface=127.0.0.1")
        client: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Raw())
        client.write(upgradeRequest(headers={"Host": f"127.0.0.1:{port}"}))
        await client.whenFrames(3)
        stopped = self.service.stopService()
        await client.until(lambda: client.frames[-1][0] == CLOSE)
        self.assertFalse(stopped.called)
        client.write(closeFrame(1000))
        await client.ended
        await stopped

    async def test_twice(self) -> None:
        """Two endpoints are two ports of one chat."""
        one, two = self.start("-l", "tcp:0:interface=127.0.0.1", "-l", "tcp:0:interface=127.0.0.1")
        clients: list[Raw] = []
        for port in (one, two):
            client: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Raw())
            client.write(upgradeRequest(headers={"Host": f"127.0.0.1:{port}"}))
            await client.whenFrames(3)
            clients.append(client)
        await clients[0].whenFrames(4)
        self.assertIn(f"connected: {clients[1].messages[0]}", clients[0].messages[-1])
        for client in clients:
            client.write(closeFrame(1000))
            await client.ended

    async def test_secure(self) -> None:
        """An ``ssl:`` endpoint has addresses that begin with ``https``."""
        own: Any = KeyPair.generate(size=2048).selfSignedCert(1, CN=b"localhost")
        pem = Path(self.folder, "own.pem")
        pem.write_bytes(own.privateKey.dump(1) + own.dumpPEM())
        self.start("--listen", f"ssl:0:interface=127.0.0.1:privateKey={pem}")
        (line,) = self.lines()
        self.assertRegex(line, r"^chat: open https://127\.0\.0\.1:\d+/$")
        await self.service.stopService()

    async def test_unixSocket(self) -> None:
        """A UNIX socket has no address for a browser; the log says where it is."""
        self.start("--listen", f"unix:{self.folder}/chat")
        (line,) = self.lines()
        self.assertIn(f"{self.folder}/chat", line)
        await self.service.stopService()

    async def test_clientFiles(self) -> None:
        """The scripts of the folder are below the endpoint, with their type."""
        Path(self.folder, "socket.io.js").write_text("io = 1;")
        (port,) = self.start("-l", "tcp:0:interface=127.0.0.1", "--client-files", self.folder)
        head, body = await self.get(port, "/socket.io/socket.io.js")
        self.assertEqual(body, b"io = 1;")
        self.assertRegex(head, "(?i)content-type: text/javascript")

    async def test_transports(self) -> None:
        """A transport that is not named is not there."""
        (port,) = self.start("-l", "tcp:0:interface=127.0.0.1", "--transports", "websocket")
        head, _ = await self.get(port, "/socket.io/xhr-polling//1322000000000")
        self.assertTrue(head.startswith("HTTP/1.1 404 "), head)

    async def test_codec(self) -> None:
        """The codec of the plain URLs may be another one; each codec can be asked for by its name."""
        (port,) = self.start("-l", "tcp:0:interface=127.0.0.1", "--codec", "streaming")
        for path, start in (
            ("xhr-polling", b"3:27:"),
            ("sio/xhr-polling", b"~m~27~m~"),
            ("streaming/xhr-polling", b"3:"),
        ):
            _, body = await self.get(port, f"/socket.io/{path}//1322000000000")
            self.assertTrue(body.startswith(start), body)

    async def test_flashPolicy(self) -> None:
        """The policy is given on every port, and on one of its own, and names the domains that were given."""
        question = b"<policy-file-request/>\0"
        (port,) = self.start(
            *("--listen", "tcp:0:interface=127.0.0.1", "--flash-policy", "a.example,*.b.example"),
            *("--flash-listen", f"unix:{self.folder}/flash"),
        )
        answer = (await self.ask(port, question)).received
        self.assertEqual(re.findall(rb'domain="([^"]*)"', answer), [b"a.example", b"*.b.example"])
        head, _ = await self.get(port, "/")
        self.assertTrue(head.startswith("HTTP/1.1 200 "), head)
        self.assertTrue(Path(self.folder, "flash").is_socket())

    async def test_flashPolicyInline(self) -> None:
        """Without a port of its own the policy is given on the others alone."""
        (port,) = self.start("--listen", "tcp:0:interface=127.0.0.1", "--flash-policy", "*")
        self.assertIn(b'domain="*"', (await self.ask(port, b"<policy-file-request/>\0")).received)
        self.assertEqual(len(list(self.service)), 1)

    async def test_noFlashPolicy(self) -> None:
        """Without the option there is none: the question is no HTTP."""
        (port,) = self.start("--listen", "tcp:0:interface=127.0.0.1")
        answer = (await self.ask(port, b"<policy-file-request/>\0\r\n\r\n")).received
        self.assertNotIn(b"policy", answer)

    async def test_portInUse(self) -> None:
        """A port that is taken is an error when the service starts, which names it."""
        (port,) = self.start("--listen", "tcp:0:interface=127.0.0.1")
        other: Any = makeService(parse("--listen", f"tcp:{port}:interface=127.0.0.1"))
        error = self.assertRaises(CannotListenError, other.privilegedStartService)
        self.assertIn(str(port), str(error))

    async def test_noAccessLog(self) -> None:
        """Session ids are secrets: no request leaves its URL in the log."""
        (port,) = self.start("--listen", "tcp:0:interface=127.0.0.1")
        _, body = await self.get(port, "/socket.io/xhr-polling//1322000000000")
        id = body.decode()[8:35]
        body = f"data={framed('secret')}".encode()
        head = f"POST /socket.io/xhr-polling/{id}/send HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        client = await self.ask(port, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.assertIn(b" 200 ", client.received)
        text = "\n".join(formatEvent(event) for event in self.events)
        self.assertNotIn(id, text)
        self.assertNotIn("secret", text)
