"""Model clients of 0.6 and of 0.7 to 0.9."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random

from tests.sim.carriers import HTTPPeer, WebSocketPeer
from tests.sim.clients import Journal, Model, form, get, post

__all__ = ["Client06", "Client09", "cutFrames", "units"]

_FORM = "application/x-www-form-urlencoded; charset=UTF-8"
_FRAME06 = re.compile("~m~([0-9]+)~m~")
_FRAME09 = re.compile("\ufffd([0-9]+)\ufffd")
_PACKET09 = re.compile(r"([0-8]):([0-9]*)(\+?):([^:]*)(?::(.*))?", re.DOTALL)
_CALL06 = re.compile(r'<script>parent\.s\._\((".*?"), document\);</script>', re.DOTALL)
_CALL09 = re.compile(r'<script>_\((".*?")\);</script>', re.DOTALL)
_JSONP = re.compile(r'io\.(?:JSONP|j)\[0\](?:\._)?\((".*")\);', re.DOTALL)


def cutFrames(payload: str, header: re.Pattern[str]) -> Iterator[str]:
    """The frames of a payload, whose lengths count UTF-16 code units."""
    at, ascii = 0, payload.isascii()
    while at < len(payload):
        match = header.match(payload, at)
        assert match is not None, f"no frame: {payload[at : at + 60]!r}"
        start, length = match.end(), int(match[1])
        if ascii:
            data = payload[start : start + length]
        else:
            data = payload[start : start + length].encode("utf-16-le")[: 2 * length].decode("utf-16-le")
        at = start + len(data)
        yield data


def units(text: str) -> int:
    """How many UTF-16 code units a text has."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


class OldClient(Model):
    """Polls or streams for what comes, and POSTs, or a WebSocket for both."""

    silence = 0.0

    def __init__(self, world: Journal, index: int, key: str, random: Random, mode: str) -> None:
        super().__init__(world, index, key, random)
        self.mode = mode
        self.content = self.repeats and mode == "xhr-polling"
        self._socket: WebSocketPeer | None = None
        self._poller: HTTPPeer | None = None
        self._stream = ""

    def leave(self) -> None:
        """Forget the connections."""
        super().leave()
        self._socket = self._poller = None

    def attach(self) -> None:
        """Come with the transport."""
        self._stream = ""
        self.watch(self.silence)
        if self.mode == "websocket":
            self._socket = self.websocket(self.target("websocket"), self.joined, self._message, self._lost)
        else:
            self._poller = self.http(self.mode)
            self._poll()

    def target(self, transport: str) -> str:
        """The URL of a transport."""
        raise NotImplementedError

    def joined(self) -> None:
        """The WebSocket is open."""

    def take(self, payload: str) -> None:
        """A payload has come."""
        raise NotImplementedError

    def _lost(self) -> None:
        self.fail("the WebSocket is lost")

    def _message(self, message: bytes) -> None:
        self.watch(self.silence)
        self.take(message.decode("utf-8"))

    def _poll(self) -> None:
        if self._poller is not None:
            self._poller.request(get(self.target(self.mode)), self._polled, self._part)

    def _part(self, part: bytes) -> None:
        self.watch(self.silence)
        self._stream += part.decode("utf-8")
        if self.mode == "xhr-multipart":
            *parts, self._stream = self._stream.split("\n--socketio\n")
            for each in parts:
                epoch = self.epoch
                self.take(each.partition("\n\n")[2])
                if epoch != self.epoch:
                    return
            return
        pattern, at = _CALL06 if isinstance(self, Client06) else _CALL09, 0
        epoch = self.epoch
        for match in pattern.finditer(self._stream):
            at = match.end()
            self.take(json.loads(match[1]))
            if epoch != self.epoch:
                return
        self._stream = self._stream[at:]

    def _polled(self, status: int, body: bytes) -> None:
        if status != 200 or self.mode not in ("xhr-polling", "jsonp-polling"):
            self.fail(f"{self.mode}: {status}")
            return
        self.watch(self.silence)
        text = body.decode("utf-8")
        if self.mode == "jsonp-polling":
            match = _JSONP.fullmatch(text)
            assert match is not None, text[:100]
            text = json.loads(match[1])
        epoch = self.epoch
        self.take(text)
        if epoch == self.epoch:
            self._poll()

    def transmit(self, packet: str, number: int | None = None) -> bool:
        """Send a packet, by whatever there is."""
        if self._socket is not None:
            if not self._socket.usable:
                return False
            self._socket.send(self.wrapped([packet]))
        else:
            self.enqueue(packet, number)
        return True

    def wrapped(self, packets: list[str]) -> str:
        """The payload of these packets."""
        raise NotImplementedError


class Client06(OldClient):
    """
    0.6.

    :param resume: how it comes back: "" with a new session, as the stock client does; "sid" with the session that it
        had, "got" with that and how many messages it got in it.
    """

    generation = "0.6"

    def __init__(
        self, world: Journal, index: int, key: str, random: Random, mode: str = "xhr-polling", resume: str = ""
    ) -> None:
        super().__init__(world, index, key, random, mode)
        self.silence = 25.0 if mode.endswith("polling") else 15.0
        self.resume = resume
        self.repeatable = resume == "sid" and not mode.endswith("polling")
        self.timeless = not resume
        self._got = 0
        self._failures = 0

    def connect(self) -> None:
        """Begin, or go on with the session."""
        self.up = bool(self.sid)
        self.attach()

    def forget(self) -> None:
        """One that resumes gives its session up only when it is refused."""
        self._failures += 1
        if not self.resume or self._failures > 1:
            self.sid = ""

    def reborn(self) -> None:
        """Nothing is remembered."""
        super().reborn()
        self._failures = 0

    def target(self, transport: str) -> str:
        """The URL of a transport."""
        index = "/0" if transport == "jsonp-polling" else ""
        if not self.sid:
            return f"/socket.io/{transport}//{self.stamp()}{index}?key={self.tag}"
        got = f"?got={self._got}" if self.resume == "got" else ""
        return f"/socket.io/{transport}/{self.sid}/{self.stamp()}{index}{got}"

    def take(self, payload: str) -> None:
        """Read frames; the first of a session is its id."""
        epoch = self.epoch
        self._failures = 0
        for data in cutFrames(payload, _FRAME06):
            if epoch != self.epoch:
                return
            if not self.sid:
                self._got = 0
                self.began(data)
            elif data.startswith("~h~"):
                self.transmit(data)
            else:
                self._got += 1
                self.world.received(self, json.loads(data[3:]) if data.startswith("~j~") else data)

    def wrapped(self, packets: list[str]) -> str:
        """Frames."""
        return "".join(f"~m~{units(packet)}~m~{packet}" for packet in packets)

    def posting(self, packets: list[str]) -> bytes:
        """A form."""
        time = f"?t={self.stamp()}" if self.resume else ""
        target = f"/socket.io/{self.mode}/{self.sid}/send{time}"
        return post(target, _FORM, form("data", self.wrapped(packets)))

    def say(self, number: int, asking: bool) -> bool:
        """There are no answers yet."""
        return self.up and self.transmit(f"{number}|c", number)


class Client09(OldClient):
    """0.7 to 0.9."""

    generation = "0.9"
    silence = 60.0
    asks = True

    def connect(self) -> None:
        """Ask for a session."""
        self._number = 0
        self.http("handshake").request(get(f"/socket.io/1/?key={self.tag}&t={self.stamp()}"), self._shaken)

    def _shaken(self, status: int, body: bytes) -> None:
        if status != 200 or not body:
            self.fail(f"handshake: {status}")
            return
        sid, heartbeat, close, _ = body.decode("ascii").split(":")
        self.silence = float(min(int(heartbeat), int(close)))
        self.sid = sid
        self.attach()

    def target(self, transport: str) -> str:
        """The URL of a transport."""
        if transport == "websocket":
            return f"/socket.io/1/websocket/{self.sid}"
        index = "&i=0" if transport == "jsonp-polling" else ""
        return f"/socket.io/1/{transport}/{self.sid}?t={self.stamp()}{index}"

    def take(self, payload: str) -> None:
        """Read packets."""
        epoch = self.epoch
        packets = cutFrames(payload, _FRAME09) if payload.startswith("\ufffd") else [payload] if payload else []
        for packet in packets:
            if epoch != self.epoch:
                return
            match = _PACKET09.fullmatch(packet)
            assert match is not None, f"no packet: {packet[:60]!r}"
            kind, number, plus, _, data = match.groups()
            if kind == "1":
                self.began(self.sid)
            elif kind == "2":
                self.transmit("2::")
            elif kind in "34":
                if number and not plus:
                    self.transmit(f"6:::{number}")
                self.world.received(self, json.loads(data) if kind == "4" else data)
            elif kind == "5":
                event = json.loads(data)
                self.world.received(self, event["args"][0])
                if plus:
                    self.transmit(f"6:::{number}+" + json.dumps(event["args"]))
            elif kind == "6":
                found = (data or "").partition("+")[2]
                if found:
                    self.world.received(self, json.loads(found)[0])
            elif kind in "07":
                if kind == "0":
                    self.world.dismissed(self)
                self.fail(f"was told {packet}")

    def wrapped(self, packets: list[str]) -> str:
        """One packet as it is, several in frames."""
        if len(packets) == 1:
            return packets[0]
        return "".join(f"\ufffd{units(packet)}\ufffd{packet}" for packet in packets)

    def posting(self, packets: list[str]) -> bytes:
        """The payload as it is, or in a form."""
        payload = self.wrapped(packets)
        target = self.target(self.mode)
        if self.mode == "jsonp-polling":
            return post(target, _FORM, form("d", json.dumps(payload, ensure_ascii=False)))
        return post(target, "text/plain;charset=UTF-8", payload.encode("utf-8"))

    def say(self, number: int, asking: bool) -> bool:
        """As a message, or as an event that asks for an answer."""
        if not self.up:
            return False
        if not asking:
            return self.transmit(f"3:::{number}|c", number)
        self._number += 1
        event = json.dumps({"name": "ask", "args": [f"{number}|c"]})
        return self.transmit(f"5:{self._number}+::{event}", number)
