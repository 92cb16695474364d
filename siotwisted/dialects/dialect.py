"""
What a generation of clients is made of: the rest of the package reads these objects and never asks which one it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from siotwisted.packets import Reason
from siotwisted.wire.codec import BaseCodec

__all__ = ["Dialect", "Fault", "Heartbeat", "Posted", "Problem", "Refusal", "Route", "Settings", "derivedID"]


class Settings(Protocol):
    """What a dialect tells its clients of a server's configuration."""

    @property
    def transports(self) -> Sequence[str]:
        """The names of the transports that are served."""

    @property
    def pingInterval(self) -> float:
        """See :class:`siotwisted.Config`."""

    @property
    def pingTimeout(self) -> float:
        """See :class:`siotwisted.Config`."""

    @property
    def pollDuration(self) -> float:
        """See :class:`siotwisted.Config`."""

    @property
    def reconnectTimeout(self) -> float:
        """See :class:`siotwisted.Config`."""

    @property
    def maxPayload(self) -> int:
        """See :class:`siotwisted.Config`."""

    @property
    def allowUpgrades(self) -> bool:
        """See :class:`siotwisted.Config`."""


class Heartbeat(Enum):
    """Who asks for signs of life."""

    #: The server asks, on streams alone and in times that the client knows; a poll is a sign of life.
    FIXED = "fixed"
    #: The same, in times that the handshake tells.
    TOLD = "told"
    #: The server asks, whatever the transport.
    SERVER = "server"
    #: The client asks, whatever the transport.
    CLIENT = "client"


class Problem(Enum):
    """Why a request is not served."""

    STOPPING = "the server is stopping"
    TRANSPORT = "no such transport"
    VERSION = "no such version of the protocol"
    ORIGIN = "pages of this origin are not allowed"
    SESSION = "unknown session"
    MISMATCH = "not what this session can do now"
    METHOD = "not a method to begin a session with"
    POST = "messages without a session"
    UPGRADE = "a WebSocket that does not ask to be one"
    UNAUTHORIZED = "not authorized"
    FAILED = "authorization failed"


class Fault(NamedTuple):
    """
    How a generation says a problem.

    :ivar status: the HTTP status; 0 to cut the TCP connection without an answer.
    :ivar text: what the client is told, or the log if it is told nothing.
    :ivar code: the number that clients know it by, if they do.
    """

    status: int
    text: str
    code: int = 0


class Refusal(NamedTuple):
    """
    How a request is refused.

    :ivar status: the HTTP status; 0 to cut the TCP connection without an answer.
    :ivar message: the body of the answer; for a connection that is cut, what the log says.
    :ivar contentType: of the body.
    """

    status: int
    message: str
    contentType: str = "text/plain; charset=UTF-8"


class Posted(NamedTuple):
    """
    The payload of a POST.

    :ivar payload: text, or bytes where the protocol has them.
    :ivar form: it went through an HTML form as it is, which changes line breaks.
    """

    payload: str | bytes
    form: bool = False


class Route(NamedTuple):
    """
    What a URL asks for.

    :ivar dialect: the generation of the client.
    :ivar codec: how its packets are written.
    :ivar transport: the transport's name, as clients call it.
    :ivar carrier: what serves it: one transport may be carried in several ways.
    :ivar sessionID: the id of the session that it belongs to; ``""`` if it asks for a new one.
    :ivar callback: the number of the callback that a JSONP request wants to be answered with; None if it has none.
    :ivar problem: why it can't be served, if the URL tells already.
    :ivar got: how many messages of the session the client says it has; None if it says nothing.
    """

    dialect: Dialect
    codec: type[BaseCodec]
    transport: str
    carrier: str
    sessionID: str = ""
    callback: int | None = None
    problem: Problem | None = None
    got: int | None = None


def derivedID(sessionID: str, namespace: str) -> str:
    """The id of a connection where the session's is all that the client knows: ``socket.id`` in 1.x and 2.x."""
    return sessionID if namespace == "/" else f"{namespace}#{sessionID}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Dialect:
    """
    One generation of clients.

    :ivar name: what people call it.
    :ivar transports: the names of the transports that its clients know, as URLs spell them.
    :ivar codec: how its packets are written, where the URL does not choose.
    :ivar heartbeat: who asks for signs of life.
    :ivar upgrades: whether a client may move from polls to a WebSocket, having tried that out.
    :ivar goodbye: what the end of a session is called whose client said goodbye.
    :ivar outlivesStreams: whether a session waits for its client when a stream is lost.
    :ivar outlivesPolls: whether it waits when a held poll is lost.
    :ivar replacesPolls: whether a second poll takes the place of one that is held; otherwise it ends the session.
    :ivar takesNothing: whether the client takes an answer to a poll that has nothing in it for a good one, such as
        browsers make of one that was cut off in its head.
    :ivar pollsBeside: whether the client, once it has begun a second poll beside its first, ignores what the first one
        brings.
    :ivar joinsRoot: whether the server makes new clients join the namespace ``/``; otherwise they ask for it.
    :ivar rootIsAll: whether a client that leaves ``/`` has left every namespace.
    :ivar strict: whether a client that sends what it must not, such as an event before it joined, loses its session;
        otherwise that is ignored.
    :ivar recovers: whether a client can come back in another session and tell what it has missed.
    :ivar connectionID: the id of a connection, from those of its session and namespace.
    :ivar opening: what a new client is told: from the session's id, whether it has a WebSocket already, and settings.
    :ivar faults: how it says problems.
    :ivar express: a fault as the answer to a request.
    :ivar undress: the payload of a POST: from its body, its content type, and what was asked for. Raises ProtocolError.
    :ivar accepted: the answer to a POST that was taken, and its content type.
    :ivar jsonpCall: the script that answers a JSONP request: from the index, and the inside of a quoted text.
    :ivar htmlfileOpening: what an htmlfile begins with.
    :ivar htmlfileScript: the script in an htmlfile that carries a payload.
    """

    name: str
    transports: tuple[str, ...]
    codec: type[BaseCodec]
    heartbeat: Heartbeat
    upgrades: bool
    goodbye: Reason
    outlivesStreams: bool
    outlivesPolls: bool
    replacesPolls: bool
    takesNothing: bool
    pollsBeside: bool
    joinsRoot: bool
    rootIsAll: bool
    strict: bool
    recovers: bool
    connectionID: Callable[[str, str], str]
    opening: Callable[[str, bool, Settings], str]
    faults: Mapping[Problem, Fault]
    express: Callable[[Fault, Route], Refusal]
    undress: Callable[[bytes, str, Route], Posted]
    accepted: tuple[bytes, str]
    jsonpCall: Callable[[int, bytes], bytes]
    htmlfileOpening: bytes = b""
    htmlfileScript: Callable[[bytes], bytes] = bytes

    def refusal(self, problem: Problem, route: Route, text: str = "") -> Refusal:
        """
        How a problem is said.

        :param text: in place of the usual words.
        """
        fault = self.faults[problem]
        return self.express(fault._replace(text=text) if text else fault, route)
