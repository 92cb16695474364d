"""
The one vocabulary of all protocols: what a frame means, whatever its bytes look like.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, NamedTuple

__all__ = ["Kind", "Packet", "Reason", "messagePacket"]


class Kind(Enum):
    """What a packet is for."""

    __hash__ = object.__hash__  # that of Enum is a function of Python's, and takes as long as all the rest of a lookup

    #: The server tells a new client its session id, which is the data.
    OPEN = "open"
    #: Either side ends the session.
    CLOSE = "close"
    #: A sign of life, with a number or without, which the other side echoes.
    HEARTBEAT = "heartbeat"
    #: A question for a sign of life, in Engine.IO; the data is text, mostly none.
    PING = "ping"
    #: The answer to it, with the same data.
    PONG = "pong"
    #: The client moves to the transport that this comes on.
    UPGRADE = "upgrade"
    #: Nothing: it ends a poll.
    NOOP = "noop"
    #: A client joins a namespace, or has joined it.
    CONNECT = "connect"
    #: Either side leaves a namespace.
    DISCONNECT = "disconnect"
    #: A message whose data is text; in Engine.IO, text or bytes.
    MESSAGE = "message"
    #: A message whose data is a value that JSON can hold, with bytes in it where the protocol has them.
    JSON = "json"
    #: An event: the data is a list of its name and its arguments.
    EVENT = "event"
    #: The answer to an event or a message that asked for one: the data is the list of arguments.
    ACK = "ack"
    #: The client wants to know that the packet of this number has arrived; its library asks, not its application.
    RECEIPT = "receipt"
    #: A namespace refused a client, or something went wrong there.
    ERROR = "error"


class Packet(NamedTuple):
    """
    One packet: what it is for, what it carries, the namespace it belongs to, and the number by which an answer to it is
    known.
    """

    kind: Kind
    data: Any = None
    namespace: str = "/"
    id: int | None = None


class Reason(StrEnum):
    """Why a session ended. Each is also a plain string, in the words of Socket.IO where it has them."""

    #: The client closed its transport, or lost it and did not come back in time.
    TRANSPORT_CLOSE = "transport close"
    #: The client's poll was answered, and it did not poll again in time.
    RECONNECT_TIMEOUT = "reconnect timeout"
    #: The client did not answer a heartbeat, and did not come back in time.
    PING_TIMEOUT = "ping timeout"
    #: The client sent something that its protocol forbids.
    PARSE_ERROR = "parse error"
    #: The client said goodbye.
    CLIENT_DISCONNECT = "client namespace disconnect"
    #: The client did on its transport what its protocol forbids, or its poll was cut.
    TRANSPORT_ERROR = "transport error"
    #: The client broke the rules of its namespaces, or joined none in time; or the application ended the session.
    FORCED_CLOSE = "forced server close"
    #: The client has come back in another session, which has taken over what this one had for it.
    ADOPTED = "adopted"
    #: The application made the client leave.
    SERVER_DISCONNECT = "server namespace disconnect"
    #: The server was stopped.
    SERVER_SHUTTING_DOWN = "server shutting down"


def messagePacket(data: object, namespace: str = "/") -> Packet:
    """The packet that says ``data`` to a client: text, or a value."""
    if isinstance(data, str):
        return Packet(Kind.MESSAGE, str.__str__(data), namespace)  # the text of an enumeration's member too
    return Packet(Kind.JSON, data, namespace)
