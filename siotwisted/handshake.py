"""
What a client said when it came: the facts of its first request, in one shape for HTTP and WebSocket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, AnyStr

__all__ = ["Handshake"]


def _frozen(mapping: Mapping[str, str]) -> Mapping[str, str]:
    """A proxy is taken as it is: most clients of an application send the same headers, and share them."""
    return mapping if isinstance(mapping, MappingProxyType) else MappingProxyType(dict(mapping))


@dataclass(frozen=True, slots=True)
class Handshake:
    """
    The first request of a session.

    :ivar method: the HTTP method.
    :ivar path: the path as it was asked for, without the query.
    :ivar headers: name, in lower case, to value; values of a repeated header are joined by ``", "``.
    :ivar query: name to value; the last one of a repeated name.
    :ivar address: the client's IP address as text; for anything but IP, the text of its address.
    :ivar secure: whether it came through TLS to this process.
    :ivar time: when it came, in seconds of the reactor's clock.
    :ivar transport: the name of the transport that it asked for.
    :ivar auth: what the client said when it joined the namespace; None if it said nothing.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    secure: bool = False
    time: float = 0.0
    transport: str = ""
    auth: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", _frozen(self.headers))
        object.__setattr__(self, "query", _frozen(self.query))

    def getHeader(self, name: AnyStr) -> AnyStr | None:
        """
        The value of a header, or None; asked in bytes, as one asks a Twisted Web request, it answers in bytes.

        :param name: the header's name in any case.
        """
        if isinstance(name, bytes):
            value = self.headers.get(name.decode("latin-1").lower())
            return None if value is None else value.encode("latin-1", "replace")
        return self.headers.get(name.lower())
