"""The stock clients of a run: those that Node.js loads in one process, and one page of Chromium for each of 0.6."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.browser import PATIENCE, Browser, Driver, Page
from tests.interop.npm import CENSUS, Release, installClient, installDriver

__all__ = ["KINDS", "Fleet", "Kind"]

_SCRIPTS = ("../faultproxy/clients.js",)


@dataclass(frozen=True)
class Kind:
    """
    Clients of one release on one transport.

    :param client: the version of the client
    :param transport: as ``clients.js`` calls it
    """

    client: str
    transport: str

    @property
    def release(self) -> Release:
        """Where the client comes from; the last package that carries it."""
        return next(release for release in reversed(CENSUS) if release.client == self.client)

    @property
    def inNode(self) -> bool:
        """Whether Node.js can load it."""
        return self.client != "0.6.3"

    def __str__(self) -> str:
        return f"{self.client}_{self.transport}"


#: What is tested. The form of 0.6's jsonp-polling posts to the first session for ever, so it can't come back.
KINDS = tuple(
    Kind(client, transport)
    for client, transports in {
        "0.6.3": ("websocket", "xhr-polling", "htmlfile", "xhr-multipart"),
        "0.9.17": ("websocket", "xhr-polling"),
        "2.5.0": ("websocket", "polling", "upgrade"),
        "4.8.4": ("websocket", "polling", "upgrade"),
    }.items()
    for transport in transports
)


class Fleet:
    """
    All clients of a run.

    :param reactor: a reactor that starts processes and keeps time
    :param node: the Node.js program
    :param chromium: the Chromium program
    :param kinds: which clients there are to be
    :param log: a file in which those in Node.js write their log at once, so that it is whole when they are killed
    """

    def __init__(self, reactor: Any, node: str, chromium: str, kinds: Sequence[Kind], log: Path | None = None) -> None:
        self._reactor = reactor
        self._size = 0
        self._pages: list[Page] = []
        self._node: Driver | None = None
        self._browser: Browser | None = None
        modules = {kind.client: str(installClient(kind.release)) for kind in kinds if kind.inNode}
        if modules:
            self._node = Driver()
            script = Path(__file__).with_name("clients.mjs")
            command = [node, str(script), json.dumps(modules), *([str(log)] if log else [])]
            self._process = reactor.spawnProcess(self._node, node, command, env=None, childFDs={0: "w", 1: "r", 2: 2})
        if len(modules) < len({kind.client for kind in kinds}):
            self._browser = Browser(reactor, node, installDriver(), chromium)

    async def start(self) -> None:
        """Wait until there is a browser."""
        if self._node is not None:
            await self._node.ready.addTimeout(60, self._reactor)
        if self._browser is not None:
            await self._browser.started()

    async def add(self, kind: Kind, identity: str, address: str) -> None:
        """Let a client connect."""
        self._size += 1
        given = {
            "identity": identity,
            "generation": kind.release.generation,
            "transport": kind.transport,
            "address": address,
        }
        if kind.inNode:
            await self._ask("add", {**given, "release": kind.client})
        else:
            assert self._browser is not None
            page = await self._browser.open(address, kind.release, kind.transport, "/clients/", _SCRIPTS)
            self._pages.append(page)
            await page.call("add", given)

    async def _ask(self, name: str, *values: object) -> Any:
        assert self._node is not None
        return await self._node.ask("call", {"name": name, "values": values}).addTimeout(PATIENCE, self._reactor)

    async def _all(self, name: str, *values: object) -> list[Any]:
        answers = [await page.call(name, *values) for page in self._pages]
        if self._node is not None:
            answers.append(await self._ask(name, *values))
        return answers

    async def count(self) -> tuple[int, int]:
        """How many clients have been connected, and how many are."""
        counts = await self._all("count")
        return sum(ever for ever, _ in counts), sum(now for _, now in counts)

    async def speak(self, wanted: bool) -> None:
        """Let the clients say something, or let them be silent."""
        await self._all("speak", wanted)

    async def take(self) -> list[list[Any]]:
        """What was logged since the last time."""
        return [entry for entries in await self._all("take") for entry in entries]

    async def kill(self) -> None:
        """End the process of Node.js in the middle of whatever it does."""
        assert self._node is not None
        self._process.signalProcess("KILL")
        await self._node.ended

    async def stop(self) -> list[str]:
        """End all processes, and return the errors that were thrown in pages."""
        errors: list[str] = []
        if self._browser is not None:
            errors = await self._browser.closePages()
            await self._browser.stop()
        if self._node is not None and not self._node.ended.called:
            self._process.closeStdin()
            await self._node.ended.addTimeout(20, self._reactor)
        return errors
