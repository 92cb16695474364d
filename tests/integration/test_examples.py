"""
The examples, and the README's chat, run as they are, but on a free port; and the codec of ``examples/lines.py``, alone.

The client here, on Autobahn's WebSocket, shares no code with the server: it writes Socket.IO 5 by hand, or 4.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import treq
from autobahn.twisted.websocket import WebSocketClientFactory
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as theReactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent, HTTPConnectionPool

from siotwisted.errors import ProtocolError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from tests.integration.test_siochat import Poller, SiochatCase, frame
from tests.integration.test_websocket import Client
from tests.wire.checks import Recorder

reactor: Any = theReactor

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

#: Runs a program on another port than 8080, and says when it listens, in the words that Process waits for.
RUN = """
import sys
from twisted.internet import reactor
port, path, *more = sys.argv[1:]
sys.argv = [path, *more]
source = open(path).read()
assert "tcp:8080:" in source
reactor.callWhenRunning(lambda: print(f"chat: open http://127.0.0.1:{port}/", flush=True))
exec(compile(source.replace("tcp:8080:", f"tcp:{port}:"), path, "exec"), {"__name__": "__main__"})
"""


def readmeChat() -> str:
    """The program that the README shows."""
    text = (ROOT / "README.rst").read_text("utf-8")
    (block,) = re.findall(r"^\.\. readme-chat-begin$(.*)^\.\. readme-chat-end$", text, re.MULTILINE | re.DOTALL)
    return "\n".join(line[4:] for line in block.splitlines() if line.startswith("    ") or not line)


class SocketIOClient(Client):
    """
    A client of Socket.IO 1 to 4, on a WebSocket from the start.

    :ivar revision: of Engine.IO: 3 or 4.
    :ivar events: those that come: namespace, name and arguments.
    """

    revision = 4
    _PACKET = re.compile(r"4([0-6])(?:[0-9]+-)?(?:(/[^,]*),)?([0-9]*)(.*)", re.DOTALL)

    def __init__(self) -> None:
        super().__init__()
        self.events: DeferredQueue[tuple[str, list[Any]]] = DeferredQueue()
        self._joining: dict[str, Deferred[Any]] = {}
        self._calls: dict[int, Deferred[list[Any]]] = {}

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A packet has come. None of the examples sends bytes."""
        assert not isBinary
        text = payload.decode("utf-8")
        match = self._PACKET.fullmatch(text)
        if match is None:
            if text == "2":
                self.write("3")
            return
        kind, namespace, number, data = match.groups()
        value = json.loads(data or "null")
        if kind in "04":
            joining = self._joining.pop(namespace or "/", None)
            if joining is not None:
                joining.callback((kind == "0", value))
        elif kind == "2":
            self.events.put((namespace or "/", value))
        elif kind == "3":
            self._calls.pop(int(number)).callback(value)

    def write(self, text: str) -> None:
        """Send a packet."""
        self.sendMessage(text.encode("utf-8"))

    async def join(self, namespace: str = "/", auth: Mapping[str, str] | None = None) -> tuple[bool, Any]:
        """Join a namespace: whether it was possible, and what the server says with it."""
        joining = self._joining[namespace] = Deferred()
        if self.revision == 4:
            self.write(f"40{namespace},{json.dumps(auth or {})}")
        elif namespace != "/":
            self.write(f"40{namespace}{'?' if auth else ''}{urlencode(auth or {})},")
        answer: tuple[bool, Any] = await joining
        return answer

    def tell(self, *event: Any, namespace: str = "/") -> None:
        """Send an event."""
        self.write(f"42{namespace},{json.dumps(event)}")

    async def call(self, *event: Any, namespace: str = "/") -> Any:
        """Send an event whose last argument may be bytes, and wait for the answer, which has one argument at most."""
        number = len(self._calls)
        answer = self._calls[number] = Deferred()
        if isinstance(event[-1], bytes):
            placeholder = {"_placeholder": True, "num": 0}
            self.write(f"451-{namespace},{number}{json.dumps([*event[:-1], placeholder])}")
            self.sendMessage(event[-1], isBinary=True)
        else:
            self.write(f"42{namespace},{number}{json.dumps(event)}")
        (value,) = await answer or [None]
        return value

    async def hear(self, namespace: str = "/") -> list[Any]:
        """The next event, which must be of this namespace."""
        where, event = await self.events.get()
        assert where == namespace, (where, event)
        return event


class SocketIO2Client(SocketIOClient):
    """The same of Socket.IO 1 and 2."""

    revision = 3


class ExampleTests(SiochatCase):
    """Every example does what it says."""

    async def client(self, port: int, kind: type[SocketIOClient] = SocketIOClient) -> SocketIOClient:
        """A client that has joined ``/``."""
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO={kind.revision}&transport=websocket"
        factory = WebSocketClientFactory(url, reactor=reactor)
        factory.protocol = kind
        client = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
        assert isinstance(client, SocketIOClient)
        self.clients.append(client)
        await client.opened
        joined, _ = await client.join()
        self.assertTrue(joined)
        return client

    def freePort(self) -> int:
        """A port that nobody listens on."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        return port

    async def begin(self, path: Path, *arguments: str) -> int:
        """Start a program; its port."""
        port = self.freePort()
        process = self.launch([sys.executable, "-c", RUN, str(port), str(path), *arguments])
        return await process.listening()

    async def fetch(self, url: str) -> str:
        """The body of an answer."""
        agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        text: str = await treq.text_content(await treq.get(url, agent=agent))
        return text

    async def chats(self, port: int) -> tuple[Poller, Poller]:
        """Two clients, each of which hears what the other says."""
        ann, bob = Poller(port), Poller(port)
        for client in (ann, bob):
            client.id = await client.receive()
        await ann.say("hello")
        while (heard := await bob.receive()) != frame({"message": [ann.id, "hello"]}):
            self.assertRegex(heard, "announcement|buffer")
        return ann, bob

    async def test_chat(self) -> None:
        """The script is the whole chat, buffer, page and all."""
        port = await self.begin(EXAMPLES / "chat.py")
        ann, _ = await self.chats(port)
        late = Poller(port)
        late.id = await late.receive()
        self.assertEqual(await late.receive(), frame({"buffer": [{"message": [ann.id, "hello"]}]}))
        self.assertIn("<title>", await self.fetch(f"http://127.0.0.1:{port}/"))

    async def test_application(self) -> None:
        """The ``.tac`` is the same as an application of twistd."""
        twistd = Path(sys.executable).with_name("twistd")
        tac = Path(self.folder, "chat.tac")
        tac.write_text((EXAMPLES / "chat.tac").read_text().replace("tcp:8080:", "tcp:0:"))
        process = self.launch([sys.executable, str(twistd), "-n", "--pidfile=", "-y", str(tac)])
        await self.chats(await process.listening())

    async def test_embed(self) -> None:
        """The site keeps its page, and its endpoint has another name."""
        port = await self.begin(EXAMPLES / "embed.py")
        self.assertIn("The server's time", await self.fetch(f"http://127.0.0.1:{port}/"))
        base = f"http://127.0.0.1:{port}/push/xhr-polling"
        answer = await self.fetch(f"{base}//1322000000000")
        match = re.match(r"~m~27~m~([\w-]{27})", answer)
        assert match is not None, answer
        answer += await self.fetch(f"{base}/{match[1]}/1322000000000")
        self.assertRegex(answer, r'~j~\{"time":\d+\}')

    async def test_lines(self) -> None:
        """The codec has its own URL, beside the usual ones."""
        port = await self.begin(EXAMPLES / "lines.py")
        base = f"http://127.0.0.1:{port}/socket.io/lines/xhr-polling"
        (word, sessionID) = json.loads(await self.fetch(f"{base}//1322000000000"))
        self.assertEqual(word, "open")
        agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        lines = '["message","hi"]\n["json",{"a":1}]\n'
        response = await treq.post(f"{base}/{sessionID}/send", data={"data": lines}, agent=agent)
        self.assertEqual(await treq.text_content(response), "ok")
        self.assertEqual(await self.fetch(f"{base}/{sessionID}/1322000000001"), lines)
        usual = Poller(port)
        usual.id = await usual.receive()
        await usual.say("there")
        self.assertEqual(await usual.receive(), "there")

    async def test_hello(self) -> None:
        """It greets, and answers."""
        port = await self.begin(EXAMPLES / "hello.py")
        for kind in (SocketIOClient, SocketIO2Client):
            client = await self.client(port, kind)
            self.assertEqual(await client.hear(), ["greeting", "Welcome!"])
            self.assertEqual(await client.call("hello", "Ann"), "Hello, Ann!")

    async def test_rooms(self) -> None:
        """What is said in a room is heard there, once each, and nowhere else; who leaves is announced."""
        port = await self.begin(EXAMPLES / "rooms.py")
        ann, bob, eve = [await self.client(port, kind) for kind in (SocketIOClient, SocketIO2Client, SocketIOClient)]
        self.assertEqual(await ann.call("say", "nobody is here"), 0)
        self.assertEqual(await ann.call("enter", "garden"), [])
        self.assertEqual(await bob.call("enter", "garden"), ["guest 1"])
        self.assertEqual(await ann.hear(), ["entered", "guest 2"])
        self.assertEqual(await eve.call("enter", "hall"), [])
        self.assertEqual(await bob.call("say", "hello"), 1)
        self.assertEqual(await ann.hear(), ["said", "guest 2", "hello"])
        self.assertEqual(await eve.call("enter", "garden"), ["guest 1", "guest 2"])
        for peer in (ann, bob):
            self.assertEqual(await peer.hear(), ["entered", "guest 3"])
        ann.tell("leave")
        for peer in (bob, eve):
            self.assertEqual(await peer.hear(), ["left", "guest 1"])
        bob.cut()
        self.assertEqual(await eve.hear(), ["left", "guest 2"])

    async def test_auth(self) -> None:
        """Only who has a token joins the namespace; bad events get no answer, good ones do, and all are told."""
        port = await self.begin(EXAMPLES / "auth.py")
        ann, bob = await self.client(port), await self.client(port, SocketIO2Client)
        refusal = {"message": "not authorized", "data": {"code": 401}}
        for auth in ({}, {"token": "guessed"}):
            self.assertEqual(await ann.join("/account", auth), (False, refusal))
        self.assertEqual(await bob.join("/account", {"token": "guessed"}), (False, {"code": 401}))
        for peer, name, balance in ((ann, "ann", 100), (bob, "bob", 0)):
            joined, _ = await peer.join("/account", {"token": f"{name}'s token"})
            self.assertTrue(joined)
            self.assertEqual(await peer.hear("/account"), ["balance", balance])
        for bad in (("pay", "bob", -1), ("pay", "bob"), ("pay", "bob", "1")):
            ann.tell(*bad, namespace="/account")
        self.assertEqual(await ann.call("pay", "bob", 101, namespace="/account"), "refused")
        self.assertEqual(await ann.call("pay", ["bob"], 1, namespace="/account"), "refused")
        self.assertEqual(await ann.call("pay", "bob", 30, namespace="/account"), "paid")
        self.assertEqual(await ann.hear("/account"), ["balance", 70])
        self.assertEqual(await bob.hear("/account"), ["balance", 30])

    async def test_upload(self) -> None:
        """A file that is whole is in the folder; one that is not is removed when its client goes."""
        port = await self.begin(EXAMPLES / "upload.py", self.folder)
        whole, rest = bytes(range(256)) * 400, b"the rest"
        client = await self.client(port)
        names = [(await client.call("begin", "../../etc/passwd"))["id"] for _ in range(4)]
        self.assertEqual(await client.call("begin", "a"), {"error": "too many files at once"})
        self.assertEqual(await client.call("piece", names[0], whole), len(whole))
        self.assertEqual(await client.call("piece", names[0], rest), len(whole + rest))
        expected = {"size": len(whole + rest), "sha256": sha256(whole + rest).hexdigest()}
        self.assertEqual(await client.call("end", names[0]), expected)
        client.cut()
        while len(list(Path(self.folder).iterdir())) > 1:
            await self.client(port)  # a round trip, in which the server hears of the end
        (left,) = Path(self.folder).iterdir()
        self.assertEqual((left.name, left.read_bytes()), (names[0], whole + rest))

    async def test_readme(self) -> None:
        """The README's chat chats."""
        program = Path(self.folder, "readme.py")
        program.write_text(readmeChat())
        await self.chats(await self.begin(program))


def loadLines() -> ModuleType:
    """The module of ``examples/lines.py``."""
    spec = spec_from_file_location("lines", EXAMPLES / "lines.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(), lambda inner: st.lists(inner, max_size=4)
)
PACKETS = st.one_of(
    st.text().map(lambda text: Packet(Kind.MESSAGE, text)),
    VALUES.map(lambda value: Packet(Kind.JSON, value)),
    st.just(Packet(Kind.HEARTBEAT, "7")),
)


class LinesCodecTests(SynchronousTestCase):
    """The codec of the example is a good one."""

    def setUp(self) -> None:
        """One codec."""
        self.codec = loadLines().LinesCodec(Recorder())

    @given(st.lists(PACKETS, max_size=5), st.booleans())
    def test_roundTrip(self, packets: list[Packet], form: bool) -> None:
        """What it writes it reads, also after a browser's form."""
        payload = "".join(self.codec.encode(Outgoing(packet)) for packet in packets)
        if form:
            payload = payload.replace("\n", "\r\n")
        self.assertEqual(list(self.codec.decode(payload, form)), packets)

    def test_goodbye(self) -> None:
        """It has a word for goodbye."""
        self.assertEqual(self.codec.encode(Outgoing(Packet(Kind.CLOSE, ""))), '["close"]\n')
        self.assertEqual(list(self.codec.decode('["close"]\n')), [Packet(Kind.CLOSE)])

    def test_damaged(self) -> None:
        """Anything else is refused, after the good lines before it."""
        for damage in (
            '["message","a"]',
            "x\n",
            "\n",
            "[]\n",
            '["message",1]\n',
            '["open","a"]\n',
            "NaN\n",
            '{"a":1}\n',
        ):
            packets: list[Packet] = []
            with self.assertRaises(ProtocolError):
                for packet in self.codec.decode('["message","a"]\n' + damage):
                    packets.append(packet)
            self.assertEqual(packets, [Packet(Kind.MESSAGE, "a")])
