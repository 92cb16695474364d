"""
Namespaces: what applications register their handlers with, and send to many through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar, overload

from twisted.internet.defer import Deferred

from siotwisted.connections import Connection
from siotwisted.handlers import Handler, marked
from siotwisted.packets import Reason
from siotwisted.recipients import BaseNamespace, NamespaceCore
from siotwisted.rooms import Delivery
from siotwisted.wire.sio45 import RESERVED

__all__ = ["Namespace"]

_Handler = TypeVar("_Handler", bound=Handler)
_OnConnect = TypeVar("_OnConnect", bound=Callable[[Connection], object])
_OnMessage = TypeVar("_OnMessage", bound=Callable[[Connection, Any], object])
_OnDisconnect = TypeVar("_OnDisconnect", bound=Callable[[Connection, Reason], object])

#: What happens to a connection itself, by the names that its handlers may be registered with.
_LIFE = ("connect", "disconnect", "disconnecting")


class Namespace(BaseNamespace[Connection]):
    """
    A part of the application: its handlers, the connections that are in it, and what can be sent to them.

    ``sio.of("/chat")`` makes one, to register functions with. A class of its own for it marks its methods with
    :func:`~siotwisted.event`, and ``sio.serve("/chat", Chat())`` puts it in its place.

    Handlers return a value, a Deferred or a coroutine: the answer to a client that wants one. None is an answer without
    arguments, a tuple has several, and :data:`~siotwisted.NO_ACK` is none at all. Of several handlers of one event, the
    first whose result is not that answers. A handler that fails is logged, and the connection lives.
    """

    _marked: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """
        Collect the methods that are marked as handlers.

        :raises TypeError: for one that takes the place of something that every namespace has.
        """
        super().__init_subclass__(**options)
        cls._marked = tuple(marked(cls))
        for event, attribute in cls._marked:
            _check(event)
            if hasattr(Namespace, attribute):
                raise TypeError(f"{attribute} is a name that every Namespace has: use @event({event!r}) on another")

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Make the inside here, so that a subclass need not call this class's constructor in its own."""
        self = super().__new__(cls)
        self._core = NamespaceCore(self)
        for event, attribute in cls._marked:
            self._core.handlers.add(event, getattr(self, attribute))
        return self

    def onConnect(self, handler: _OnConnect) -> _OnConnect:
        """
        Call ``handler(connection)`` for every new client, before any of its events.

        Like the others it may return a Deferred or a coroutine; it is not waited for. Can be used as a decorator;
        several handlers are called in the order in which they were registered.
        """
        self._core.handlers.add("connect", handler)
        return handler

    def onMessage(self, handler: _OnMessage) -> _OnMessage:
        """
        Call ``handler(connection, message)`` for every message: text, or the value of a JSON message. The event
        ``message`` is a message, too.
        """
        self._core.handlers.add("message", handler)
        return handler

    def onDisconnecting(self, handler: _OnDisconnect) -> _OnDisconnect:
        """Call ``handler(connection, reason)`` for every client that leaves, while its rooms are still known."""
        self._core.handlers.add("disconnecting", handler)
        return handler

    def onDisconnect(self, handler: _OnDisconnect) -> _OnDisconnect:
        """
        Call ``handler(connection, reason)`` once for every connection that has ended. Where the application knows its
        clients by ``Config.identity``, or ``Config.recovery`` is on, the client may come back in another one.

        :class:`~siotwisted.packets.Reason` lists the reasons, which are strings.
        """
        self._core.handlers.add("disconnect", handler)
        return handler

    @overload
    def on(self, event: str, handler: _Handler) -> _Handler: ...
    @overload
    def on(self, event: str) -> Callable[[_Handler], _Handler]: ...

    def on(self, event: str, handler: _Handler | None = None) -> _Handler | Callable[[_Handler], _Handler]:
        """
        Call ``handler(connection, *arguments)`` for every event of this name; without a handler, decorate one.

        :param event: its name; ``connect``, ``disconnect``, ``disconnecting`` and ``message`` are the same as
            :meth:`onConnect` and so on.
        :raises ValueError: for a name that no client can send.
        """
        _check(event)

        def register(handler: _Handler) -> _Handler:
            self._core.handlers.add(event, handler)
            return handler

        return register if handler is None else register(handler)

    def onAny(self, handler: _Handler) -> _Handler:
        """Call ``handler(connection, event, *arguments)`` for every event that comes in, before its own handlers."""
        self._core.handlers.incoming.append(handler)
        return handler

    def onAnyOutgoing(self, handler: _Handler) -> _Handler:
        """Call ``handler(connection, event, *arguments)`` for every event that goes out, once for each recipient."""
        self._core.handlers.outgoing.append(handler)
        return handler

    def use(self, middleware: _OnConnect) -> _OnConnect:
        """
        Ask ``middleware(connection)`` about every client that wants to join, which waits for its Deferred or coroutine.

        It refuses the client by raising :exc:`~siotwisted.ConnectionRefused`; if it fails in another way, the log
        tells, and the client is refused too. Can be used as a decorator; all that are registered must agree.
        """
        self._core.handlers.middleware.append(middleware)
        return middleware

    def broadcast(self, data: object) -> Deferred[Delivery]:
        """Send a message to every client; the same as :meth:`send`."""
        return self.send(data)

    def broadcastExcept(self, connection: Connection, data: object) -> Deferred[Delivery]:
        """Send a message to every client but one; otherwise as :meth:`send`."""
        return self.excluding(connection).send(data)


def _check(event: str) -> None:
    if event in RESERVED and event not in _LIFE:
        raise ValueError(f"no client can send {event!r}")
