"""
``config``: the defaults, and that a setting that can't be is refused where it is made.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config, Cookie
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec

#: All times and sizes but the one that may be nothing.
NUMBERS = [
    field.name for field in fields(Config) if type(field.default) in (int, float) and field.name != "upgradeDelay"
] + ["httpCompression", "perMessageDeflate"]


class ConfigTests(SynchronousTestCase):
    """Defaults and refusals."""

    def assertRefuses(self, **settings: Any) -> None:
        """These settings are a ValueError."""
        self.assertRaises(ValueError, Config, **settings)

    def test_generations(self) -> None:
        """The generations that are served are some that there are."""
        self.assertEqual(Config(generations=["Socket.IO 0.6"]).generations, ["Socket.IO 0.6"])
        self.assertRaises(ValueError, Config, generations=["Socket.IO 5"])
        self.assertRaises(ValueError, Config, generations="Socket.IO 0.6")

    def test_sameSite(self) -> None:
        """A cookie's attributes are what browsers know; one for other sites is for TLS alone, wherever that ends."""
        self.assertRaises(ValueError, Cookie, sameSite="lax;x")
        self.assertIn("; Secure", Cookie(sameSite="None").header("a", False))
        self.assertNotIn("; Secure", Cookie(sameSite="None", secure=False).header("a", True))
        self.assertNotIn("; Secure", Cookie().header("a", False))

    def test_parser(self) -> None:
        """The parser that clients must have is one that there is, or none."""
        for parser in ("json", "msgpack", None):
            self.assertEqual(Config(parser=parser).parser, parser)
        self.assertRaises(ValueError, Config, parser="xml")

    def test_defaults(self) -> None:
        """Everything is served, to the server's own pages; the times are those that the clients of 0.6 need."""
        config = Config()
        self.assertEqual(list(config.origins), [])
        self.assertEqual(set(config.transports), {"polling", *SOCKETIO_06.transports})
        self.assertEqual(list(config.codecs), [SIOCodec, SIOStreamingCodec])
        self.assertEqual((config.reconnectTimeout, config.pollDuration), (60, 20))
        self.assertEqual((config.heartbeatInterval, config.heartbeatTimeout), (10, 8))
        self.assertEqual((config.pingInterval, config.pingTimeout, config.connectTimeout), (25, 20, 45))
        self.assertEqual((config.allowUpgrades, config.upgradeTimeout, config.upgradeDelay), (True, 10, 0.1))
        self.assertEqual((config.maxAttachments, config.cleanUpNamespaces), (100, False))
        self.assertEqual((config.cookie, config.httpCompression, config.perMessageDeflate), (None, None, None))
        self.assertEqual(config.maxPayload, 1_000_000)
        self.assertEqual((config.queueMessages, config.queueBytes), (1000, 4 * 1024 * 1024))
        # A client that hears nothing for so long gives up: on a stream, and on a poll.
        self.assertTrue(config.heartbeatInterval < 15 and config.pollDuration < 25)

    def test_chosen(self) -> None:
        """What is chosen is there, and can't be changed afterwards."""
        config = Config(
            origins=["example.com:*"], transports=["websocket"], codecs=[SIOStreamingCodec], reconnectTimeout=0.5
        )
        self.assertEqual((config.origins, config.transports), (["example.com:*"], ["websocket"]))
        self.assertEqual((config.codecs, config.reconnectTimeout), ([SIOStreamingCodec], 0.5))
        self.assertRaises(FrozenInstanceError, setattr, config, "origins", [])

    def test_byNameOnly(self) -> None:
        """Settings have names, and no other names."""
        self.assertRaises(TypeError, Config, ["example.com"])
        self.assertRaises(TypeError, Config, timeout=1)

    def test_origins(self) -> None:
        """A rule that is none is refused at once."""
        self.assertRefuses(origins=["example.com", "not an origin"])

    def test_originsAsText(self) -> None:
        """One text in the place of a list of rules is refused: each of its letters would be a host."""
        self.assertRefuses(origins="example.com")
        self.assertRefuses(origins="*")

    def test_transports(self) -> None:
        """A transport that there is not is refused, and named."""
        error = self.assertRaises(ValueError, Config, transports=["websocket", "xhr", "smoke"])
        self.assertIn("smoke, xhr", str(error))
        self.assertRefuses(transports="websocket")

    def test_codecs(self) -> None:
        """There is at least one codec, each has a name of its own, and none that of a transport."""

        class Same(SIOCodec):
            """A codec that took another's name."""

        class Transport(SIOCodec):
            """A codec with the name of a transport."""

            name = "websocket"

        class Nameless(SIOCodec):
            """A codec whose name is empty, as some segments of URLs are."""

            name = ""

        self.assertRefuses(codecs=[])
        for codec in (SIOCodec, Same, Transport, Nameless):
            self.assertRefuses(codecs=[SIOCodec, codec])
        self.assertEqual(Config(codecs=[Same]).codecs, [Same])

    def test_numbers(self) -> None:
        """Every time and size is more than nothing."""
        self.assertEqual(len(NUMBERS), 15)
        for name in NUMBERS:
            for value in (0, -1, -0.5):
                error = self.assertRaises(ValueError, Config, **{name: value})
                self.assertIn(name, str(error))
            smallest: dict[str, Any] = {name: 1}
            self.assertEqual(getattr(Config(**smallest), name), 1)

    def test_upgradeDelay(self) -> None:
        """The delay of polls during an upgrade may be none, and no less."""
        self.assertEqual(Config(upgradeDelay=0).upgradeDelay, 0)
        for value in (-0.1, float("nan")):
            self.assertRefuses(upgradeDelay=value)

    def test_notNumbers(self) -> None:
        """What is no number is refused, for no timer would ring, and no limit hold."""
        for name in NUMBERS:
            self.assertRefuses(**{name: float("nan")})


class CookieTests(SynchronousTestCase):
    """The cookie for load balancers."""

    def test_defaults(self) -> None:
        """The cookie of clients 1.x and 2.x, kept until the browser is closed; on TLS alone if it was set there."""
        self.assertEqual(Cookie().header("abc", False), "io=abc; HttpOnly; Path=/; SameSite=Lax")
        self.assertEqual(Cookie().header("abc", True), "io=abc; HttpOnly; Path=/; SameSite=Lax; Secure")

    def test_chosen(self) -> None:
        """Everything can be chosen."""
        cookie = Cookie(
            name="node", path="/chat", sameSite="None", httpOnly=False, secure=True, domain="chat.example", maxAge=60
        )
        parts = cookie.header("abc", False).split("; ")
        self.assertEqual(parts[0], "node=abc")
        self.assertEqual(set(parts[1:]), {"Path=/chat", "SameSite=None", "Secure", "Domain=chat.example", "Max-Age=60"})
        self.assertNotIn("Secure", Cookie(secure=False).header("abc", True))

    def test_badName(self) -> None:
        """A name that no cookie can have is refused where it is made."""
        for name in ("", "a b", "a;b", "a=b", "ü"):
            self.assertRaises(ValueError, Cookie, name=name)
