"""
Chromium with old Socket.IO clients in it, or with the chat's own page, as seen from the tests.

A :class:`Browser` is one Node.js process that drives one Chromium (``browser.mjs``). It opens a :class:`Page`,
which is a fresh profile that has loaded one bundle from the server, and in a page one or more :class:`Client`
sockets are connected. A client hears the chat's messages and keeps them until a test takes them (``room.js``).
A :class:`ChatPage` is a fresh profile that has loaded the page of ``siochat``; it is used as a person would.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .npm import Release

__all__ = ["Browser", "ChatPage", "Client", "Driver", "Page"]

#: How long a page waits for anything, in seconds; the driver gets longer, so that the page can tell what is missing.
PATIENCE = 20.0

SHIMMED = {"htmlfile", "xhr-multipart"}

#: The application of the tests with the chat.
ROOM = ("room.js",)


class Driver(ProcessProtocol):
    """
    Numbers the commands it writes, and fires the Deferred of a command when its answer is read.

    :ivar ready: fires when the process takes commands
    :ivar ended: fires when it is gone
    """

    def __init__(self) -> None:
        # The driver sends answer 0 unasked, when the browser is there.
        self.ready: Deferred[Any] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._waiting = {0: self.ready}
        self._lines: list[bytes] = []
        self._errors = b""
        self._count = 0

    def ask(self, command: str, arguments: dict[str, object]) -> Deferred[Any]:
        """Write a command."""
        self._count += 1
        answer: Deferred[Any] = Deferred()
        self._waiting[self._count] = answer
        line = json.dumps({"id": self._count, "command": command, "arguments": arguments})
        assert self.transport is not None
        self.transport.write(line.encode() + b"\n")
        return answer

    def outReceived(self, data: bytes) -> None:
        """Read answers."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._lines.append(part)
            line = json.loads(b"".join(self._lines))
            self._lines.clear()
            answer = self._waiting.pop(line["id"])
            if "error" in line:
                answer.errback(AssertionError(line["error"]))
            else:
                answer.callback(line["result"])
        self._lines.append(rest)

    def errReceived(self, data: bytes) -> None:
        """Keep it for the report."""
        self._errors += data

    def processEnded(self, reason: Failure) -> None:
        """Fail what waits for an answer."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.errback(RuntimeError("the driver ended:\n" + self._errors.decode("utf-8", "replace")))
        self.ended.callback(None)


class Browser:
    """
    One Chromium.

    :param reactor: a reactor that starts processes and keeps time
    :param node: the Node.js program
    :param modules: the ``node_modules`` folder that holds the driver
    :param chromium: the Chromium program
    :ivar pages: those that are open
    :ivar version: that of Chromium, once it has started
    """

    version: str

    def __init__(self, reactor: Any, node: str, modules: Path, chromium: str) -> None:
        self._reactor = reactor
        self.pages: list[_Tab] = []
        self._driver = Driver()
        script = Path(__file__).with_name("browser.mjs")
        reactor.spawnProcess(self._driver, node, [node, str(script), str(modules), chromium], env=None)

    async def started(self) -> None:
        """Wait until the browser takes commands."""
        self.version = await self._driver.ready.addTimeout(60, self._reactor)

    async def ask(self, command: str, **arguments: object) -> Any:
        """Send a command to the driver, and return its answer."""
        return await self._driver.ask(command, arguments).addTimeout(PATIENCE + 20, self._reactor)

    async def open(
        self, address: str, release: Release, transport: str, folder: str = "/socket.io/", scripts: Sequence[str] = ROOM
    ) -> Page:
        """
        Open a page with cookies of its own that has the bundle of a release, and the shim the transport needs.

        :param address: of the server, or the origin of the page
        :param release: whose bundle to load
        :param transport: what the clients of the page will use
        :param folder: where in the page's origin the bundles are
        :param scripts: those of this package that the page loads, too
        """
        shim = transport if transport in SHIMMED else None
        bundle = folder + release.fileName
        answer = await self.ask("open", address=address, bundle=bundle, scripts=scripts, shim=shim)
        # Since 1.0 the script doesn't tell.
        assert answer["version"] in (release.client, None)
        return Page(self, answer["page"], transport)

    async def visit(
        self, address: str, width: int = 1280, height: int = 800, webSockets: str = "served", delay: float = 0.0
    ) -> ChatPage:
        """
        Open the chat's page with storage of its own.

        :param address: the page's address
        :param width: that of the window, in CSS pixels
        :param height: that of the window, in CSS pixels
        :param webSockets: those that the page opens are "served", "held" until they are released, or "refused"
        :param delay: how much longer every poll and every POST of the page takes, in seconds
        """
        window = {"width": width, "height": height}
        number = await self.ask("visit", address=address, **window, webSockets=webSockets, delay=delay * 1000)
        return ChatPage(self, number)

    async def closePages(self) -> list[str]:
        """Close all pages that are still open, and return their errors."""
        return [error for page in [*self.pages] for error in await page.close()]

    async def stop(self) -> None:
        """Close the browser, and wait for the driver to end."""
        assert self._driver.transport is not None
        self._driver.transport.closeStdin()
        await self._driver.ended.addTimeout(30, self._reactor)


class _Tab:
    """Anything the browser has open."""

    def __init__(self, browser: Browser, number: int) -> None:
        self._browser = browser
        self._number = number
        browser.pages.append(self)

    async def _ask(self, command: str, **arguments: object) -> Any:
        return await self._browser.ask(command, page=self._number, **arguments)

    async def close(self) -> list[str]:
        """Close the page, and return the errors of its time."""
        self._browser.pages.remove(self)
        errors: list[str] = await self._ask("close")
        return errors


class Page(_Tab):
    """A page with one bundle; its clients all use the same transport. Its errors are what was thrown in it."""

    def __init__(self, browser: Browser, number: int, transport: str) -> None:
        super().__init__(browser, number)
        self._transport = transport

    async def call(self, name: str, *values: object) -> Any:
        """Call a function of the application in the page, and return what it answers."""
        return await self._ask("call", name=name, values=values)

    async def connect(self, queued: Sequence[object] = ()) -> Client:
        """
        Make a socket, connect it, and wait until it is connected.

        :param queued: what to send before it is connected
        """
        client = Client(self, await self.call("open", self._transport, queued))
        await client.happened("connect", 1)
        return client


class ChatPage(_Tab):
    """
    The chat's own page. Its errors are what was thrown, all that came on the console, and requests to other hosts.
    """

    async def shows(self, selector: str, *texts: str) -> None:
        """Wait until the elements that are shown have just these texts, in order; without texts: until none is."""
        await self._ask("shows", selector=selector, texts=texts, seconds=PATIENCE)

    async def text(self, selector: str) -> str:
        """Return the text of the only such element."""
        (text,) = await self._ask("texts", selector=selector)
        assert isinstance(text, str)
        return text

    async def click(self, selector: str) -> None:
        """Click in the middle of an element, as soon as it can be clicked."""
        await self._ask("click", selector=selector)

    async def release(self) -> None:
        """Let the websockets pass that were held."""
        await self._ask("release")

    async def emulate(self, **media: str) -> None:
        """Show the page as to someone with these preferences: ``colorScheme``, ``forcedColors``."""
        await self._ask("emulate", media=media)

    async def spoken(self) -> str:
        """Return what a screen reader knows of the page, as an outline of roles and names."""
        outline: str = await self._ask("spoken")
        return outline

    async def faint(self) -> list[str]:
        """Describe all text that has too little contrast to what is behind it."""
        found: list[str] = await self._ask("faint")
        return found

    async def tab(self) -> str:
        """Press Tab, and return the id or the text of what has the focus then."""
        focused: str = await self._ask("tab")
        return focused

    async def reload(self) -> None:
        """Load the page again."""
        await self._ask("reload")

    async def style(self, selector: str, property: str) -> str:
        """Return what a property of the first such element is in the end."""
        value: str = await self._ask("style", selector=selector, property=property)
        return value

    async def texts(self, selector: str) -> list[str]:
        """Return the texts of all such elements, shown or not."""
        texts: list[str] = await self._ask("texts", selector=selector)
        return texts

    async def press(self, selector: str, key: str) -> None:
        """Press a key in an element."""
        await self._ask("press", selector=selector, key=key)

    async def toTop(self, selector: str) -> None:
        """Scroll an element from where it is to its top, as someone would with the keyboard."""
        await self._ask("toTop", selector=selector)

    async def write(self, text: str, selector: str = "#input") -> None:
        """Put a text into the composer, or another field, in the place of what is there, and don't send it."""
        await self._ask("write", selector=selector, text=text)

    async def say(self, text: str, selector: str = "#input") -> None:
        """Write a text into the composer, or another field, and press Enter."""
        await self.write(text, selector)
        await self.press(selector, "Enter")

    async def requests(self) -> list[str]:
        """Return the URLs of all that the page has asked for so far."""
        requests: list[str] = await self._ask("requests")
        return requests

    async def box(self, selector: str) -> dict[str, float]:
        """Return where in the window an element is: ``x``, ``y``, ``width``, ``height`` in CSS pixels."""
        box: dict[str, float] = await self._ask("box", selector=selector)
        return box

    async def cutOff(self) -> list[str]:
        """Describe whatever the window does not show whole, save for the older part of the log."""
        found: list[str] = await self._ask("cutOff")
        return found


class Client:
    """A socket in a page. Its id is that of the latest connection that :meth:`happened` has seen."""

    id: str

    def __init__(self, page: Page, number: int) -> None:
        self._page = page
        self._number = number

    async def _call(self, name: str, *values: object) -> Any:
        return await self._page.call(name, self._number, *values)

    async def connect(self) -> None:
        """Start to connect, again."""
        await self._call("connect")

    async def happened(self, event: str, count: int, seconds: float = PATIENCE) -> None:
        """Wait until the socket has connected or disconnected so many times in all."""
        sessionId = await self._call("happened", event, count, seconds)
        if event == "connect":
            self.id = sessionId

    async def send(self, *values: object) -> None:
        """Send values by one call for each."""
        await self._call("send", values)

    async def sendTogether(self, *values: object) -> None:
        """Send values by one call, that is, as the frames of one payload."""
        await self._call("sendTogether", values)

    async def sent(self) -> None:
        """Wait until the server has taken all that was sent."""
        await self._call("sent")

    async def sendGarbage(self, text: str) -> None:
        """Send a payload that is not made of frames."""
        await self._call("sendGarbage", text)

    async def take(self, sender: Client, count: int) -> list[object]:
        """Wait until so many messages have come from another client, and return these in order."""
        values: list[object] = await self._call("take", sender.id, count, PATIENCE)
        return values

    async def buffer(self) -> list[dict[str, Any]]:
        """Wait for the messages of before that the chat tells a new client, and return these."""
        entries: list[dict[str, Any]] = await self._call("buffer", PATIENCE)
        return entries

    async def announced(self, text: str) -> None:
        """Wait until the chat has announced this."""
        await self._call("announced", text, PATIENCE)

    async def remains(self) -> dict[str, Any]:
        """Return the messages nobody took, what was not of the chat, and how often each event happened."""
        remains: dict[str, Any] = await self._call("remains")
        return remains
