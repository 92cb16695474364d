"""
The endpoint in servers of all kinds: over TLS, on a UNIX socket, behind the sniffer for Flash, and in a process of
``twist web``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import select
import shutil
import socket
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGTERM
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString, wrapClientTLS
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.internet.ssl import (
    Certificate,
    DefaultOpenSSLContextFactory,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.tcp import Server
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS
from twisted.web.resource import Resource

from siotwisted import Config, SocketIOResource, SocketIOSite
from siotwisted.transports.flashpolicy import FlashPolicyFactory, FlashPolicySniffer, policyFile
from siotwisted.transports.readiness import MemberTransport
from tests.integration import LOOPBACK, RunningCase, reactor


class FolderCase(RunningCase):
    """A test with a folder, whose name is short enough for the path of a socket."""

    def setUp(self) -> None:
        """Make it, and remove it when all else is gone."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        super().setUp()


class TLSTests(FolderCase):
    """The endpoint over TLS."""

    def certificate(self) -> tuple[bytes, Path]:
        """A new certificate, and the file that has it, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now() - timedelta(days=2))
            .not_valid_after(datetime.now() + timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        ).public_bytes(serialization.Encoding.PEM)
        path = self.folder / "key.pem"
        path.write_bytes(
            certificate
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, path

    async def serve(self, config: Config | None = None) -> str:
        """Listen with a certificate made for it, which our agent trusts; gives the endpoint's URL."""
        certificate, path = self.certificate()
        description = f"ssl:0:interface=127.0.0.1:privateKey={path}:certKey={path}"
        port: Any = await self.listen(self.site(self.server(config)), description)
        trust = trustRootFromCertificates([Certificate.loadPEM(certificate)])
        self.agent = Agent(reactor, BrowserLikePolicyForHTTPS(trust), pool=self.pool)
        return f"https://localhost:{port.getHost().port}/socket.io"

    async def test_conversation(self) -> None:
        """Handshake, post and poll; the application sees that the client is secure."""
        base = await self.serve()
        sessionID = await self.open(base)
        poll = Deferred.fromCoroutine(self.get(f"{base}/xhr-polling/{sessionID}/1"))
        response = await self.post(f"{base}/xhr-polling/{sessionID}/send", "~m~2~m~hi")
        self.assertEqual((response.content, self.messages), (b"ok", ["hi"]))
        (connection,) = self.connections
        connection.send("ho")
        answer: Any = await poll
        self.assertEqual(answer.content, b"~m~2~m~ho")
        self.assertTrue(connection.handshake.secure)

    async def test_origins(self) -> None:
        """The server's own origin is the one with ``https``; the same name without is another."""
        base = await self.serve()
        own = base.removesuffix("/socket.io")
        response = await self.get(f"{base}/xhr-polling//1", headers={"Origin": own})
        self.assertEqual(response.code, 200)
        self.assertEqual(response.headers.getRawHeaders("Access-Control-Allow-Origin"), [own])
        response = await self.get(f"{base}/xhr-polling//1", headers={"Origin": own.replace("https", "http")})
        self.assertEqual(response.code, 403)

    async def test_cut(self) -> None:
        """An unknown session is cut here, too, without a byte of an answer."""
        base = await self.serve()
        error: Any = await self.assertFailure(
            Deferred.fromCoroutine(self.get(f"{base}/xhr-polling/unknown/1")), Exception
        )
        self.assertEqual(type(error).__name__, "ResponseNeverReceived")
        self.assertEqual(self.logged(), ["refused 127.0.0.1: unknown session"])

    async def test_begunLater(self) -> None:
        """A connection may begin TLS when it is there, beside others that don't."""
        certificate, path = self.certificate()
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(self.server()))
        site = SocketIOSite(root)
        site.noisy = False
        made = site.buildProtocol
        context = DefaultOpenSSLContextFactory(str(path), str(path))
        self.patch(site, "buildProtocol", lambda addr: Sniffer(made(addr), context))
        port: Any = await self.listen(site)
        trust = optionsForClientTLS("localhost", trustRootFromCertificates([Certificate.loadPEM(certificate)]))
        number = port.getHost().port
        plain = clientFromString(reactor, f"tcp:127.0.0.1:{number}")
        for endpoint in (wrapClientTLS(trust, plain), plain) * 2:
            peer = await self.connectTo(endpoint)
            peer.transport.write(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            await peer.until(b'"sid"')
            peer.transport.write(b"\x81\x82\0\0\0\x0040")
            await peer.until(b'40{"sid"')
            peer.transport.write(b"\x88\x82\0\0\0\0\x03\xe8")
            self.assertTrue((await peer.closed()).endswith(b"\x88\x02\x03\xe8"))
        secure = [connection.handshake.secure for connection in self.connections]
        self.assertEqual((secure, self.logged()), ([True, False, True, False], []))


class Sniffer(Protocol):
    """
    Tells by the first byte whether the client wants TLS.

    :param protocol: what it speaks then.
    :param context: for TLS.
    """

    transport: Any

    def __init__(self, protocol: Any, context: DefaultOpenSSLContextFactory) -> None:
        self._protocol = protocol
        self._context = context

    def dataReceived(self, data: bytes) -> None:
        """The first bytes have come."""
        transport = self.transport
        transport.protocol = self._protocol
        if data[:1] == b"\x16":
            transport.startTLS(self._context)
        self._protocol.makeConnection(transport)
        transport.protocol.dataReceived(data)


class ReadingTests(RunningCase):
    """Who reads the connections of a site on plain TCP."""

    if not hasattr(select, "epoll"):
        skip = "this system has no epoll"

    def transports(self) -> list[Any]:
        """Of all connections to the last site."""
        return [protocol.transport for protocol in self._sites[-1].live]  # type: ignore[attr-defined]

    async def test_together(self) -> None:
        """All are read together, those too that had come before the first of them was heard of."""
        _, _, port = await self.start()
        for count in (5, 12):
            for _ in range(count - len(self.transports())):
                self.addCleanup(socket.create_connection(("127.0.0.1", port)).close)
            while len(self.transports()) < count:
                await self.turn()
        transports = self.transports()
        self.assertEqual({type(each) for each in transports}, {MemberTransport})
        self.assertEqual([each for each in transports if each in reactor.getReaders()], [])
        accepting: Any = self._ports[-1]
        self.assertIs(accepting.transport.func, MemberTransport)

    async def test_delays(self) -> None:
        """What Twisted Web writes in pieces waits for nothing."""
        _, _, port = await self.start()
        for _ in range(2):
            peer = await self.connect(port)
            peer.transport.write(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n")
            await peer.until(b"</html>")
        self.assertEqual([bool(each.getTcpNoDelay()) for each in self.transports()], [True, True])

    async def test_otherFactories(self) -> None:
        """A port that is not the site's own stays as it is; each of its connections that the site gets is read so."""
        site = self.site(self.server())
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: site.buildProtocol(None)  # type: ignore[method-assign]
        wrapped = WrappingFactory(site)
        wrapped.noisy = False
        for each, kinds in ((factory, {MemberTransport}), (wrapped, {ProtocolWrapper})):
            port: Any = await self.listen(each)
            peers = [await self.connect(port.getHost().port) for _ in range(2)]
            for peer in peers:
                peer.transport.write(b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: h\r\n\r\n")
                await peer.until(b"~m~27~m~")
            self.assertEqual({type(transport) for transport in self.transports()}, kinds)
            self.assertEqual(port.transport, Server)
            self.assertEqual({connection.address for connection in self.connections}, {"127.0.0.1"})
            for peer in peers:
                peer.transport.loseConnection()
            await site.empty()


class ProxyProtocolTests(RunningCase):
    """Behind a proxy that says in the PROXY protocol where each connection comes from."""

    async def test_address(self) -> None:
        """Clients have the addresses that the proxy tells."""
        port: Any = await self.listen(self.site(self.server()), f"haproxy:{LOOPBACK}")
        for told in ("192.0.2.7", "192.0.2.8"):
            peer = await self.connect(port.getHost().port)
            peer.transport.write(f"PROXY TCP4 {told} 192.0.2.1 1234 80\r\n".encode())
            peer.transport.write(b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: h\r\n\r\n")
            await peer.until(b"~m~27~m~")
        self.assertEqual([connection.address for connection in self.connections], ["192.0.2.7", "192.0.2.8"])


class UNIXTests(FolderCase):
    """The endpoint on a UNIX socket, as behind a proxy on the same machine."""

    async def test_conversation(self) -> None:
        """Sessions work; a client has no address to speak of."""
        path = f"{self.folder}/socket"
        sio = self.server()
        await self.listen(self.site(sio), f"unix:{path}")
        peer = await self.connectTo(UNIXClientEndpoint(reactor, path))
        peer.transport.write(b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: h\r\n\r\n")
        await peer.until(b"~m~27~m~")
        (connection,) = self.connections
        connection.send("hi")
        peer.transport.write(f"GET /socket.io/xhr-polling/{connection.id}/1 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        await peer.until(b"~m~2~m~hi")
        self.assertEqual(connection.address, "")
        peer.transport.write(b"GET /socket.io/xhr-polling/unknown/1 HTTP/1.1\r\nHost: h\r\n\r\n")
        await peer.closed()
        self.assertEqual(self.logged(), ["refused : unknown session"])


class FlashPolicyTests(RunningCase):
    """The Flash policy on real ports."""

    QUESTION = b"<policy-file-request/>\0"
    POLICY = policyFile(["example.com"], "*")

    async def test_ownPort(self) -> None:
        """A question, an answer, and the end of the connection; nothing but the question is answered."""
        port: Any = await self.listen(FlashPolicyFactory(self.POLICY), LOOPBACK)
        peer = await self.connect(port.getHost().port)
        peer.transport.write(self.QUESTION)
        self.assertEqual(await peer.closed(), self.POLICY)
        peer = await self.connect(port.getHost().port)
        peer.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(await peer.closed(), b"")

    async def test_inline(self) -> None:
        """The sniffer answers the question on the site's own port, and leaves HTTP and WebSockets to the site."""
        sio = self.server()
        port: Any = await self.listen(FlashPolicySniffer(self.site(sio), self.POLICY), LOOPBACK)
        number = port.getHost().port
        peer = await self.connect(number)
        for byte in self.QUESTION:
            peer.transport.write(bytes([byte]))
            await self.turn()
        self.assertEqual(await peer.closed(), self.POLICY)
        base = f"http://127.0.0.1:{number}/socket.io"
        sessionID = await self.open(base)
        self.assertEqual((await self.post(f"{base}/xhr-polling/{sessionID}/send", "~m~1~m~x")).content, b"ok")
        peer = await self.connect(number)
        peer.transport.write(
            b"GET /socket.io/websocket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            b"\x81\x88\0\0\0\0~m~1~m~y"
        )
        received = await peer.until(b"~m~27~m~")
        self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", received)
        await self.until(lambda: len(self.messages) == 2)
        self.assertEqual(self.messages, ["x", "y"])
        peer.transport.loseConnection()


SCRIPT = """
cache()  # or every request would get a server of its own

from twisted.internet import reactor
from twisted.web.resource import Resource

from siotwisted import SocketIO, SocketIOResource

sio = SocketIO(reactor)


@sio.onMessage
def echo(connection, message):
    connection.send(message)


"""


class Twist(ProcessProtocol):
    """
    ``twist web`` in a process of its own.

    :ivar output: what it printed.
    :ivar port: fires with its port.
    :ivar ended: fires with how it ended.
    """

    def __init__(self) -> None:
        self.output = b""
        self.port: Deferred[int] = Deferred()
        self.ended: Deferred[BaseException | None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Look for the port."""
        self.output += data
        match = re.search(rb"Site starting on ([0-9]+)", self.output)
        if match is not None and not self.port.called:
            self.port.callback(int(match[1]))

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        if not self.port.called:
            self.port.errback(AssertionError(self.output.decode("utf-8", "replace")))
        self.ended.callback(reason.value)


class TwistWebTests(FolderCase):
    """``twist web``, the command line of Twisted Web, with a script that holds the endpoint."""

    async def twist(self, *options: str) -> Twist:
        """Start it; it is ended with the test."""
        package = importlib.util.find_spec("siotwisted")
        assert package is not None and package.origin is not None
        twist = Twist()
        command = [sys.executable, "-m", "twisted", "web", f"--listen={LOOPBACK}", *options]
        environment = {**os.environ, "PYTHONPATH": str(Path(package.origin).parent.parent)}
        self.process = reactor.spawnProcess(twist, command[0], command, environment)
        self.addCleanup(self.stop, twist)
        self.number = await twist.port
        return twist

    async def stop(self, twist: Twist) -> None:
        """End it, if it still runs."""
        if not twist.ended.called:
            self.process.signalProcess("KILL")
            await twist.ended

    async def converse(self, base: str) -> None:
        """A message goes there and comes back."""
        sessionID = await self.open(base)
        poll = Deferred.fromCoroutine(self.get(f"{base}/xhr-polling/{sessionID}/1"))
        await self.post(f"{base}/xhr-polling/{sessionID}/send", "~m~2~m~hi")
        answer: Any = await poll
        self.assertEqual(answer.content, b"~m~2~m~hi")

    async def test_resourceScript(self) -> None:
        """As the root, by ``--resource-script``, with the site's other resources in the script; SIGTERM ends it."""
        script = self.folder / "root.rpy"
        script.write_text(
            SCRIPT + 'resource = Resource()\nresource.putChild(b"socket.io", SocketIOResource(sio))\n', "utf-8"
        )
        twist = await self.twist(f"--resource-script={script}")
        await self.converse(f"http://127.0.0.1:{self.number}/socket.io")
        await self.pool.closeCachedConnections()
        self.process.signalProcess("TERM")
        reason = await twist.ended
        # When it has shut down, it raises the signal again.
        self.assertTrue(isinstance(reason, ProcessDone) or getattr(reason, "signal", None) == SIGTERM, reason)
        self.assertNotIn(b"Traceback", twist.output)

    async def test_folder(self) -> None:
        """As a file of a folder, by ``--path``, beside other files."""
        (self.folder / "index.html").write_text("hello", "utf-8")
        (self.folder / "socket.io.rpy").write_text(SCRIPT + "resource = SocketIOResource(sio)\n", "utf-8")
        await self.twist(f"--path={self.folder}", "--ignore-ext=.rpy")
        site = f"http://127.0.0.1:{self.number}"
        self.assertEqual((await self.get(f"{site}/")).content, b"hello")
        await self.converse(f"{site}/socket.io")
