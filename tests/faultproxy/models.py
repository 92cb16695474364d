"""
Clients of all generations that are as small as can be, for tests with very many: what they get is found by its key.

Each has a session, on a WebSocket or by polls, answers the server's questions for signs of life, and remembers what it
got and whether the server has told it never to come back.
"""

from __future__ import annotations

import re
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionClosed
from twisted.internet.task import LoopingCall
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed, ResponseNeverReceived, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

__all__ = ["DIALECTS", "Model", "ModelServer"]

_KEY = re.compile(r'"k":"([^"]+)')
_HEARTBEAT = re.compile("~m~[0-9]+~m~(~h~[0-9]+)")

#: The generations, and for each what ends a client's session for good.
DIALECTS = {"0.6": None, "0.9": "0::", "1-2": "41", "3-4": "41"}


@implementer(IBodyProducer)
class _Body:
    """What a request says."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Say it."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is said already."""

    resumeProducing = stopProducing = pauseProducing


class ModelServer:
    """
    The way to a server, for all models.

    :param reactor: a reactor that connects
    :param port: the server's
    """

    def __init__(self, reactor: Any, port: int) -> None:
        self.reactor = reactor
        self.port = port
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 5_000
        self._pool.retryAutomatically = False
        self._agent = Agent(reactor, pool=self._pool)

    async def request(self, path: str, identity: str, body: str | None = None) -> str:
        """The body of an answer to a GET, or to a POST with this body."""
        kind = "application/x-www-form-urlencoded" if body and body.startswith("data=") else "text/plain;charset=UTF-8"
        headers = Headers({"Cookie": [f"identity={identity}"], "Content-Type": [kind]})
        producer = None if body is None else _Body(body.encode())
        url = f"http://127.0.0.1:{self.port}{path}"
        response = await self._agent.request(b"GET" if body is None else b"POST", url.encode(), headers, producer)
        if response.code != 200:
            raise ConnectionClosed(f"status {response.code}")
        return (await readBody(response)).decode("utf-8")

    def stop(self) -> Deferred[None]:
        """Close what is open."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed


class _Socket(WebSocketClientProtocol):
    """The WebSocket of a model."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.model.received(payload.decode("utf-8"))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.model.why = f"{code} {reason}"
        self.factory.model.lost()


class _Sockets(WebSocketClientFactory):
    """Opens it."""

    def __init__(self, model: Model, address: str, headers: dict[str, str]) -> None:
        super().__init__(address, headers=headers)
        self.model = model


class Model:
    """
    One client.

    :param server: where to
    :param identity: who it is
    :param dialect: one of :data:`DIALECTS`
    :param streaming: on a WebSocket, rather than by polls
    :ivar got: the keys of its messages
    :ivar dismissed: whether it was told never to come back
    :ivar gone: whether its session has ended; and ``why``
    :ivar absent: it polls no more, or reads no more of its WebSocket
    """

    def __init__(self, server: ModelServer, identity: str, dialect: str, streaming: bool) -> None:
        self._server = server
        self._identity = identity
        self._dialect = dialect
        self._streaming = streaming
        self._time = 0
        self._sid = ""
        self._socket: Any = None
        self._asking: LoopingCall | None = None
        self.got: list[str] = []
        self.dismissed = False
        self.gone = False
        self.why = ""
        self.absent = False

    async def connect(self) -> None:
        """Open the session; polls go on by themselves then."""
        dialect = self._dialect
        if dialect == "0.9":
            self._sid = (await self._request("/socket.io/1/")).partition(":")[0]
        if self._streaming:
            await self._open()
            return
        if dialect != "0.9":
            first = await self._request(self._path())
            found = re.search(r"~m~27~m~(.{27})" if dialect == "0.6" else r'"sid":"([^"]+)', first)
            assert found is not None, first
            self._sid = found[1]
            self.received(first)  # messages may come with it
        await self._begin()
        Deferred.fromCoroutine(self._poll()).addErrback(self._failed)

    async def _begin(self) -> None:
        """Join, or ask for the server's signs of life, as the generation has it."""
        if self._dialect == "3-4":
            await self._say(f'40{{"id":"{self._identity}"}}')
        elif self._dialect == "1-2":
            self._asking = LoopingCall(self._ask)
            self._asking.start(5.0, now=False)

    def _ask(self) -> None:
        if not self.absent:
            Deferred.fromCoroutine(self._say("2")).addErrback(self._failed)

    async def _open(self) -> None:
        if self._dialect == "0.9":
            path = f"/socket.io/1/websocket/{self._sid}"
        else:
            path = "/socket.io/websocket" if self._dialect == "0.6" else self._query("websocket")
        address = f"ws://127.0.0.1:{self._server.port}{path}"
        factory = _Sockets(self, address, headers={"Cookie": f"identity={self._identity}"})
        factory.protocol, factory.noisy = _Socket, False
        endpoint = TCP4ClientEndpoint(self._server.reactor, "127.0.0.1", self._server.port)
        self._socket = await endpoint.connect(factory)
        await self._socket.is_open
        await self._begin()

    def _query(self, transport: str) -> str:
        version = {"1-2": 3, "3-4": 4}[self._dialect]
        sid = f"&sid={self._sid}" if self._sid else ""
        return f"/socket.io/?EIO={version}&transport={transport}&id={self._identity}&t={self._time}{sid}"

    def _path(self, said: bool = False) -> str:
        """Where to poll, or to post."""
        self._time += 1
        if self._dialect == "0.6":
            return f"/socket.io/xhr-polling/{self._sid}/{'send' if said else self._time}"
        if self._dialect == "0.9":
            return f"/socket.io/1/xhr-polling/{self._sid}?t={self._time}"
        return self._query("polling")

    async def _request(self, path: str, body: str | None = None) -> str:
        return await self._server.request(path, self._identity, body)

    async def _say(self, packet: str) -> None:
        if self._socket is not None:
            if self._socket.state == self._socket.STATE_OPEN:
                self._socket.sendMessage(packet.encode())
            return
        body = {"0.6": f"data={packet}", "1-2": f"{len(packet)}:{packet}"}.get(self._dialect, packet)
        await self._request(self._path(said=True), body)

    async def _poll(self) -> None:
        while not self.absent:
            self.received(await self._request(self._path()))

    def _failed(self, reason: Any) -> None:
        reason.trap(ConnectionClosed, ResponseFailed, ResponseNeverReceived, OSError)
        self.why = reason.getErrorMessage()
        self.lost()

    def lost(self) -> None:
        """The session has ended, or cannot go on."""
        self.gone = True
        if self._asking is not None and self._asking.running:
            self._asking.stop()

    def received(self, text: str) -> None:
        """Keep the keys of messages, and answer questions."""
        self.got += _KEY.findall(text)
        packets = re.split(r"\ufffd\d+\ufffd|\x1e", text) if self._dialect != "1-2" else re.findall(r"\d+:(\d+)$", text)
        dismissal = DIALECTS[self._dialect]
        self.dismissed = self.dismissed or (
            dismissal is not None and any(each.startswith(dismissal) for each in packets)
        )
        answers = _HEARTBEAT.findall(text) if self._dialect == "0.6" else []
        answers = [f"~m~{len(each)}~m~{each}" for each in answers]
        if self._dialect in ("0.9", "3-4"):
            question, answer = {"0.9": ("2::", "2::"), "3-4": ("2", "3")}[self._dialect]
            answers += [answer for each in packets if each == question]
        if answers and not self.absent:
            Deferred.fromCoroutine(self._say("".join(answers))).addErrback(self._failed)

    def leaveAlone(self) -> None:
        """Neither poll nor read from now on."""
        self.absent = True
        if self._socket is not None:
            self._socket.transport.pauseProducing()

    def stop(self) -> None:
        """End its connection."""
        self.lost()
        if self._socket is not None:
            self._socket.transport.abortConnection()
