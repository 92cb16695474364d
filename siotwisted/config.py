"""
Everything about a server that its owner may choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siotwisted.dialects import SOCKETIO_06, SOCKETIO_06_CODECS
from siotwisted.origins import Origins
from siotwisted.wire.codec import Codec

__all__ = ["Config"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """
    The settings of a :class:`~siotwisted.SocketIO`. Times are in seconds, fractions allowed; sizes in bytes.

    :param origins: which pages of other origins may connect; see :mod:`siotwisted.origins`. None by default.
    :param transports: the names of the transports to serve.
    :param codecs: the codecs to serve: the first answers the plain URLs, and each also
        ``<endpoint>/<its name>/<transport>``.
    :param reconnectTimeout: how long the session of an absent client, and its messages, wait for it to come back.
    :param heartbeatInterval: how long a stream rests between the client's sign of life and the next question for one.
        Clients of 0.6 give a silent server up after 15 seconds.
    :param heartbeatTimeout: how long the client may take to answer.
    :param pollDuration: how long a poll is held when there is nothing to say. Clients of 0.6 wait 25 seconds.
    :param maxPayload: the largest payload that a client may send, in one request or one WebSocket message.
    :param queueMessages: how many messages may wait for a client.
    :param queueBytes: how many bytes they may have together, and so how large one may be.
    :param closeTimeout: how long the client of a WebSocket may take to answer our goodbye before its connection is cut.
    :raises ValueError: for a setting that can't be.
    """

    origins: Sequence[str] = ()
    transports: Sequence[str] = SOCKETIO_06.transports
    codecs: Sequence[type[Codec]] = SOCKETIO_06_CODECS
    reconnectTimeout: float = 60.0
    heartbeatInterval: float = 10.0
    heartbeatTimeout: float = 8.0
    pollDuration: float = 20.0
    maxPayload: int = 1_000_000
    queueMessages: int = 1_000
    queueBytes: int = 4 * 1024 * 1024
    closeTimeout: float = 5.0

    def __post_init__(self) -> None:
        for name in ("origins", "transports"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a list of texts, not a text")
        Origins(self.origins)
        unknown = set(self.transports) - set(SOCKETIO_06.transports)
        if unknown:
            raise ValueError(f"no such transport: {', '.join(sorted(unknown))}")
        names = [codec.name for codec in self.codecs]
        if not all(names) or len(set(names)) < max(len(names), 1) or set(names) & set(SOCKETIO_06.transports):
            raise ValueError("codecs need names, each its own, and none the name of a transport")
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not value > 0:
                raise ValueError(f"{name} must be more than 0")
