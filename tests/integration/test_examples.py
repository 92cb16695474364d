"""
The examples, and the README's chat, run as they are, but on a free port; and the codec of ``examples/lines.py``, alone.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import treq
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as theReactor
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent, HTTPConnectionPool

from siotwisted.errors import ProtocolError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from tests.integration.test_siochat import Poller, SiochatCase, frame
from tests.wire.checks import Recorder

reactor: Any = theReactor

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

#: Runs a program on another port than 8080, and says when it listens, in the words that Process waits for.
RUN = """
import sys
from twisted.internet import reactor
port, path = sys.argv[1:]
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


class ExampleTests(SiochatCase):
    """Every example does what it says."""

    def freePort(self) -> int:
        """A port that nobody listens on."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        return port

    async def begin(self, path: Path) -> int:
        """Start a program; its port."""
        port = self.freePort()
        process = self.launch([sys.executable, "-c", RUN, str(port), str(path)])
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
