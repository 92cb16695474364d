"""
The clients of the package ``python-socketio``, which do what they can with the server of the matrix.

``python pythonpeer.py async ADDRESS websocket`` or ``polling`` or ``upgrade``, or ``sync`` for the client with threads.
It prints ``cut`` when its connection is to be cut, and ``done`` at the end; whatever is not as it should be is a
traceback.
"""
# The package has no types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import asyncio
import queue
import sys
from functools import partial
from typing import Any

import socketio
from engineio.payload import Payload

# Its clients take no more than 16 packets from a poll, and lose the connection over one that has more.
Payload.max_decode_packets = 1000

SECONDS = 10
TEXT = "astral \U0001f600 a \U00010348, and \xe9 \u2665 \ufeff\nline"
VALUE: dict[str, object] = {"text": TEXT, "list": [1, 2.5, None, True, {}], "": {"nested": "\\/"}}
BINARY = {"one": bytes([0, 1, 254, 255]), "list": ["text", [b""], b"\x04"]}
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": None}
NAMESPACES = ["/", "/chat"]


class AsyncPeer:
    """The asyncio client."""

    def __init__(self) -> None:
        self.heard: Any = asyncio.Queue()
        self.client: Any = socketio.AsyncClient(reconnection_delay=0.1)
        self.listenToAll()

    def listenToAll(self) -> None:
        """Keep what happens in the namespaces."""
        for namespace in NAMESPACES:
            self.listen(namespace, "connect")
            self.listen(namespace, "disconnect")
            self.client.on("*", partial(self.hear, namespace), namespace=namespace)
            self.client.on("question", self.answer, namespace=namespace)

    def listen(self, namespace: str, name: str) -> None:
        """Keep when this happens."""
        self.client.on(name, partial(self.hear, namespace, name), namespace=namespace)

    def hear(self, namespace: str, name: str, *args: object) -> None:
        """Keep something that has happened."""
        self.heard.put_nowait((namespace, name, args))

    def answer(self, *args: object) -> tuple[object, ...]:
        """Answer the server."""
        return (*args, "second")

    async def do(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the client."""
        return await getattr(self.client, name)(*args, **options)

    async def next(self) -> Any:
        """Wait for what happens next."""
        return await asyncio.wait_for(self.heard.get(), SECONDS)


class SyncPeer(AsyncPeer):
    """The client with threads; its methods wait, and its listeners are called in threads of its own."""

    def __init__(self) -> None:
        self.heard = queue.Queue()
        self.client = socketio.Client(reconnection_delay=0.1)
        self.listenToAll()

    async def do(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the client."""
        return await asyncio.to_thread(getattr(self.client, name), *args, **options)

    async def next(self) -> Any:
        """Wait for what happens next."""
        return await asyncio.to_thread(self.heard.get, timeout=SECONDS)


async def expect(peer: AsyncPeer, name: str, *args: object, namespace: str = "/") -> None:
    """Wait for an event, which must be the next."""
    found = await peer.next()
    assert found == (namespace, name, args), found


async def connected(peer: AsyncPeer) -> None:
    """Wait until both namespaces are joined, in whatever order."""
    found = sorted([await peer.next(), await peer.next()])
    assert found == [(namespace, "connect", ()) for namespace in NAMESPACES], found


async def run(peer: AsyncPeer, address: str, transport: str) -> None:
    """Do everything."""
    await peer.do("connect", address, transports=TRANSPORTS[transport], namespaces=NAMESPACES, wait_timeout=SECONDS)
    await connected(peer)

    for namespace in NAMESPACES:
        for value in (TEXT, VALUE, [1, [2]], BINARY):
            await peer.do("send", value, namespace=namespace)
            await expect(peer, "message", value, namespace=namespace)
        await peer.do("emit", "echo", (TEXT, VALUE, BINARY), namespace=namespace)
        await expect(peer, "echoed", TEXT, VALUE, BINARY, namespace=namespace)
        await peer.do("emit", "where", namespace=namespace)
        await expect(peer, "here", namespace, namespace=namespace)

        assert await peer.do("call", "answer", BINARY, namespace=namespace) == BINARY
        assert await peer.do("call", "answer", (TEXT, VALUE), namespace=namespace) == (TEXT, VALUE)
        await peer.do("emit", "ask", BINARY, namespace=namespace)
        await expect(peer, "answered", [BINARY, "second"], namespace=namespace)

    await peer.do("emit", "count", 100)
    for number in range(100):
        await peer.do("emit", "tally", number)
    await peer.do("emit", "total")
    for number in range(100):
        await expect(peer, "number", number)
    await expect(peer, "tallied", list(range(100)))

    for verb in ("", "join", "leave"):
        if verb:
            await peer.do("emit", verb, "red")
        await peer.do("emit", "shout", ("red", verb))
    await peer.do("emit", "echo", "said")
    await expect(peer, "shouted", "join")
    await expect(peer, "echoed", "said")

    assert peer.client.transport() == ("polling" if transport == "polling" else "websocket")

    print("cut", flush=True)
    for _ in NAMESPACES:
        _, name, _ = await peer.next()
        assert name == "disconnect"
    await connected(peer)
    await peer.do("emit", "echo", "here again", namespace="/chat")
    await expect(peer, "echoed", "here again", namespace="/chat")

    await peer.do("emit", "close")
    left = sorted([(await peer.next())[:2], (await peer.next())[:2]])
    assert left == [(namespace, "disconnect") for namespace in NAMESPACES], left
    await peer.do("wait")

    refused = type(peer)()
    refused.listen("/secret", "connect_error")
    try:
        await refused.do("connect", address, transports=TRANSPORTS[transport], namespaces=["/secret"])
    except socketio.exceptions.ConnectionError:
        await expect(refused, "connect_error", {"message": "not for you"}, namespace="/secret")
    else:
        raise AssertionError("not refused")
    print("done", flush=True)


if __name__ == "__main__":
    kind, address, transport = sys.argv[1:]

    async def main() -> None:
        """Make the client in the loop that it will run in."""
        await run({"async": AsyncPeer, "sync": SyncPeer}[kind](), address, transport)

    asyncio.run(main())
