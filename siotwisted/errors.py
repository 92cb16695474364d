"""
Every exception of the package.

:class:`SocketIOError` is their common base, so that an application can catch whatever comes from here in one clause.
"""

from __future__ import annotations

__all__ = [
    "AckLost",
    "AckTimeout",
    "ConnectionRefused",
    "DeliveryFailed",
    "EncodeError",
    "EventRefused",
    "ProtocolError",
    "QueueFull",
    "SessionClosed",
    "SocketIOError",
    "UnsupportedByClient",
]


class SocketIOError(Exception):
    """Base of every exception that siotwisted raises."""


class ProtocolError(SocketIOError):
    """
    A peer sent something that its protocol forbids.

    Raised by decoders and answered by the session, which ends; an application never sees it.
    """


class EncodeError(SocketIOError, ValueError):
    """The data of a message can't be written on any wire: JSON can't hold it."""


class UnsupportedByClient(SocketIOError):
    """
    The client's generation has no words for this: bytes before 1.0, a question for an answer before 0.7.

    Nothing was sent.
    """


class SessionClosed(SocketIOError):
    """The session has ended: nothing can be sent on it any more."""


class QueueFull(SocketIOError):
    """
    The outgoing queue of a session holds as many messages or bytes as its limits allow.

    The message was not accepted; all that was accepted before it stays queued.
    """


class ConnectionRefused(SocketIOError):
    """
    Raised by middleware and by ``authorize`` handlers to refuse a client, which is told so.

    :param message: what the client is told.
    :param data: more of it, for clients that take more than a text; anything that JSON can hold.
    """

    def __init__(self, message: str = "not authorized", data: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class EventRefused(SocketIOError):
    """Raised by the middleware of a connection to drop an event, without a word in the log."""


class AckTimeout(SocketIOError):
    """A client did not answer in time."""


class AckLost(SocketIOError):
    """A client left before it answered."""


class DeliveryFailed(SocketIOError):
    """
    A client is not known to have got a message that it was sent.

    :param reason: why its session ended, or the connection.
    :param sent: whether a transport had the message once, so that the client may have it all the same.
    """

    def __init__(self, reason: str, sent: bool) -> None:
        super().__init__(f"{'not confirmed' if sent else 'never sent'}: {reason}")
        self.reason = reason
        self.sent = sent
