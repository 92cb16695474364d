"""
Every exception of the package.

:class:`SocketIOError` is their common base, so that an application can catch whatever comes from here in one clause.
"""

from __future__ import annotations

__all__ = ["EncodeError", "ProtocolError", "QueueFull", "SessionClosed", "SocketIOError"]


class SocketIOError(Exception):
    """Base of every exception that siotwisted raises."""


class ProtocolError(SocketIOError):
    """
    A peer sent something that its protocol forbids.

    Raised by decoders and answered by the session, which ends; an application never sees it.
    """


class EncodeError(SocketIOError, ValueError):
    """The data of a message can't be written on the wire: it is neither text nor something that JSON can hold."""


class SessionClosed(SocketIOError):
    """The session has ended: nothing can be sent on it any more."""


class QueueFull(SocketIOError):
    """
    The outgoing queue of a session holds as many messages or bytes as its limits allow.

    The message was not accepted; all that was accepted before it stays queued.
    """
