"""
Everything about a server that its owner may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4, PARSERS
from siotwisted.dialects.socketio06 import SOCKETIO_06, SOCKETIO_06_CODECS
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.handshake import Handshake
from siotwisted.origins import Origins
from siotwisted.wire.codec import Codec

__all__ = ["GENERATIONS", "TRANSPORTS", "Config", "Cookie"]

#: The names of all generations that there are.
GENERATIONS = (SOCKETIO_06.name, SOCKETIO_09.name, ENGINEIO_3.name, ENGINEIO_4.name)
#: The names of all transports that there are; what 0.7 to 0.9 have, 0.6 has too.
TRANSPORTS = tuple(dict.fromkeys((*ENGINEIO_4.transports, *SOCKETIO_06.transports)))


@dataclass(frozen=True, kw_only=True)
class Cookie:
    """
    A cookie by which a load balancer can send all requests of a session to one process. It comes with the answer to a
    session's first request; the session's id, which is a secret, can't be told from its value.

    :param name: its name.
    :param path: for which paths it is sent back.
    :param sameSite: ``Lax``, ``Strict`` or ``None``.
    :param httpOnly: whether scripts can't read it.
    :param secure: whether it is sent back on TLS alone; if left out, when the session began on TLS.
    :param domain: for which hosts it is sent back, if not the one that set it alone.
    :param maxAge: for how many seconds it is kept; if left out, until the browser is closed.
    :raises ValueError: for a name or a ``sameSite`` that no cookie can have.
    """

    name: str = "io"
    path: str = "/"
    sameSite: str = "Lax"
    httpOnly: bool = True
    secure: bool | None = None
    domain: str | None = None
    maxAge: int | None = None

    def __post_init__(self) -> None:
        if self.sameSite not in ("Lax", "Strict", "None"):
            raise ValueError(f"sameSite can't be {self.sameSite!r}")
        self.header("value", False)

    def header(self, value: str, secure: bool) -> str:
        """
        The value of the ``Set-Cookie`` header.

        :param secure: whether the request came through TLS.
        """
        cookie: SimpleCookie = SimpleCookie()
        try:
            cookie[self.name] = value
        except CookieError as error:
            raise ValueError(f"not the name of a cookie: {self.name!r}") from error
        attributes = {
            "path": self.path,
            "samesite": self.sameSite,
            "httponly": self.httpOnly,
            # Without TLS, browsers take no cookie for other sites.
            "secure": secure or self.sameSite == "None" if self.secure is None else self.secure,
            "domain": self.domain,
            "max-age": self.maxAge,
        }
        for key, each in attributes.items():
            if each not in (None, False):
                cookie[self.name][key] = each
        return cookie[self.name].OutputString()


@dataclass(frozen=True, kw_only=True)
class Config:
    """
    The settings of a :class:`~siotwisted.SocketIO`. Times are in seconds, fractions allowed; sizes in bytes.

    :param origins: which pages of other origins may connect; see :mod:`siotwisted.origins`. None by default.
    :param transports: the names of the transports to serve.
    :param generations: the generations of clients to serve, as ``connection.generation`` calls them.
    :param codecs: the codecs to serve: the first answers the plain URLs, and each also
        ``<endpoint>/<its name>/<transport>``.
    :param reconnectTimeout: how long the session of an absent client, and its messages, wait for it to come back.
    :param heartbeatInterval: how long a stream rests between the client's sign of life and the next question for one.
        Clients of 0.6 give a silent server up after 15 seconds.
    :param heartbeatTimeout: how long the client may take to answer.
    :param pollDuration: how long a poll is held when there is nothing to say. Clients of 0.6 wait 25 seconds.
    :param pingInterval: the same as ``heartbeatInterval`` for clients from 0.7 on, which are told it; those of 1.x and
        2.x ask us in this interval.
    :param pingTimeout: the same as ``heartbeatTimeout`` for them.
    :param connectTimeout: how long a client may stay before it joins its first namespace.
    :param allowUpgrades: whether clients from 1.0 on may move from polls to a WebSocket.
    :param upgradeTimeout: how long they may try that out.
    :param upgradeDelay: how long a poll is still held then. At 0, the first packets of the client's application are
        answered by the next poll, or by the WebSocket.
    :param maxPayload: the largest payload that a client may send, in one request or one WebSocket message.
    :param maxAttachments: how many bytes objects one packet of a client may have. JavaScript's own parser takes 10.
    :param parser: the one parser that clients of 3.x and 4.x must have: ``json`` or ``msgpack``. If left out, the first
        message of each tells which it has.
    :param identity: tells from a :class:`~siotwisted.Handshake` which client it is, as something that can be the key of
        a dict; None if that can't be told. A client that comes back gets what the one that was known by the same key
        had not confirmed. It must be one client's alone: of one user's device or page, not of the user.
    :param recovery: for how long a client from 4.6 on that is away, without having said goodbye, can come back and get
        all that its rooms were sent meanwhile; None for never.
    :param recoveryMiddleware: whether middleware is asked about such a client again.
    :param queueMessages: how many messages may wait for a client.
    :param queueBytes: how many bytes they may have together, and so how large one may be, as UTF-8 and as bytes, before
        a protocol puts anything around them, escapes them or makes them base64. On a stream, as many may be on their
        way and not confirmed.
    :param closeTimeout: how long the client of a WebSocket may take to answer our goodbye before its connection is cut.
    :param cleanUpNamespaces: whether a namespace that came to be by a pattern is forgotten when its last client leaves.
    :param cookie: a cookie for sessions that begin with a poll; None for none.
    :param httpCompression: from how many bytes on the answer to a poll is compressed; None for never.
    :param perMessageDeflate: from how many bytes on a WebSocket message is compressed; None for never. Costs memory and
        time for each client.
    :raises ValueError: for a setting that can't be.
    """

    origins: Sequence[str] = ()
    transports: Sequence[str] = TRANSPORTS
    generations: Sequence[str] = GENERATIONS
    codecs: Sequence[type[Codec]] = SOCKETIO_06_CODECS
    reconnectTimeout: float = 60.0
    heartbeatInterval: float = 10.0
    heartbeatTimeout: float = 8.0
    pollDuration: float = 20.0
    pingInterval: float = 25.0
    pingTimeout: float = 20.0
    connectTimeout: float = 45.0
    allowUpgrades: bool = True
    upgradeTimeout: float = 10.0
    upgradeDelay: float = 0.1
    maxPayload: int = 1_000_000
    maxAttachments: int = 100
    parser: str | None = None
    identity: Callable[[Handshake], Hashable] | None = None
    recovery: float | None = None
    recoveryMiddleware: bool = False
    queueMessages: int = 1_000
    queueBytes: int = 4 * 1024 * 1024
    closeTimeout: float = 5.0
    cleanUpNamespaces: bool = False
    cookie: Cookie | None = None
    httpCompression: int | None = None
    perMessageDeflate: int | None = None

    def __post_init__(self) -> None:
        for name in ("origins", "transports", "generations"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a list of texts, not a text")
        Origins(self.origins)
        unknown = set(self.transports) - set(TRANSPORTS)
        if unknown:
            raise ValueError(f"no such transport: {', '.join(sorted(unknown))}")
        unknown = set(self.generations) - set(GENERATIONS)
        if unknown:
            raise ValueError(f"no such generation: {', '.join(sorted(unknown))}")
        names = [codec.name for codec in self.codecs]
        if not all(names) or len(set(names)) < max(len(names), 1) or set(names) & set(TRANSPORTS):
            raise ValueError("codecs need names, each its own, and none the name of a transport")
        if self.parser not in PARSERS:
            raise ValueError(f"no such parser: {self.parser}")
        if not self.upgradeDelay >= 0:
            raise ValueError("upgradeDelay must not be less than 0")
        for name, value in vars(self).items():
            if name != "upgradeDelay" and type(value) in (int, float) and not value > 0:
                raise ValueError(f"{name} must be more than 0")
