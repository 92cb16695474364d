"""
An end at every byte: of the answer to a poll that carries a message, and of a POST.

A real server, the proxy before it, and clients of four generations on bare sockets. Each cut has a client with an
identity and a port of its own; whatever happens at the byte, the client behaves as the stock ones do then.
"""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installedReactor
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectionClosed, ConnectionDone
from twisted.web.resource import Resource

from siotwisted import Config, Connection, SessionClosed, SocketIO, SocketIOResource, SocketIOSite, Undelivered
from tests.integration import Peer
from tests.transports import readResponse

from .models import DIALECTS, Model, ModelServer
from .proxy import Fault, FaultProxy, Link
from .server import TIMES, identityOf
from .test_ends import until

reactor: Any = installedReactor

#: So many clients at a time; and how long a reset waits for what was written before, with so many, in seconds.
_TOGETHER = 40
_WRITTEN = 0.1
#: In seconds: how long anything may take.
_LIMIT = 30.0
#: The bytes of a cut head from which a status can be read: ``HTTP/1.1 200``.
_STATUS = 12

#: The generations that take an empty answer for a good one.
OLD = ("0.6", "0.9")

#: For each generation a payload with one message of a client.
PAYLOADS = {
    "0.6": "data=~m~5~m~hello",
    "0.9": "3:::hello",
    "1-2": '21:42["message","hello"]',
    "3-4": '42["message","hello"]',
}

#: How the message in an answer may end.
ENDS = {"same": "in the same session", "adopted": "after adoption", "reported": "reported"}

#: The stock clients in Node.js have a connection for each request, and every error is one. Browsers use connections
#: again, repeat a request if such a one ends without a byte, and take an answer that ends in its head for an empty one.
PLACES = ("node", "browser")


class Line(Peer):
    """The client's end of a connection for requests, one after the other."""

    def answer(self) -> Deferred[bytes]:
        """Fires with an answer when it is whole, or with what there is of it when the connection is gone."""
        return self._when(lambda: self.lost is not None or self.isWhole)

    @property
    def isWhole(self) -> bool:
        """Whether a whole answer is there."""
        return b"\r\n\r\n" in self.received and readResponse(self.received, False)[0].ended

    @property
    def isOrderly(self) -> bool:
        """Whether it has ended, and in good order."""
        return self.lost is not None and self.lost.check(ConnectionDone) is not None


class BareServer(ModelServer):
    """
    The way to a server on bare sockets, where what is cut off can be told to the byte.

    :param port: the server's, or the proxy's
    :param place: one of :data:`PLACES`
    :param takesNothing: whether the client takes an empty answer for a good one
    :ivar answers: all answers that came whole
    :ivar parts: how many bytes came of those that did not
    """

    def __init__(self, port: int, place: str = "node", takesNothing: bool = False) -> None:
        # Not the agent of its base, which hides the bytes.
        self.reactor = reactor
        self.port = port
        self._keeps = place == "browser"
        self._takesNothing = takesNothing and self._keeps
        self._idle: list[Line] = []
        self.lines: list[Line] = []
        self.answers: list[bytes] = []
        self.parts: list[int] = []

    async def line(self) -> Line:
        """A new connection."""
        try:
            line: Line = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), Line())
        except ConnectError as error:
            raise ConnectionClosed(str(error)) from error
        self.lines.append(line)
        return line

    def spelled(self, path: str, identity: str, body: str | None = None) -> tuple[bytes, bytes]:
        """The head and the body of a request."""
        content = (body or "").encode()
        lines = [
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Cookie: identity={identity}",
            f"Connection: {'keep-alive' if self._keeps else 'close'}",
        ]
        if body is not None:
            kind = "application/x-www-form-urlencoded" if body.startswith("data=") else "text/plain;charset=UTF-8"
            lines += [f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
        return "\r\n".join([*lines, "", ""]).encode(), content

    async def request(self, path: str, identity: str, body: str | None = None) -> str:
        """The body of an answer to a GET, or to a POST with this body."""
        head, content = self.spelled(path, identity, body)
        used = [line for line in self._idle if line.lost is None]
        self._idle.clear()
        line = used[0] if used else await self.line()
        line.received = b""
        line.transport.write(head + content)
        data = await line.answer()
        if used and not data and not line.isWhole:
            # The end of a connection that was used before may be no fault of the request.
            self.parts.append(0)
            line = await self.line()
            line.transport.write(head + content)
            data = await line.answer()
        if line.isWhole:
            self.answers.append(data)
            if self._keeps and line.lost is None:
                self._idle.append(line)
            response = readResponse(data, False)[0]
            if response.status != 200:
                raise ConnectionClosed(f"status {response.status}")
            return response.body.decode("utf-8")
        self.parts.append(len(data))
        if self._takesNothing and line.isOrderly and len(data) >= _STATUS and b"\r\n\r\n" not in data:
            return ""
        raise ConnectionClosed("the answer is cut off")

    def close(self) -> None:
        """End all connections."""
        for line in self.lines:
            if line.lost is None:
                line.transport.abortConnection()


class Session(Model):
    """
    A session of a client.

    :param onLost: called when it can't go on
    :ivar begun: whether its client is on its way with polls
    """

    def __init__(self, server: BareServer, identity: str, dialect: str, onLost: Callable[[], object]) -> None:
        super().__init__(server, identity, dialect, streaming=False)
        self._onLost = onLost
        self.begun = False

    async def connect(self) -> None:
        """Open it; polls go on by themselves then."""
        await super().connect()
        self.begun = True

    def _path(self, said: bool = False) -> str:
        """Where to poll, or to post; old clients say the time there, and the server judges by it."""
        if self._dialect in OLD:
            self._time = max(self._time, int(1000 * reactor.seconds()))
        return super()._path(said)

    def lost(self) -> None:
        """It can't go on, and if its client is still there it begins another."""
        super().lost()
        if not self.absent:
            self._onLost()


class Cuts(FaultProxy):
    """
    The proxy, and who wants to know when a fault happens.

    :ivar onFault: by the name of the link
    """

    def __init__(self, port: int) -> None:
        super().__init__(reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        self.onFault: dict[str, Callable[[], object]] = {}

    def happened(self, link: Link, fault: Fault) -> None:
        """Tell it, when the server has written what it is about to."""
        super().happened(link, fault)
        if link.name in self.onFault:
            reactor.callLater(0, self.onFault[link.name])


class Application:
    """
    A server with its proxy, and who is there.

    :ivar present: the connections by identity
    :ivar accepted: the keys of all messages that were
    :ivar waiting: messages to those who are not
    :ivar reported: how often each key was reported as undelivered
    :ivar heard: what clients have said
    :ivar ways: of clients; all that is open there ends with this
    """

    async def start(self) -> None:
        """Listen."""
        # Other times are the usual, long ones: no question and no empty answer may come between.
        self.sio = SocketIO(reactor, Config(identity=identityOf, closeTimeout=TIMES["closeTimeout"]))
        self.present: dict[str, Connection] = {}
        self.accepted: set[str] = set()
        self.waiting: dict[str, list[str]] = {}
        self.reported: Counter[str] = Counter()
        self.heard: list[Any] = []
        self.ways: list[BareServer] = []
        self.sio.onConnect(self.joined)
        self.sio.onUndelivered(self.undelivered)
        self.sio.onMessage(lambda connection, message: self.heard.append(message))
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(self.sio))
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.listening: Any = await endpoint.listen(SocketIOSite(root))
        self.proxy = Cuts(self.listening.getHost().port)

    def joined(self, connection: Connection) -> None:
        """A client has come, and gets what could not be sent before."""
        identity = str(identityOf(connection.handshake))
        self.present[identity] = connection
        for key in self.waiting.pop(identity, []):
            self.send(identity, key)

    def undelivered(self, connection: Connection, entries: list[Undelivered], reason: str) -> None:
        """These are given up."""
        for entry in entries:
            value: Any = entry.data[1] if isinstance(entry.data, list) else entry.data
            self.reported[value["k"]] += 1

    def send(self, identity: str, key: str) -> None:
        """Send a message now, or when the client is back."""
        try:
            self.present[identity].send({"k": key})
        except SessionClosed:
            self.waiting.setdefault(identity, []).append(key)
        else:
            self.accepted.add(key)

    def poll(self, identity: str) -> Link | None:
        """The connection of the poll that is held for a client that lacks nothing, if there is one."""
        links = self.proxy.of(identity)
        connection = self.present.get(identity)
        if connection is None or connection.session.transport is None or connection.session.outbox.waiting:
            return None
        return links[0] if len(links) == 1 else None

    def balance(self) -> int:
        """Check that nothing is missing in the books, and return how many messages nothing is known of yet."""
        books = self.sio.statistics()
        assert books.accepted == books.confirmed + books.pending + books.undelivered + books.moved, books
        return books.pending

    async def stop(self) -> None:
        """End everything."""
        await self.sio.stop()
        await self.proxy.stop()
        await self.listening.stopListening()


@pytest_twisted.async_yield_fixture()
async def application() -> AsyncIterator[Application]:
    """A server with its proxy."""
    application = Application()
    await application.start()
    yield application
    await application.stop()
    for way in application.ways:
        way.close()


class Client:
    """
    A client whose answer is cut off.

    :param offset: behind so many bytes; None for never
    :param leaves: whether it does not come back after that
    :ivar sessions: all its sessions, the one that the cut falls into first
    :ivar keys: of the message in the answer, of one that is sent at the moment of the cut, of one for the rest
    """

    def __init__(
        self, application: Application, dialect: str, place: str, offset: int | None, leaves: bool = False
    ) -> None:
        self._application = application
        self._dialect = dialect
        self._place = place
        self._offset = offset
        self._leaves = leaves
        self.identity = "uncut" if offset is None else f"{offset:05}"
        self.keys = [f"{self.identity}{letter}" for letter in "abc"]
        self.sessions: list[Session] = []

    async def run(self, kind: str) -> None:
        """Live through a cut of this kind, until all is received."""
        application, identity = self._application, self.identity
        self.way = BareServer(await application.proxy.listen(identity), self._place, takesNothing=self._dialect in OLD)
        application.ways.append(self.way)
        self.begin()
        await self._until(lambda: self.sessions[0].begun and application.poll(identity))
        link = application.poll(identity)
        assert link is not None
        first, second, third = self.keys
        if self._offset is None:
            application.send(identity, first)
            await self._until(lambda: first in self.got)
            application.send(identity, second)
        else:
            application.proxy.onFault[identity] = lambda: application.send(identity, second)
            # The message leaves at the end of the turn: a cut before its first byte is one of its answer all the same.
            application.send(identity, first)
            link.arm(Fault(kind, "down", self._offset))
        if self._leaves:
            await self._until(lambda: self.sessions[0].gone)
            application.balance()
            return
        await self._until(lambda: second in self.got)
        application.balance()
        # What comes twice, or too late, comes before this one.
        application.send(identity, third)
        await self._until(lambda: third in self.got)
        await self._until(lambda: application.poll(identity))
        application.balance()
        self.sessions[-1].leaveAlone()
        self._leaves = True

    @property
    def got(self) -> list[str]:
        """The keys of all that it has got, in order."""
        return [key for session in self.sessions for key in session.got]

    def begin(self) -> None:
        """Open a session, after an error another one."""
        if self._leaves and self.sessions:
            return
        assert len(self.sessions) < 4, "too many sessions"
        self.sessions.append(Session(self.way, self.identity, self._dialect, self.begin))
        Deferred.fromCoroutine(self.sessions[-1].connect()).addErrback(self.sessions[-1]._failed)

    async def _until(self, probe: Callable[[], object]) -> None:
        await until(probe, _LIMIT, lambda: f"{self}, {self.way.parts}, {[each.got for each in self.sessions]}")

    def __str__(self) -> str:
        return f"{self._dialect} in {self._place}, cut after {self._offset} bytes"

    def judge(self) -> str:
        """Check what has become of its messages, and return how the one in the answer has ended."""
        got, reported = self.got, self._application.reported
        what = f"{self}: {[session.got for session in self.sessions]}"
        for key in self._application.accepted.intersection(self.keys):
            assert key in got or reported[key], f"{key} is lost: {what}"
            assert reported[key] <= 1, f"{key} is reported {reported[key]} times: {what}"
        for session in self.sessions:
            assert len(session.got) == len({*session.got}), f"twice in a session: {what}"
            assert session.got == sorted(session.got), f"out of order: {what}"
        firsts = [*dict.fromkeys(got)]
        assert firsts == sorted(firsts), f"out of order: {what}"
        if self.keys[0] in self.sessions[0].got:
            return "same"
        return "adopted" if self.keys[0] in got else "reported"


async def together(runs: list[Callable[[], Awaitable[None]]]) -> None:
    """Run these, several at a time."""
    gate = DeferredSemaphore(_TOGETHER)

    def start(run: Callable[[], Any]) -> Deferred[None]:
        return Deferred.fromCoroutine(run())

    await gatherResults([gate.run(start, run) for run in runs], consumeErrors=True)


@pytest.mark.parametrize(("place", "kind"), [("node", "fin"), ("node", "rst"), ("browser", "fin")])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest_twisted.ensureDeferred
async def test_answers(
    application: Application, monkeypatch: pytest.MonkeyPatch, dialect: str, place: str, kind: str
) -> None:
    """
    Wherever the answer to a poll is cut off, the message in it is not lost without a word, and comes only once in a
    session; what is sent meanwhile comes after it; and the books are right.
    """
    monkeypatch.setattr("tests.faultproxy.proxy._WRITTEN", _WRITTEN)
    uncut = Client(application, dialect, place, None)
    await uncut.run(kind)
    (answer,) = [each for each in uncut.way.answers if uncut.keys[0].encode() in each]
    assert uncut.way.parts == []
    # Some are never seen again. Of the whole answer nobody can tell that it was cut off.
    size = len(answer)
    clients = [
        Client(application, dialect, place, offset, offset % 5 == 4 and offset < size) for offset in range(size + 1)
    ]
    await together([lambda client=client: client.run(kind) for client in clients])  # type: ignore[misc]
    await application.sio.stop()
    assert application.balance() == 0
    assert application.proxy.counts == {kind: len(clients)}
    ends = Counter(client.judge() for client in clients)
    exact = 0
    for offset, client in enumerate(clients[:-1]):
        # On a machine that is very busy a reset may overtake bytes.
        exact += client.way.parts[0] == offset
        assert client.way.parts[0] == offset or (kind == "rst" and client.way.parts[0] < offset), client
    figures = ", ".join(f"{ends[end]} {how}" for end, how in ENDS.items())
    again = sum(len(client.got) - len({*client.got}) for client in clients)
    print(
        f"{dialect} in {place}, {kind}: {len(clients)} cuts ({exact + 1} to the byte), "
        f"messages: {figures}; {again} again in another"
    )
    assert uncut.judge() == "same"
    assert sum(ends.values()) == len(clients) and min(ends[end] for end in ENDS) > 0


@pytest.mark.parametrize("kind", ["fin", "rst"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest_twisted.ensureDeferred
async def test_posts(application: Application, monkeypatch: pytest.MonkeyPatch, dialect: str, kind: str) -> None:
    """A POST that is cut off in its body runs nothing; one that is cut off behind it has run, once."""
    monkeypatch.setattr("tests.faultproxy.proxy._WRITTEN", _WRITTEN / 2)
    session = Client(application, dialect, "node", None)
    proxy, identity = application.proxy, session.identity
    session.way = BareServer(await proxy.listen(identity))
    application.ways.append(session.way)
    session.begin()
    await until(lambda: session.sessions[0].begun and application.poll(identity), _LIMIT, lambda: dialect)
    body = PAYLOADS[dialect]
    for offset in range(len(body) + 1):
        linked: Deferred[Link] = Deferred()
        proxy.onLink = linked.callback
        line = await session.way.line()
        link = await linked
        proxy.onLink = lambda link: None
        head, content = session.way.spelled(session.sessions[0]._path(said=True), identity, body)
        link.arm(Fault(kind, "up", len(head) + offset))
        line.transport.write(head + content)
        await line.closed()
        await until(lambda link=link: link not in proxy.links, _LIMIT, lambda: "the server keeps it")  # type: ignore[misc]
        assert application.heard == [] or offset == len(body), f"cut after {offset} bytes"
    await until(lambda: application.heard, _LIMIT, lambda: "the whole one has not run")
    assert proxy.counts == {kind: len(body) + 1}
    # The session has suffered nothing.
    await session.way.request(session.sessions[0]._path(said=True), identity, body)
    assert application.heard == ["hello"] * 2
    assert len(session.sessions) == 1 and not session.sessions[0].gone
    session.sessions[0].leaveAlone()
