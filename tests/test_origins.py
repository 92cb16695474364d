"""
``origins``: which pages may talk to the server, rule by rule, and that nothing but a rule lets a foreign page in.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.origins import Origins
from tests.wire import checks


class OriginsTests(SynchronousTestCase):
    """Rules against origins."""

    def assertAllows(
        self, rules: Sequence[str], *origins: str | None, host: str | None = "own", secure: bool = False
    ) -> None:
        """Each of these origins is let in."""
        for origin in origins:
            self.assertEqual(Origins(rules).allows(origin, host, secure), True, (rules, origin))

    def assertRefuses(
        self, rules: Sequence[str], *origins: str | None, host: str | None = "own", secure: bool = False
    ) -> None:
        """None of these origins is let in."""
        for origin in origins:
            self.assertEqual(Origins(rules).allows(origin, host, secure), False, (rules, origin))

    def test_ownOrigin(self) -> None:
        """Without rules, the server's own origin is let in, on its port, in any case, with or without TLS before us."""
        self.assertAllows([], "http://own", "http://own:80", "https://own", "https://own:443", "HTTP://OWN")
        self.assertAllows([], "http://own:8080", "https://own:8080", host="own:8080")
        self.assertAllows([], "http://OWN", host="Own:80")
        self.assertAllows([], "http://[::1]:8080", "http://[::1]:8080", host="[::1]:8080")

    def test_noScheme(self) -> None:
        """A client in Node.js names the server's own host and port without a scheme, and nothing else without one."""
        self.assertAllows([], "own:8080", host="own:8080")
        self.assertRefuses([], "own", "other:8080", "OWN:8080", "//own:8080", "", host="own:8080")
        self.assertRefuses([], "", host="")

    def test_otherOrigins(self) -> None:
        """Without rules, every other origin is refused, however like it looks."""
        self.assertRefuses([], "http://other", "http://own:81", "http://own:443", "http://sub.own", "http://own.other")
        self.assertRefuses(
            [], "http://ownother", "http://own.", "ftp://own", "ws://own", "null", "file://", "file:///own"
        )
        self.assertRefuses([], "http://own:8081", "http://own", "http://own:80", host="own:8080")

    def test_secure(self) -> None:
        """Through TLS, a page that came without is not the server's own."""
        self.assertAllows([], "https://own", "https://own:443", secure=True)
        self.assertRefuses([], "http://own", "http://own:443", "http://own:80", secure=True)
        self.assertAllows(["http://own"], "http://own", secure=True)

    def test_noOrigin(self) -> None:
        """A client that names no origin is let in; one that names an empty one is not."""
        self.assertAllows([], None)
        self.assertAllows([], None, host=None, secure=True)
        self.assertRefuses([], "", " ")

    def test_noHost(self) -> None:
        """Without a host, or with one that is none, the server has no own origin; rules hold."""
        for host in (None, "", "own:x", "own own", "own/", "a@own", "own:80:80", "own:", "[::1", "*"):
            self.assertRefuses([], "http://own", "http://own:80", "http://", "http://*", host=host)
            self.assertAllows(["own"], "http://own", host=host)

    def test_hostRule(self) -> None:
        """A host alone is the host on the standard ports of either scheme."""
        self.assertAllows(["example.com"], "http://example.com", "https://example.com", "http://example.com:80")
        self.assertAllows(["Example.COM"], "https://example.com:443", "HTTPS://EXAMPLE.com")
        self.assertRefuses(
            ["example.com"], "http://example.com:8080", "http://example.com:443", "https://example.com:80"
        )
        self.assertRefuses(
            ["example.com"], "http://sub.example.com", "http://example.com.evil", "http://evilexample.com"
        )
        self.assertRefuses(["example.com"], "http://example_com", "http://examplexcom")

    def test_portRule(self) -> None:
        """A host with a port is just that, with either scheme."""
        self.assertAllows(["example.com:8080"], "http://example.com:8080", "https://example.com:8080")
        self.assertRefuses(
            ["example.com:8080"], "http://example.com", "http://example.com:80", "http://example.com:80800"
        )
        self.assertAllows(["example.com:80"], "http://example.com", "https://example.com:80")
        self.assertRefuses(["example.com:80"], "https://example.com")

    def test_anyPortRule(self) -> None:
        """A host with a star is the host on any port, with either scheme."""
        self.assertAllows(["example.com:*"], "http://example.com", "https://example.com", "https://example.com:12345")
        self.assertRefuses(["example.com:*"], "http://sub.example.com:80", "http://example.com.evil:80", "null")

    def test_schemeRule(self) -> None:
        """A scheme in a rule must be that of the page."""
        self.assertAllows(["https://example.com"], "https://example.com", "https://example.com:443")
        self.assertRefuses(
            ["https://example.com"], "http://example.com", "https://example.com:8443", "http://example.com:443"
        )
        self.assertAllows(["https://example.com:*"], "https://example.com:8443", "https://example.com")
        self.assertRefuses(["https://example.com:*"], "http://example.com:8443")
        self.assertAllows(["http://example.com:8080"], "http://example.com:8080")
        self.assertRefuses(["http://example.com:8080"], "https://example.com:8080")

    def test_addresses(self) -> None:
        """Rules may name addresses, those of IPv6 in brackets."""
        self.assertAllows(["127.0.0.1:*"], "http://127.0.0.1:8080")
        self.assertAllows(["[::1]:8080", "http://[2001:DB8::1]"], "http://[::1]:8080", "http://[2001:db8::1]")
        self.assertRefuses(["[::1]:8080"], "http://[::1]", "http://::1:8080", "http://[::2]:8080")

    def test_null(self) -> None:
        """Pages without an origin need the rule for them, or the rule for everyone; no other lets them in."""
        self.assertAllows(["null"], "null")
        self.assertAllows(["*"], "null")
        self.assertRefuses(["null"], "http://null", "NULL", "http://other", "")
        self.assertRefuses(["example.com:*"], "null", host="null")
        self.assertRefuses([], "null", host="null")

    def test_everyone(self) -> None:
        """A star lets everyone in, whatever it says it is."""
        for rule in ("*", "*:*"):
            self.assertAllows([rule], "http://other", "https://other:1", "null", "", "junk", "\ud800", None)

    def test_severalRules(self) -> None:
        """Any one rule will do."""
        rules = ["a.example", "https://b.example:*", "null"]
        self.assertAllows(rules, "http://a.example", "https://b.example:99", "null", "http://own")
        self.assertRefuses(rules, "http://b.example", "http://c.example")

    def test_knows(self) -> None:
        """An origin that only the star lets in is not known; the server's own and those with a rule are."""
        everyone = Origins(["*", "https://example.com"])
        for origin, known in (
            ("http://other", False),
            ("null", False),
            ("", False),
            ("junk", False),
            ("https://example.com", True),
            ("http://example.com", False),
            ("http://own", True),
        ):
            self.assertEqual(everyone.knows(origin, "own", False), known, origin)
        self.assertEqual(Origins(["null"]).knows("null", "own", False), True)

    def test_hostile(self) -> None:
        """What is not exactly an origin is refused, though a host that is allowed be in it."""
        self.assertRefuses(
            ["good.example:*", "null"],
            *("http://good.example/", "http://good.example/path", "http://good.example?x", "http://good.example#"),
            *("http://good.example http://evil", "http://evil http://good.example", "http://good.example, http://evil"),
            *("http://good.example@evil", "http://evil@good.example", "http://good.example:80@evil", "//good.example"),
            *("http://good.example\n", " http://good.example", "http://good.example\0", "http:/good.example"),
            *("http://good.example:", "http://good.example:x", "http://good.example:+80", "http://good.example:123456"),
            *("good.example", "http://", "http", "://good.example", "http://good.example:80:80", "nullnull", "null "),
            *("http://good.example:\u0668\u0660", "http://good.example:\xb2", "http://go\xf6d.example", "https//x"),
        )

    def test_onlyASCII(self) -> None:
        """Letters that become ASCII in another case are not the ASCII letters, in scheme and host."""
        self.assertRefuses([], "http\u017f://own", "http\u017f://own:80", "http://\u212a", "https://\u212a", host="k")
        self.assertRefuses(["key.example"], "http://\u212aey.example")
        self.assertRefuses(["sea.example:*"], "http://\u017fea.example")
        for rule in ("http\u017f://example.com", "http\u017f://example.com:80", "\u212aey.example", "\u0131.example"):
            self.assertRaises(ValueError, Origins, [rule])

    @checks.PROPERTY
    @given(
        st.text()
        | st.lists(st.sampled_from(["http", "s", "\u017f", "://", "own", ":", "80", "[", "]", "/", "*", "@"])).map(
            "".join
        ),
        st.none() | st.text() | st.lists(st.sampled_from(["own", ":", "80", "[::1]", "*"])).map("".join),
        st.booleans(),
    )
    def test_anyOrigin(self, origin: str, host: str | None, secure: bool) -> None:
        """No origin and no host make it fail; what is let in is the server's own host."""
        if Origins([]).allows(origin, host, secure):
            self.assertTrue(host is not None and host.lower().removesuffix(":80") in origin.lower(), (origin, host))

    def test_noRule(self) -> None:
        """A text that is no rule is the configuration's error."""
        for rule in (
            *("", " ", "example.com/", "http://", "ftp://example.com", "example.com:", "example.com:x", "exa mple.com"),
            *("http://example.com/", "*.example.com", "example.com:123456", "a:1:2", "::1", "*:80", "http://*", "x,y"),
        ):
            self.assertRaises(ValueError, Origins, [rule])
