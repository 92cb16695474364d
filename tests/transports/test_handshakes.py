"""
The handshakes of WebSockets that are answered without Autobahn: it would have given the same answers.
"""

from __future__ import annotations

import re
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import registry
from siotwisted.transports import websocketresource
from tests.transports import Server
from tests.transports.requests import UPGRADE
from tests.websocketpeer import clientFrame
from tests.wire import checks

#: What clients may say instead of what they mostly do, or as well.
_VARIANTS = {
    "Connection": ("upgrade", "keep-alive, Upgrade", "Upgrade, keep-alive", "keep-alive", ""),
    "Upgrade": ("WebSocket", "websocket, h2c", "h2c", ""),
    "Sec-WebSocket-Version": ("8", "13, 8", "012", "x", ""),
    "Sec-WebSocket-Key": ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ===", "AAAA", "é" * 24, ""),
    "Sec-WebSocket-Extensions": (
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=99",
        "x-unknown",
        ";",
    ),
    "Sec-WebSocket-Protocol": ("a", "a, b", "a, a"),
    "Host": ("example.com:80", "[::1]:8080", "example.com:x", "example.com:99999", "", "a b"),
    "Origin": ("http://example.com", "null", "junk"),
}


@st.composite
def handshakes(draw: st.DrawFn) -> dict[str, str]:
    """The headers of a handshake, most of them as they should be."""
    fields = dict(UPGRADE)
    for name in draw(st.lists(st.sampled_from(sorted(_VARIANTS)), max_size=2, unique=True)):
        value = draw(st.sampled_from((None, *_VARIANTS[name])))
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = value
    return fields


class HandshakeTests(SynchronousTestCase):
    """Answers, with and without Autobahn."""

    def _received(self, fields: dict[str, str]) -> tuple[bytes, bool, list[str]]:
        server = Server()
        client = server.connect()
        with patch.object(registry, "newSessionID", return_value="a" * 27):
            client.request("GET", "/websocket", fields)
        if b" 101 " in client.received:
            client.send(clientFrame("~m~2~m~hi"))
        server.clock.pump([1] * 60)
        return re.sub(rb"Date: .*\r\n", b"", client.received), client.open, server.notes.messages

    @checks.PROPERTY
    @given(handshakes())
    def test_same(self, fields: dict[str, str]) -> None:
        """Whatever a client says, both answer alike, and go on alike."""
        received = self._received(fields)
        with patch.object(websocketresource, "_answer", return_value=None):
            self.assertEqual(self._received(fields), received)

    def test_short(self) -> None:
        """The usual ones take the short way; those that ask for anything else don't."""
        usual = {name.lower(): value for name, value in UPGRADE.items()} | {"host": "example.com"}
        self.assertIsNotNone(websocketresource._answer(usual))
        for name, value in (
            ("sec-websocket-protocol", "a"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-extensions", "x-unknown"),
            ("sec-websocket-key", "AAAA"),
            ("host", "a b"),
            ("upgrade", "h2c"),
            ("connection", "close"),
        ):
            self.assertIsNone(websocketresource._answer({**usual, name: value}), name)
