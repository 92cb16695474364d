"""
``siochat`` as a process of its own, started as operators start it: by ``twistd`` and by ``python -m twisted``.

The page and its headers, clients on different transports that chat in exactly the JSON that clients of the first chats
expect, the options that need a process, errors, and the end by SIGTERM.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import deque
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet import reactor as theReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

import siotwisted
from tests.integration.test_websocket import Client, Raw
from tests.websocketpeer import framed, unframed, upgradeRequest

reactor: Any = theReactor

LOOPBACK = "tcp:0:interface=127.0.0.1"


def frame(value: object) -> str:
    """A value as the frame's text that carries it: compact JSON, and no escapes that it does not need."""
    return "~j~" + json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Process(ProcessProtocol):
    """
    A process.

    :ivar text: all that it has printed.
    :ivar ended: fires with its exit code, or the number of the signal that killed it, negative.
    """

    def __init__(self) -> None:
        self.text = ""
        self.ended: Deferred[int] = Deferred()
        self._listening: Deferred[int] | None = None

    def listening(self) -> Deferred[int]:
        """Fires with the port that it says it listens on."""
        self._listening = Deferred()
        self._check()
        return self._listening

    def _check(self) -> None:
        found = re.search(r"chat: open http://127\.0\.0\.1:(\d+)/\n", self.text)
        if self._listening is not None and (found or self.ended.called):
            listening, self._listening = self._listening, None
            if found:
                listening.callback(int(found[1]))
            else:
                listening.errback(AssertionError(self.text))

    def outReceived(self, data: bytes) -> None:
        """It has printed something."""
        self.text += data.decode("utf-8", "replace")
        self._check()

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        error = reason.value
        if isinstance(error, ProcessTerminated):
            self.ended.callback(-error.signal if error.signal else error.exitCode)
        else:
            self.ended.callback(0)
        self._check()


class Poller:
    """
    A client that polls, with a connection for each request.

    :ivar id: its session id.
    """

    def __init__(self, port: int) -> None:
        self.id = ""
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self._messages: deque[str] = deque()
        self._times = count(1322000000000, 60_000)

    async def request(self, method: str, path: str, body: str = "") -> str:
        """Make a request; the body of the answer."""
        client: Raw = await connectProtocol(self._endpoint, Raw())
        head = f"{method} /socket.io/xhr-polling/{path} HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n"
        if body:
            head += f"Content-Length: {len(body.encode())}\r\n"
        client.write(f"{head}\r\n{body}".encode())
        await client.ended
        head, _, answer = client.received.decode("utf-8").partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200 "), head
        return answer

    async def receive(self) -> str:
        """The next message, from an answer that has come, or from the next one."""
        while not self._messages:
            # A minute after the one before, by the client's clock: that has been answered long since.
            self._messages.extend(unframed(await self.request("GET", f"{self.id}/{next(self._times)}")))
        return self._messages.popleft()

    async def say(self, message: str) -> None:
        """Post a message."""
        quoted = "".join(f"%{byte:02X}" for byte in framed(message).encode("utf-8"))
        assert await self.request("POST", f"{self.id}/send", f"data={quoted}") == "ok"


class SiochatCase(TestCase):
    """
    A test with a process.

    :cvar command: how it is started; the options follow.
    """

    timeout = 60
    command: list[str] = []

    def setUp(self) -> None:
        """Nothing runs yet."""
        self.folder = mkdtemp()
        self.addCleanup(rmtree, self.folder)
        self.processes: list[tuple[Process, Any]] = []
        self.clients: list[Client | Raw] = []
        self.addCleanup(lambda: Deferred.fromCoroutine(self.end()))

    async def end(self) -> None:
        """Leave no client and no process."""
        for client in self.clients:
            if not client.ended.called:
                client.cut()
                await client.ended
        for process, transport in self.processes:
            if not process.ended.called:
                transport.signalProcess("KILL")
                await process.ended

    def spawn(self, *options: str) -> Process:
        """Start the process with these options."""
        return self.launch([*self.command, *options])

    def launch(self, command: list[str]) -> Process:
        """Start a process, with the package that this test imports, in a folder of its own."""
        process = Process()
        assert siotwisted.__file__ is not None
        environment = {**os.environ, "PYTHONPATH": str(Path(siotwisted.__file__).parent.parent)}
        transport = reactor.spawnProcess(process, command[0], command, env=environment, path=self.folder)
        self.processes.append((process, transport))
        return process

    async def start(self, *options: str) -> int:
        """Start the process, on a port that is free, which is the result."""
        process = self.spawn("--listen", LOOPBACK, "--drain-timeout", "1", *options)
        self.port = await process.listening()
        return self.port

    async def stop(self) -> str:
        """End the process with SIGTERM: it ends soon, without a fault; all that it has printed."""
        ((process, transport),) = self.processes
        since = reactor.seconds()
        transport.signalProcess("TERM")
        # When all is done, Twisted lets the signal have its way, for the parent to see.
        self.assertIn(await process.ended, (0, -signal.SIGTERM), process.text)
        self.assertLess(reactor.seconds() - since, 10)
        self.assertIn("Main loop terminated.", process.text)
        self.assertNotIn("Traceback", process.text)
        self.assertNotIn("Unhandled", process.text)
        return process.text

    async def ask(self, data: bytes) -> Raw:
        """Send bytes on a connection of its own, and wait for the end of it."""
        client = await self.raw(data)
        await client.ended
        return client

    async def raw(self, data: bytes) -> Raw:
        """Send bytes on a connection of its own."""
        client: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), Raw())
        self.clients.append(client)
        client.write(data)
        return client

    async def get(self, path: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
        """Get a file: status, headers by lower-case name, and body."""
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close", *headers, "", ""]
        head, _, body = (await self.ask("\r\n".join(lines).encode())).received.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(": ") for line in rest]
        return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, body

    async def webSocket(self) -> tuple[Client, str]:
        """A client on a WebSocket, as the page's own script is one, and its id."""
        own = f"127.0.0.1:{self.port}"
        factory = WebSocketClientFactory(f"ws://{own}/socket.io/websocket", origin=f"http://{own}", reactor=reactor)
        factory.protocol = Client
        client = await TCP4ClientEndpoint(reactor, "127.0.0.1", self.port).connect(factory)
        assert isinstance(client, Client)
        self.clients.append(client)
        await client.opened
        return client, await client.receive()

    async def poller(self) -> Poller:
        """A client that polls, with its session."""
        client = Poller(self.port)
        client.id = await client.receive()
        return client


if TYPE_CHECKING:
    Case = SiochatCase
else:
    Case = object


class Chatting(Case):
    """The command, however it is started."""

    async def test_page(self) -> None:
        """The page is at ``/``, with the headers that keep it from harm; the browser keeps it until it changes."""
        await self.start()
        status, headers, body = await self.get("/")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'self'", headers["content-security-policy"])
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(headers["referrer-policy"], "no-referrer")
        self.assertNotIn("server", headers)
        self.assertIn(b"<!DOCTYPE html>", body)
        self.assertEqual((await self.get("/", f"If-None-Match: {headers['etag']}"))[0], 304)
        for path, kind in (("chat.js", "text/javascript"), ("chat.css", "text/css")):
            self.assertIn(path.encode(), body)
            status, headers, _ = await self.get(f"/{path}")
            self.assertEqual((status, headers["content-type"].partition(";")[0]), (200, kind))
        self.assertEqual((await self.get("/index.html"))[0], 404)
        await self.stop()

    async def test_chat(self) -> None:
        """Two clients on different transports chat, in exactly the words that the first chats had."""
        await self.start()
        first, firstID = await self.webSocket()
        self.assertEqual(await first.receive(), '~j~{"buffer":[]}')
        self.assertEqual(await first.receive(), f'~j~{{"announcement":"connected: {firstID}"}}')
        second = await self.poller()
        self.assertEqual(await second.receive(), '~j~{"buffer":[]}')
        self.assertEqual(await second.receive(), frame({"announcement": f"connected: {second.id}"}))
        self.assertEqual(await first.receive(), frame({"announcement": f"connected: {second.id}"}))

        first.say("hello <b>😀</b>\n")
        self.assertEqual(await second.receive(), frame({"message": [firstID, "hello <b>😀</b>\n"]}))
        await second.say("hi ☃")
        self.assertEqual(await first.receive(), frame({"message": [second.id, "hi ☃"]}))
        await second.say('~j~{"a":[1,null]}')
        self.assertEqual(await first.receive(), frame({"message": [second.id, {"a": [1, None]}]}))

        third, thirdID = await self.webSocket()
        said: list[list[object]] = [[firstID, "hello <b>😀</b>\n"], [second.id, "hi ☃"], [second.id, {"a": [1, None]}]]
        self.assertEqual(await third.receive(), frame({"buffer": [{"message": each} for each in said]}))
        for client in (first, second):
            self.assertEqual(await client.receive(), frame({"announcement": f"connected: {thirdID}"}))
        third.sendClose(1000)
        for client in (first, second):
            self.assertEqual(await client.receive(), frame({"announcement": f"disconnected: {thirdID}"}))
        await self.stop()

    async def test_stop(self) -> None:
        """SIGTERM ends it within seconds, whoever is connected: the polite, the mute, and those who wait for news."""
        await self.start()
        polite, _ = await self.webSocket()
        mute = await self.raw(upgradeRequest(headers={"Host": f"127.0.0.1:{self.port}"}))
        await mute.whenFrames(3)
        poller = await self.poller()
        stream = await self.raw(b"GET /socket.io/htmlfile// HTTP/1.1\r\nHost: a\r\n\r\n")
        await stream.until(lambda: b"connected" in stream.received)
        held = await self.raw(f"GET /socket.io/xhr-polling/{poller.id}/1 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        idle = await self.raw(b"GET")
        log = await self.stop()
        self.assertEqual(await polite.ended, (True, 1000))
        for client in (mute, stream, held, idle):
            await client.ended
        self.assertNotIn(poller.id, log)

    async def test_portInUse(self) -> None:
        """A port that is taken is told in so many words, and the command fails."""
        port = await self.start()
        process = self.spawn("--listen", f"tcp:{port}:interface=127.0.0.1")
        self.assertNotEqual(await process.ended, 0, process.text)
        self.assertIn(f"Couldn't listen on 127.0.0.1:{port}", process.text)

    async def test_badOption(self) -> None:
        """Options that make no sense are told in so many words, without a traceback, and the command fails."""
        for option, value in (("--transports", "carrier-pigeon"), ("--listen", "nonsense:1")):
            process = self.spawn(option, value)
            self.assertNotEqual(await process.ended, 0, process.text)
            self.assertIn(value.partition(":")[0], process.text)
            self.assertNotIn("Traceback", process.text)


class TwistTests(Chatting, SiochatCase):
    """``python -m twisted siochat``, as it is where ``twistd`` is not installed as a script."""

    command = [sys.executable, "-m", "twisted", "--log-format=text", "siochat"]


class TwistdCase(SiochatCase):
    """``twistd -n siochat``."""

    command = [str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", "siochat"]

    def setUp(self) -> None:
        """There may be no such script."""
        if not Path(self.command[0]).exists():
            raise SkipTest("there is no twistd beside this Python")
        super().setUp()


class TwistdTests(Chatting, TwistdCase):
    """``twistd -n siochat``."""


class OptionTests(TwistdCase):
    """The options that have to do with other files, other pages, and other plugins."""

    async def test_clientFiles(self) -> None:
        """Client scripts of a folder are below the endpoint, with type and ETag."""
        Path(self.folder, "js").mkdir()
        Path(self.folder, "js", "socket.io.js").write_text("io = 1;")
        await self.start("--client-files", "js")
        status, headers, body = await self.get("/socket.io/socket.io.js")
        self.assertEqual((status, headers["content-type"], body), (200, "text/javascript; charset=utf-8", b"io = 1;"))
        self.assertEqual((await self.get("/socket.io/socket.io.js", f"If-None-Match: {headers['etag']}"))[0], 304)
        self.assertEqual((await self.get("/socket.io/../../etc/passwd"))[0], 404)
        await self.stop()

    async def test_flashPolicy(self) -> None:
        """A Flash plugin is answered on the main port, and the chat goes on there."""
        await self.start("--flash-policy", "chat.example")
        answer = (await self.ask(b"<policy-file-request/>\0")).received
        self.assertIn(b'<allow-access-from domain="chat.example"', answer)
        self.assertTrue(answer.endswith(b"</cross-domain-policy>\n\0"))
        _, id = await self.webSocket()
        self.assertTrue(id)
        await self.stop()

    async def test_origins(self) -> None:
        """Pages of other origins may not connect, but for those that ``--origins`` names."""
        await self.start("--origins", "friend.example:*")
        for origin, status in (("http://friend.example:81", b"101"), ("https://evil.example", b"403")):
            headers = {"Host": f"127.0.0.1:{self.port}", "Origin": origin}
            client = await self.raw(upgradeRequest(headers=headers))
            await client.whenReceived(b"\r\n\r\n")
            self.assertEqual(client.received.split(b" ")[1], status)
        await self.stop()
