"""The same application as ``server.py`` on python-socketio, with aiohttp, for comparison."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import socketio  # type: ignore[import-untyped]
from aiohttp import web

from .traffic import BEAT, Journal, Schedule


class Application:
    """
    One server with its clients.

    :param journal: where everything is logged
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._schedule = Schedule()
        self._present: dict[str, str] = {}
        self._identities: dict[str, str] = {}
        self.sio = sio = socketio.AsyncServer(
            async_mode="aiohttp", cors_allowed_origins="*", ping_interval=1, ping_timeout=1
        )
        sio.on("connect", self.joined)
        sio.on("disconnect", self.left)
        sio.on("say", self.heard)
        sio.on("message", self.heard)

    async def joined(self, sid: str, environ: Any, auth: Any) -> None:
        """A client has come."""
        identity = auth["id"]
        self._present[identity] = sid
        self._identities[sid] = identity
        self._journal.write("open", identity, sid, False)
        if self._schedule.inRoom(identity):
            await self.sio.enter_room(sid, "odd")

    async def left(self, sid: str, reason: str) -> None:
        """A client has left."""
        identity = self._identities.pop(sid)
        if self._present.get(identity) == sid:
            del self._present[identity]
        self._journal.write("end", identity, sid, reason)

    async def heard(self, sid: str, value: Any) -> None:
        """A client's message has come."""
        self._journal.write("heard", self._identities[sid], sid, value["n"])

    async def beat(self) -> None:
        """Send what is due, as ``server.py`` does."""
        schedule = self._schedule
        schedule.beats += 1
        for identity, sid in [*self._present.items()]:
            for number, message in enumerate(schedule.forOne(identity)):
                if self._present.get(identity) != sid:
                    break
                self._journal.write("accepted", identity, sid, message["k"])
                await self.sio.emit("message" if (number + schedule.beats) % 2 else "told", message, to=sid)
        everyone, room = schedule.forAll(), schedule.forRoom()
        if everyone is not None:
            await self._tell(everyone, [*self._present], None)
        if room is not None:
            await self._tell(room, [name for name in self._present if schedule.inRoom(name)], "odd")

    async def _tell(self, message: dict[str, Any], names: list[str], room: str | None) -> None:
        self._journal.write("told", message["k"])
        for identity in names:
            self._journal.write("accepted", identity, self._present[identity], message["k"])
        await self.sio.send(message, to=room)


async def serve(log: Path) -> None:
    """Serve until standard input ends."""
    journal = Journal(log)
    application = Application(journal)
    site = web.Application()
    application.sio.attach(site)
    runner = web.AppRunner(site)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0)
    await tcp.start()
    port = runner.addresses[0][1]
    print(f"http://127.0.0.1:{port}/", flush=True)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)

    async def beats() -> None:
        while True:
            await application.beat()
            await asyncio.sleep(BEAT)

    beating = asyncio.create_task(beats())
    await commands.readline()
    beating.cancel()
    await commands.read()
    journal.write("statistics", {})
    journal.close()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description="python-socketio as the server under test.")
    parser.add_argument("--log", type=Path, required=True)
    asyncio.run(serve(parser.parse_args().log))


if __name__ == "__main__":
    main()
