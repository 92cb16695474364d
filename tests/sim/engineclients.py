"""Model clients of 1.x and 2.x (Engine.IO 3), and of 3.x and 4.x (Engine.IO 4), with recovery from 4.6 on."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from tests.sim.carriers import HTTPPeer, WebSocketPeer
from tests.sim.clients import Journal, Model, get, post
from tests.sim.oldclients import cutFrames, units

__all__ = ["EngineClient"]

_FRAME3 = re.compile("([0-9]+):")
_PACKET = re.compile(r"([0-6])(/[^,]*,)?([0-9]*)(.*)", re.DOTALL)


class EngineClient(Model):
    """
    Begins with polls or with a WebSocket, or moves from the one to the other.

    :param revision: of Engine.IO: 3 or 4.
    :param mode: ``polling``, ``websocket`` or ``upgrade``.
    :param recovers: whether it is a client of 4.6 or later.
    """

    asks = True

    def __init__(
        self,
        world: Journal,
        index: int,
        key: str,
        random: Random,
        revision: int = 4,
        mode: str = "upgrade",
        recovers: bool = False,
    ) -> None:
        super().__init__(world, index, key, random)
        self.revision = revision
        self.mode = mode
        self.recoverable = self._knowsRecovery = recovers
        self.generation = "4.6" if recovers else f"EIO{revision}"
        self._pid = ""
        self._offset: str | None = None
        #: What a client of 4.6 has got before it was connected; it forgets nothing of it.
        self._early: list[list[Any]] = []
        self._reset()

    def _reset(self) -> None:
        self._socket: WebSocketPeer | None = None
        self._probe: WebSocketPeer | None = None
        self._poller: HTTPPeer | None = None
        self._paused = self._probed = self._upgrading = False
        self._engine = ""
        self._interval = self._timeout = 0.0
        self._number = 0

    def reborn(self) -> None:
        """Nothing is remembered."""
        super().reborn()
        self._pid, self._offset = "", None
        self._early.clear()

    def leave(self) -> None:
        """Forget the connections."""
        super().leave()
        self._reset()

    def stamp(self) -> str:
        """No decimal number, which is what clients of 1.0 have."""
        self._stamp += 1
        return f"P{self.page}x{self._stamp}"

    def connect(self) -> None:
        """Begin with the first transport."""
        self.watch(20.0)
        if self.mode == "websocket":
            self._socket = self.websocket(self._target("websocket"), lambda: None, self._message, self._lost)
        else:
            self._poller = self.http("polling")
            self._poll()

    def _target(self, transport: str) -> str:
        sid = f"&sid={self._engine}" if self._engine else f"&key={self.tag}"
        stamp = f"&t={self.stamp()}" if transport == "polling" else ""
        return f"/socket.io/?EIO={self.revision}&transport={transport}{stamp}{sid}"

    # Polls.

    def _poll(self) -> None:
        if self._poller is not None:
            self._poller.request(get(self._target("polling")), self._polled)

    def _polled(self, status: int, body: bytes) -> None:
        if status != 200:
            self.fail(f"poll: {status}")
            return
        epoch = self.epoch
        text = body.decode("utf-8")
        packets = text.split("\x1e") if self.revision == 4 else list(cutFrames(text, _FRAME3))
        for packet in packets:
            self._packet(packet)
            if epoch != self.epoch:
                return
        if self._paused:
            self._poller = None
            self.posted()
        else:
            self._poll()

    def posting(self, packets: list[str]) -> bytes:
        """A payload."""
        if self.revision == 4:
            payload = "\x1e".join(packets)
        else:
            payload = "".join(f"{units(packet)}:{packet}" for packet in packets)
        return post(self._target("polling"), "text/plain;charset=UTF-8", payload.encode("utf-8"))

    # The WebSocket.

    def _lost(self) -> None:
        self.fail("the WebSocket is lost")

    def _message(self, message: bytes) -> None:
        self._packet(message.decode("utf-8"))

    def _tryOut(self) -> None:
        def lost() -> None:
            self._probe = None
            self.world.note("%s: its probe is lost", self)

        probe: WebSocketPeer

        def message(data: bytes) -> None:
            if self._socket is not None:
                self._message(data)
            elif data == b"3probe" and not self._probed:
                self._probed = self._paused = self._upgrading = True
                if self._poller is None or not self._poller.busy:
                    self._poller = None
                self.posted()
            else:
                probe.drop()
                lost()

        def gone() -> None:
            if self._socket is not None:
                self._lost()
            else:
                lost()

        probe = self.websocket(self._target("websocket"), lambda: probe.send("2probe"), message, gone)
        self._probe = probe

    def posted(self) -> None:
        """Posts are through: if the poll is over too, and the probe lives, the client moves."""
        if self._paused and self._probe is not None and self._poller is None:
            if self._poster is not None and self._poster.busy:
                return
            self._socket, self._probe = self._probe, None
            self._socket.send("5")
            self._upgrading = False
            waiting, self._outgoing = self._outgoing, []
            for packet, _ in waiting:
                self._socket.send(packet)

    def flush(self) -> None:
        """Post all that waits; what comes up during the move waits for its end."""
        if not self._upgrading:
            super().flush()

    def _write(self, packet: str, number: int | None = None) -> None:
        if self._socket is not None:
            self._socket.send(packet)
        else:
            self.enqueue(packet, number)

    # Packets.

    def _packet(self, packet: str) -> None:
        kind, data = packet[:1], packet[1:]
        if kind == "4":
            self._said(data)
        elif kind == "0":
            opening = json.loads(data)
            self._engine = opening["sid"]
            self._interval, self._timeout = opening["pingInterval"] / 1000, opening["pingTimeout"] / 1000
            self.watch(self._interval + self._timeout)
            if self.revision == 3:
                self.after(self._interval, self._ask)
            else:
                auth = json.dumps({"pid": self._pid, "offset": self._offset}) if self._pid else ""
                if self._pid and self._offset is None:
                    auth = json.dumps({"pid": self._pid})
                self._write(f"40{auth}")
            if self.mode == "upgrade" and "websocket" in opening["upgrades"]:
                self._tryOut()
        elif kind == "2":
            self.watch(self._interval + self._timeout)
            self._write(f"3{data}")
        elif kind == "3":
            self.watch(self._interval + self._timeout)
            self.after(self._interval, self._ask)
        elif kind == "1":
            self.fail("was told to close")
        elif kind != "6":
            raise AssertionError(f"no packet: {packet[:60]!r}")

    def _ask(self) -> None:
        self.watch(self._timeout)
        self._write("2")

    def _said(self, data: str) -> None:
        match = _PACKET.fullmatch(data)
        assert match is not None, f"no packet: {data[:60]!r}"
        kind, _, number, rest = match.groups()
        if kind == "0":
            self.began(self._engine)
            answer = json.loads(rest) if rest else {}
            self._pid = answer.get("pid", "") if self._knowsRecovery else ""
            early, self._early = self._early, []
            for arguments in early:
                self._event(arguments)
        elif kind == "2":
            arguments = json.loads(rest)
            text = arguments[1]
            if number:
                arguments.append(None)  # the function that answers
            if not self.up and self._knowsRecovery:
                self._early.append(arguments)
            else:
                self._event(arguments)
            if number:
                self._write(f"43{number}{json.dumps([text])}")
        elif kind == "3":
            self.world.received(self, json.loads(rest)[0])
        else:
            if kind == "1":
                self.world.dismissed(self)
            self.fail(f"was told {data[:60]}")

    def _event(self, arguments: list[Any]) -> None:
        self.world.received(self, arguments[1])
        if self._pid and isinstance(arguments[-1], str):
            self._offset = arguments[-1]

    def say(self, number: int, asking: bool) -> bool:
        """As an event."""
        if not self.up:
            return False
        self._number += asking
        self._write(f'42{self._number if asking else ""}["{"ask" if asking else "say"}","{number}|c"]', number)
        return True
