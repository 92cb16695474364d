"""
Several servers that are one: what is done to many connections of a namespace is done on all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from siotwisted.connections import Connection, Core
from siotwisted.fanout import LocalFanout
from siotwisted.interfaces import ICluster, IFanout
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.recipients import Replies
from siotwisted.rooms import Audience, Delivery
from siotwisted.wire.attachments import places, putBack

__all__ = ["ClusterFanout", "follow"]

#: What the others are told, by the name of the method that does it there.
_TOPICS = ("send", "join", "leave", "disconnect")


@implementer(IFanout)
class ClusterFanout:
    """
    Acts on the connections of this process at once, and has the other servers act on theirs.

    Who is asked for an answer, or counted, is here: :meth:`call` and :meth:`fetch` know of no others.

    :param core: the namespace.
    :param local: for the connections of this process.
    """

    def __init__(self, core: Core, local: LocalFanout, cluster: ICluster) -> None:
        self._core = core
        self._cluster = cluster
        self.local = local

    def send(self, outgoing: Outgoing, audience: Audience) -> Deferred[Delivery]:
        """
        Send one packet to all of them.

        :return: fires at once with how many took it here.
        """
        self._tell("send", audience, outgoing.kind.value, _bytes(outgoing.text), outgoing.attachments)
        return self.local.send(outgoing, audience)

    def call(self, outgoing: Outgoing, audience: Audience, timeout: float | None) -> Deferred[Replies[Connection]]:
        """Send one packet, which has a number, to all of them that are here, and wait for their answers."""
        return self.local.call(outgoing, audience, timeout)

    def fetch(self, audience: Audience) -> Deferred[list[Connection]]:
        """All of them that are here."""
        return self.local.fetch(audience)

    def join(self, audience: Audience, rooms: Sequence[str]) -> Deferred[None]:
        """Make all of them enter rooms."""
        self._tell("join", audience, [*map(_bytes, rooms)])
        return self.local.join(audience, rooms)

    def leave(self, audience: Audience, rooms: Sequence[str]) -> Deferred[None]:
        """Make all of them leave rooms."""
        self._tell("leave", audience, [*map(_bytes, rooms)])
        return self.local.leave(audience, rooms)

    def disconnect(self, audience: Audience, close: bool) -> Deferred[None]:
        """Make all of them leave the namespace, and end their sessions if ``close``."""
        self._tell("disconnect", audience, close)
        return self.local.disconnect(audience, close)

    def _tell(self, topic: str, audience: Audience, *values: Any) -> None:
        if not audience.local:
            rooms, excluded = [*map(_bytes, audience.rooms)], [*map(_bytes, audience.excluded)]
            self._cluster.tell(f"fanout {topic}", self._core.name, rooms, excluded, audience.volatile, *values)

    # What the others tell.

    def told(self, topic: str, audience: Audience, values: Sequence[Any]) -> None:
        """Another server has done something to its connections."""
        if topic == "send":
            self.local.send(self._core.outgoing(_packet(self._core.name, *values)), audience)
        elif topic == "disconnect":
            self.local.disconnect(audience, *values)
        else:
            getattr(self.local, topic)(audience, [*map(_text, values[0])])


def _bytes(text: str) -> bytes:
    """Text for another server: an application may have lone surrogates in it."""
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _packet(namespace: str, kind: str, text: bytes, attachments: Sequence[bytes]) -> Packet:
    """The packet that was sent by another server."""
    if Kind(kind) is Kind.MESSAGE:
        return Packet(Kind.MESSAGE, _text(text), namespace)
    data = [json.loads(text)]
    if attachments:
        putBack(places(data, len(attachments)), attachments)
    return Packet(Kind(kind), data[0], namespace)


def follow(cluster: ICluster, fanouts: Mapping[str, ClusterFanout]) -> None:
    """
    Do here what the other servers tell.

    :param fanouts: by the names of their namespaces; what nobody is in here has none.
    """

    def told(topic: str, name: str, rooms: list[bytes], excluded: list[bytes], volatile: bool, values: Any) -> None:
        if name in fanouts:
            audience = Audience(tuple(map(_text, rooms)), frozenset(map(_text, excluded)), volatile)
            fanouts[name].told(topic, audience, values)

    for each in _TOPICS:
        cluster.on(
            f"fanout {each}",
            lambda sender, name, rooms, excluded, volatile, *values, topic=each: told(
                topic, name, rooms, excluded, volatile, values
            ),
        )
