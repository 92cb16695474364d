"""
``handshake``: the facts of a first request, which nobody can change.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from siotwisted.handshake import Handshake


def handshake(**headers: str) -> Handshake:
    """A handshake with these headers."""
    return Handshake(method="GET", path="/socket.io/websocket", headers=headers)


class HandshakeTests(SynchronousTestCase):
    """What it holds, and how it is asked."""

    def test_facts(self) -> None:
        """All that was given is there; what was not given is empty."""
        full = Handshake(
            method="POST",
            path="/p",
            headers={"host": "x"},
            query={"a": "1"},
            address="10.0.0.1",
            secure=True,
            time=12.5,
            transport="xhr-polling",
        )
        self.assertEqual((full.method, full.path, full.address, full.secure), ("POST", "/p", "10.0.0.1", True))
        self.assertEqual((full.time, full.transport), (12.5, "xhr-polling"))
        self.assertEqual((dict(full.headers), dict(full.query)), ({"host": "x"}, {"a": "1"}))
        bare = handshake()
        self.assertEqual(
            (dict(bare.query), bare.address, bare.secure, bare.time, bare.transport), ({}, "", False, 0, "")
        )

    def test_header(self) -> None:
        """A header is found in any case, by text or by bytes, and answered in kind."""
        asked = handshake(cookie="a=b", host="example.com")
        for name in ("cookie", "Cookie", "COOKIE"):
            self.assertEqual(asked.getHeader(name), "a=b")
            self.assertEqual(asked.getHeader(name.encode("ascii")), b"a=b")
        self.assertIs(asked.getHeader("x-other"), None)
        self.assertIs(asked.getHeader(b"x-other"), None)

    def test_oddHeaders(self) -> None:
        """Asking never fails: bytes of a header that are not Latin come back as question marks."""
        self.assertEqual(handshake(cookie="é♥").getHeader("cookie"), "é♥")
        self.assertEqual(handshake(cookie="é♥").getHeader(b"cookie"), b"\xe9?")
        self.assertIs(handshake().getHeader(b"\xff\x00"), None)
        self.assertEqual(handshake(cookie="").getHeader(b"cookie"), b"")

    def test_frozen(self) -> None:
        """Neither the handshake nor its mappings can be changed, nor through the mappings that it was made of."""
        headers, query = {"host": "x"}, {"a": "1"}
        made = Handshake("GET", "/", headers, query)
        headers["host"] = query["a"] = "changed"
        self.assertEqual((made.headers["host"], made.query["a"]), ("x", "1"))
        for mapping in (made.headers, made.query):
            self.assertRaises(TypeError, assign, mapping)
        self.assertRaises(FrozenInstanceError, setattr, made, "path", "/other")

    def test_equal(self) -> None:
        """Two handshakes with the same facts are equal."""
        self.assertEqual(handshake(host="x"), handshake(host="x"))
        self.assertNotEqual(handshake(host="x"), handshake(host="y"))


def assign(mapping: object) -> None:
    """Try to add to a mapping."""
    mapping["new"] = "x"  # type: ignore[index]
