"""
Messages that are read by us, and not by Autobahn: whatever a client sends, and however it is cut, the same comes of it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from siotwisted.transports.websocket import SocketIOWebSocketProtocol
from tests.transports.sockets import MAX_PAYLOAD, Alone
from tests.websocketpeer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, clientFrame, framed
from tests.wire import checks


def _whole(size: int) -> str:
    """A frame of Socket.IO 0.6 that has so many bytes with all that is around its text."""
    return framed("x" * (size - len(framed("x" * size)) + size))


#: What clients say, and what they may not say.
_MESSAGES = st.one_of(
    st.text(max_size=200).map(lambda text: framed(text).encode("utf-8", "surrogatepass")),
    st.sampled_from([110, 125, 126, 1_536, MAX_PAYLOAD - 20, MAX_PAYLOAD]).map(
        lambda size: framed("x" * size).encode()
    ),
    st.sampled_from([*range(124, 130), *range(1_532, 1_539)]).map(lambda size: _whole(size).encode()),
    st.sampled_from([b"", b"\xff", "~m~1~m~ä".encode()[:-1], b"~h~", b"~m~9~m~x", framed("~h~1").encode()]),
    st.binary(max_size=40),
)
_FRAMES = st.builds(
    clientFrame,
    _MESSAGES,
    st.sampled_from([TEXT, TEXT, TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE, 3]),
    fin=st.sampled_from([True, True, True, False]),
    masked=st.sampled_from([True, True, True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 4]),
    lengthBytes=st.sampled_from([0, 0, 0, 2, 8]),
)
#: A size that is none, frames that are not whole, and one that is larger than any may be.
_DAMAGED = st.sampled_from(
    [b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x05\x11\x22\x33\x44abcde", b"\x81\x00", b"\x00", clientFrame("x" * 70_000)]
)
_STREAMS = st.tuples(st.lists(st.one_of(_FRAMES, _FRAMES, _FRAMES, _DAMAGED), max_size=6), st.data())


class FastFramesTests(Alone):
    """Both ways."""

    def outcome(self, segments: list[bytes]) -> Any:
        """What comes of these bytes."""
        self.configure()
        peer = self.join()
        (id,) = (connection.id for connection in self.connections)
        for segment in segments:
            peer.send(segment)
        self.clock.pump([0.5, 0.5, 0.5])
        written = peer.end.value().replace(id.encode(), b"ID")
        outcome = [*self.received], [*self.reasons], written, peer.end.connected, self.lines() != []
        self.sio.stop()
        self.clock.pump([1.0, 1.0])
        return outcome

    @checks.PROPERTY
    @given(_STREAMS)
    def test_same(self, drawn: tuple[list[bytes], st.DataObject]) -> None:
        """Nobody can tell which of them has read a frame."""
        frames, data = drawn
        stream = b"".join(frames)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
        segments = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        fast = self.outcome(segments)
        patch = self.patch(SocketIOWebSocketProtocol, "_readMessages", lambda self, data: data)
        try:
            plain = self.outcome(segments)
        finally:
            patch.restore()
        self.assertEqual(fast, plain)

    def test_read(self) -> None:
        """Whole messages don't reach Autobahn; what is cut does, and all that comes with the rest of it."""
        rest: list[bytes] = []
        real = SocketIOWebSocketProtocol._dataReceived

        def spied(protocol: SocketIOWebSocketProtocol, data: bytes) -> None:
            rest.append(data)
            real(protocol, data)

        peer = self.join()
        self.patch(SocketIOWebSocketProtocol, "_dataReceived", spied)
        small, middle, large = (clientFrame(framed("x" * size)) for size in (5, 500, 1_900))
        peer.send(small + middle + large, small)
        self.assertEqual(rest, [])
        peer.send(small + middle[:100], middle[100:] + small, small)
        self.assertEqual(rest, [middle[:100], middle[100:] + small])
        self.assertEqual([len(each) for each in self.received], [5, 500, 1_900, 5, 5, 500, 5, 5])
