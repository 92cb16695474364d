"""
The endpoint: what is under ``/socket.io/``, wherever in a site that is.

A request's way from here: its path is read into a :class:`~siotwisted.dialects.Route`, the resource of its transport
makes the checks at the door, and its body or its held answer becomes a transport of a session.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from twisted.web.resource import Resource
from twisted.web.server import Request

from siotwisted.admission import Admission
from siotwisted.clientfiles import ClientFiles
from siotwisted.dialects.dialect import Refusal, Route
from siotwisted.transports.http import TransportResource, parseQuery, queryOf, refuse, setHeaders
from siotwisted.transports.polling import (
    GoodbyeResource,
    HandshakeResource,
    JSONPPollingResource,
    XHRPollingResource,
)
from siotwisted.transports.streaming import HTMLFileResource, XHRMultipartResource
from siotwisted.transports.websocketfactory import HasAdmission, SocketIOWebSocketFactory
from siotwisted.transports.websocketresource import WebSocketResource

__all__ = ["SocketIOResource"]

_POLLS = frozenset(("handshake", "xhr-polling", "jsonp-polling"))
_UPGRADES = frozenset(("websocket",))
#: The resources of so many URLs are remembered: without times and session ids, there are only a few.
_REMEMBERED = 64
#: And of those only that have fewer fields in their query.
_FEW = 16
#: The session id in a query.
_SESSION = re.compile(rb"&sid=([0-9A-Za-z_-]{1,64})(?=&|$)")
_NOT_FOUND = Refusal(404, "not a Socket.IO URL")


class SocketIOResource(Resource):
    """
    A server's endpoint as a resource of Twisted Web: hang it anywhere in a ``Site``, with ``putChild(b"socket.io",
    ...)``.

    :param sio: the server.
    :param clientFiles: client scripts to serve at the URLs that no transport has.
    """

    isLeaf = True

    def __init__(self, sio: HasAdmission, clientFiles: ClientFiles | None = None) -> None:
        super().__init__()
        self._admission = sio.admission
        self._clientFiles = clientFiles
        #: What clients of Engine.IO ask for, by the query without time and session id, and whether it is a WebSocket.
        self._resources: dict[tuple[bytes, bool], TransportResource] = {}
        upgrade = partial(WebSocketResource, factory=SocketIOWebSocketFactory(sio))
        self._carriers: dict[str, Callable[[Admission, Route], TransportResource]] = {
            "websocket": upgrade,
            "htmlfile": HTMLFileResource,
            "xhr-multipart": XHRMultipartResource,
            "xhr-polling": XHRPollingResource,
            "jsonp-polling": JSONPPollingResource,
            "handshake": HandshakeResource,
            "goodbye": GoodbyeResource,
        }

    def shortcut(self, path: bytes, query: bytes, asked: bytes, upgrades: bool) -> TransportResource | None:
        """
        The resource of a request, if it is one of those that clients make again and again: polls, what polling clients
        post, and the handshakes before; and, of those that ask for a WebSocket, the ones that may.

        :param path: below the endpoint.
        :param asked: the whole target without its time.
        """
        found = None if path or not query else _SESSION.search(asked, asked.index(b"?"))
        kind = (asked if found is None else asked[: found.start()] + asked[found.end() :]), upgrades
        resource = self._resources.get(kind)
        if resource is None:
            fields = parseQuery(query.decode("ascii"))
            if found is not None:
                rest = parseQuery(kind[0].partition(b"?")[2].decode("ascii"))
                if "sid" in rest or not fields:  # one more, or too many of whatever
                    found = None
                else:
                    fields = rest
            route = self._admission.route(path.decode("ascii").split("/"), fields)
            if route is None or route.carrier not in (_UPGRADES if upgrades else _POLLS):
                return None
            resource = self._carriers[route.carrier](self._admission, route)
            if not (path or "sid" in fields) and 0 < len(fields) < _FEW:
                if len(self._resources) >= _REMEMBERED:
                    self._resources.clear()
                self._resources[kind] = resource
        return resource if found is None else resource.of(found[1].decode("ascii"))

    def sessionID(self, path: bytes, query: bytes) -> str:
        """The id of the session that a request is for; nothing if it is for none."""
        route = self._admission.route(path.decode("ascii").split("/"), parseQuery(query.decode("ascii")))
        return "" if route is None else route.sessionID

    def render(self, request: Request) -> int | bytes:
        """Serve a request by the transport that its path names."""
        segments = [segment.decode("utf-8", "replace") for segment in request.postpath or ()]
        route = self._admission.route(segments, queryOf(request))
        if route is not None:
            return self._carriers[route.carrier](self._admission, route).render(request)
        if self._clientFiles is not None:
            file = self._clientFiles.get("/".join(segments))
            if file is not None:
                return file.render(request)
        setHeaders(request, {})
        return refuse(request, _NOT_FOUND)
