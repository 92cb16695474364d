"""
A packet on its way out, and every form of it that was made so far.

A broadcast hands one :class:`Outgoing` to all its recipients. Whatever two of them have in common, the JSON text, the
frame of a codec, the bytes dressed for a transport, is made for the first and shared by the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from siotwisted.packets import Kind, Packet
from siotwisted.wire.jsontext import dumps

__all__ = ["Outgoing"]


class Outgoing:
    """
    One packet to send, to however many clients.

    :ivar packet: what it says.
    :ivar text: its data as text: JSON for :attr:`~siotwisted.packets.Kind.JSON`, otherwise the data itself.
    :raises siotwisted.errors.EncodeError: from the constructor, if JSON can't hold the data.
    """

    __slots__ = ("_forms", "packet", "text")

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.text: str = dumps(packet.data) if packet.kind is Kind.JSON else packet.data
        self._forms: dict[Hashable, bytes] = {}

    def form(self, key: Hashable, build: Callable[[Outgoing], bytes]) -> bytes:
        """
        The bytes known by ``key``: made by ``build(self)`` the first time, and the same object ever after.

        :param key: names everything that the bytes depend on beside the packet: the codec, the transport.
        """
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = build(self)
        return form
