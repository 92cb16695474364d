"""
Reads from a URL which dialect a request speaks, which transport it asks for, and for which session.

=============================================  ====================================================
``TRANSPORT/ID/...``                           0.5 and 0.6; ``CODEC/`` before it chooses a codec
``1``, ``1/TRANSPORT/ID``                      0.7 to 0.9
``?EIO=3&transport=TRANSPORT&sid=ID``          1.x and 2.x; ``EIO=2`` is 1.0.x
``?EIO=4&transport=TRANSPORT&sid=ID``          3.x and 4.x
=============================================  ====================================================

Everything is below the endpoint. ``got=NUMBER`` in the query of a client that resumes a session tells how many of its
messages the client has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from siotwisted.dialects.dialect import Dialect, Problem, Route
from siotwisted.dialects.engineio import ENGINEIO_4
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.wire.codec import Codec

__all__ = ["Router"]

_INDEX = re.compile("[0-9]{1,9}")
#: A proxy that merges slashes turns ``//TIME`` (no session id, and the milliseconds against caches) into ``/TIME``; our
#: session ids have letters, so a long number there is no id.
_TIME = re.compile("[0-9]{12,20}")
#: No id of ours is longer; what is longer is not looked up, stored or logged.
_LONGEST_ID = 64
_COUNT = re.compile("[0-9]{1,15}")
#: More messages than any session has.
_NO_COUNT = 10**15
#: What no session is called.
_NO_ID = "?"
#: What carries a transport that is not called like its carrier.
_CARRIERS = {"flashsocket": "websocket"}


def _indexOf(text: str) -> int | None:
    match = _INDEX.match(text)
    return int(match[0]) if match else None


class Router:
    """
    The URLs of one server.

    :param codecs: the codecs of 0.6 that may be asked for, by name; the first one is the codec of plain URLs. Without
        any, 0.6 is not served.
    :param engines: the dialects of Engine.IO, by what a URL has for ``EIO``.
    :param protocols: those of 0.7 to 0.9, by what a URL begins with.
    """

    def __init__(
        self, codecs: Mapping[str, type[Codec]], engines: Mapping[str, Dialect], protocols: Mapping[str, Dialect]
    ) -> None:
        self._codecs = codecs
        self._engines = engines
        self._protocols = protocols

    def route(self, segments: Sequence[str], query: Mapping[str, str]) -> Route | None:
        """
        Read a URL.

        :param segments: the path below the endpoint, cut at slashes and unquoted, empty segments kept.
        :param query: name to value.
        :return: None if it is no URL of a client.
        """
        route: Route | None = None
        if not any(segments):
            route = self._engineIO(query)
        elif segments[0].isascii() and segments[0].isdigit():
            route = self._socketIO09(segments, query) if self._protocols else None
        elif self._codecs:
            route = self._socketIO06(segments)
        got = query.get("got")
        if route is None or got is None:
            return route
        return route._replace(got=int(got) if _COUNT.fullmatch(got) else _NO_COUNT)

    def _engineIO(self, query: Mapping[str, str]) -> Route:
        """``j`` asks for JSONP, of which the digits are the callback's index."""
        transport, sessionID = query.get("transport", ""), query.get("sid", "")
        dialect = self._engines.get(query.get("EIO", ""))
        problem = None
        if transport not in ENGINEIO_4.transports:
            problem = Problem.TRANSPORT
        elif dialect is None:
            problem = Problem.VERSION
        dialect = dialect or ENGINEIO_4
        carrier, index = "xhr-polling", None
        if transport == "websocket":
            carrier = transport
        elif "j" in query:
            carrier, index = "jsonp-polling", _indexOf(query["j"]) or 0
        if len(sessionID) > _LONGEST_ID:
            sessionID = _NO_ID
        return Route(dialect, dialect.codec, transport, carrier, sessionID, index, problem)

    def _socketIO09(self, segments: Sequence[str], query: Mapping[str, str]) -> Route | None:
        """Any URL with a session and ``disconnect`` in its query ends the session."""
        version, transport, sessionID, *rest = *segments, "", "", ""
        problem = None if version in self._protocols else Problem.VERSION
        if any(rest) or len(sessionID) > _LONGEST_ID:
            return None
        if not transport and not sessionID:
            index = _indexOf(query.get("jsonp", ""))
            return Route(SOCKETIO_09, SOCKETIO_09.codec, "", "handshake", "", index, problem)
        carrier = _CARRIERS.get(transport, transport)
        if "disconnect" in query:
            carrier = "goodbye"
        elif transport not in SOCKETIO_09.transports:
            return None
        index = _indexOf(query.get("i", "")) or 0 if transport == "jsonp-polling" else None
        return Route(SOCKETIO_09, SOCKETIO_09.codec, transport, carrier, sessionID or _NO_ID, index, problem)

    def _socketIO06(self, segments: Sequence[str]) -> Route | None:
        """
        An empty id, or none, asks for a new session; what follows it, a time against caches or the word ``send``, is
        ignored, but for the last segment of a JSONP request: its callback's index.
        """
        codec = next(iter(self._codecs.values()))
        if segments[0] in self._codecs:
            codec, segments = self._codecs[segments[0]], segments[1:]
        if not segments or segments[0] not in SOCKETIO_06.transports:
            return None
        transport, *rest = segments
        while len(rest) > 1 and rest[-1] == "":
            rest.pop()
        sessionID = rest[0] if rest else ""
        if _TIME.fullmatch(sessionID):
            sessionID = ""
        if len(sessionID) > _LONGEST_ID:
            return None
        index = None
        if transport == "jsonp-polling" and len(rest) > 1 and _INDEX.fullmatch(rest[-1]):
            index = int(rest[-1])
        return Route(SOCKETIO_06, codec, transport, _CARRIERS.get(transport, transport), sessionID, index)
