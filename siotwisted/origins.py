"""
Which pages may talk to the server: the rules of ``Config.origins``.

A browser names the page that makes a request in its ``Origin`` header. A page of the server's own origin is always
welcome, and so is a client that names none, for it is no browser, or a browser that stays at home. Any other needs a
rule:

===========================  ==================================================================
``example.com``              that host on the standard ports of http and https
``example.com:8080``         that host and port, http or https
``example.com:*``            that host on any port
``https://example.com``      that scheme and host, on the scheme's standard port
``https://example.com:*``    that scheme and host, on any port
``null``                     pages without an origin: files, sandboxed frames
``*``                        everyone
===========================  ==================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Origins"]

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_RULE = re.compile(r"(?:(https?)://)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}|\*))?", re.ASCII | re.IGNORECASE)
_PORTS = {"http": "80", "https": "443"}


def _parse(origin: str) -> tuple[str, str, str] | None:
    """Scheme, host and port of an origin, or None if it is not one."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    scheme = match.group(1).lower()
    return scheme, match.group(2).lower(), match.group(3) or _PORTS[scheme]


class Origins:
    """
    The origins that are allowed beside the server's own.

    :param rules: as in the table above.
    :raises ValueError: for a text that is no rule.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        self._everyone = self._null = False
        self._allowed: set[tuple[str, str, str]] = set()
        for rule in rules:
            self._add(rule)

    def _add(self, rule: str) -> None:
        if rule in ("*", "*:*"):
            self._everyone = True
        elif rule == "null":
            self._null = True
        else:
            match = _RULE.fullmatch(rule)
            if match is None:
                raise ValueError(f"not an origin: {rule!r}")
            scheme, host, port = match.groups()
            for each in (scheme.lower(),) if scheme else _PORTS:
                self._allowed.add((each, host.lower(), port or _PORTS[each]))

    def allows(self, origin: str | None, host: str | None, secure: bool) -> bool:
        """
        Whether a request may be served.

        :param origin: its ``Origin`` header, or None.
        :param host: its ``Host`` header, or None: the name of the server's own origin.
        :param secure: whether it came through TLS. If not, a proxy may have ended the TLS, so pages of both schemes
            count as the server's own.
        """
        return origin is None or self._everyone or self.knows(origin, host, secure)

    def knows(self, origin: str, host: str | None, secure: bool) -> bool:
        """
        Whether an origin is the server's own or has a rule that names it, so that it may use a user's credentials too.

        The parameters are those of :meth:`allows`.
        """
        if origin == "null":
            return self._null
        parsed = _parse(origin)
        if parsed is None:
            # The client 0.9 in Node.js names no scheme. No browser does so, and a page can't make it.
            return bool(origin) and origin == host
        scheme, name, _ = parsed
        if parsed in self._allowed or (scheme, name, "*") in self._allowed:
            return True
        if host is None or (secure and scheme != "https"):
            return False
        return _parse(f"{scheme}://{host}") == parsed
