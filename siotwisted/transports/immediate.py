"""
Handing bytes to a TCP transport at once.

``transport.write`` keeps the bytes until the reactor comes round: two more system calls, to have the socket watched and
not watched again, and an event of the reactor, for each write, which is more than the writing itself. A socket that has
nothing to send nearly always takes a message right away.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.tcp import Server

from siotwisted.transports.readiness import MemberTransport

__all__ = ["hasUnsent", "takesAtOnce", "writeAtOnce", "writeLast"]

#: Where the system can wait for more before it makes a segment of what it has got.
_MORE = getattr(socket, "MSG_MORE", 0)


def takesAtOnce(transport: object) -> bool:
    """
    Whether :func:`writeAtOnce` may be used: only for an accepted TCP connection of Twisted's own, without TLS. Any
    other transport has its own way with bytes.
    """
    return type(transport) in (MemberTransport, Server) and not getattr(transport, "TLS", False)


def hasUnsent(transport: Any) -> bool:
    """Whether something waits to be sent, on a transport that :func:`takesAtOnce`."""
    return bool(transport.dataBuffer or transport._tempDataLen)


def writeAtOnce(transport: Any, data: bytes) -> None:
    """
    Write to a transport, as its ``write`` does, but without waiting for the reactor if nothing else waits to be sent.

    What the socket does not take, or refuses, goes the usual way: Twisted sends it later, pauses the producer if that
    is much, and notices by itself when the connection is broken.

    :param transport: one that :func:`takesAtOnce`.
    """
    if transport.dataBuffer or transport._tempDataLen or transport.disconnecting or not transport.connected:
        transport.write(data)
        return
    try:
        sent = transport.socket.send(data)
    except OSError:
        sent = 0
    if sent < len(data):
        transport.write(data[sent:])


def writeLast(transport: Any, data: bytes) -> bool:
    """
    Hand the last bytes of a connection to its socket, which the end is to follow at once, in one segment with them.

    :param transport: one that :func:`takesAtOnce`.
    :return: whether the socket took them all; if not, the reactor sends them, and the connection is to end behind that.
    """
    sent = -1
    if not (hasUnsent(transport) or transport.disconnecting) and transport.connected:
        try:
            sent = transport.socket.send(data, _MORE) if data else 0
        except OSError:
            sent = -1
    if sent == len(data):
        return True
    transport.write(data[max(sent, 0) :])
    return False
