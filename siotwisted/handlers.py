"""
The callables of an application, and how they are called: whatever they return or raise, the connection lives.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator, Sequence
from enum import Enum
from typing import Any, Final, Protocol, TypeVar, overload

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from siotwisted.errors import QueueFull, SessionClosed

__all__ = ["NO_ACK", "Answerable", "Handler", "Handlers", "event", "marked", "waitable"]


class _Answer(Enum):
    """Results that are no values."""

    NO_ACK = "NO_ACK"
    #: The handler failed, and the log knows.
    FAILED = "FAILED"

    def __repr__(self) -> str:
        return self.value


#: What a handler returns to leave an event unanswered.
NO_ACK: Final = _Answer.NO_ACK
_FAILED: Final = _Answer.FAILED

_MARK = "_siotwistedEvents"
_NO_HANDLERS: tuple[Handler, ...] = ()


class Handler(Protocol):
    """
    The shape of a handler: a callable that takes a connection, and what comes with the event.

    What it returns, or what its Deferred or coroutine comes to, is the answer to a client that wants one.
    """

    def __call__(self, connection: Any, /, *arguments: Any, **options: Any) -> object:
        """Something has happened."""


class Answerable(Protocol):
    """What a handler's result is told to: a connection."""

    @property
    def connected(self) -> bool:
        """Whether it still wants to hear of it."""

    def answer(self, id: int, value: object) -> None:
        """Answer the packet of this number."""


class Member(Answerable, Protocol):
    """
    The same, in its namespace.

    :ivar joined: false once it has left.
    """

    joined: bool | None


_Marked = TypeVar("_Marked", bound=Callable[..., object])


@overload
def event(name: _Marked) -> _Marked: ...
@overload
def event(name: str) -> Callable[[_Marked], _Marked]: ...


def event(name: str | _Marked) -> _Marked | Callable[[_Marked], _Marked]:
    """
    Make a method of a :class:`~siotwisted.Namespace` the handler of an event: of the method's own name as ``@event``,
    of another as ``@event("name")``. ``connect``, ``disconnect``, ``disconnecting`` and ``message`` are what
    ``onConnect`` and so on are elsewhere. One method may have several names.
    """
    if isinstance(name, str):
        return lambda method: _mark(method, name)
    return _mark(name, name.__name__)


def _mark(method: _Marked, name: str) -> _Marked:
    setattr(method, _MARK, (*getattr(method, _MARK, ()), name))
    return method


def marked(owner: type) -> Iterator[tuple[str, str]]:
    """
    The methods of a class that :func:`event` has marked, and those that take their place in a subclass.

    :return: the event's name and the method's, for each.
    """
    found: dict[str, tuple[str, ...]] = {}
    for ancestor in reversed(owner.__mro__):
        for attribute, value in vars(ancestor).items():
            names = getattr(value, _MARK, None)
            if isinstance(names, tuple):
                found[attribute] = names
    for attribute, names in found.items():
        if callable(getattr(owner, attribute)):
            yield from ((name, attribute) for name in names)


def waitable(result: object) -> Deferred[Any] | None:
    """
    The Deferred that a handler's result is, or the one that runs the coroutine that it is.

    :return: None for a plain value.
    :raises TypeError: for a generator, of which nothing has run, and for what only another loop can wait for.
    """
    if isinstance(result, Deferred):
        return result
    if inspect.iscoroutine(result):
        coroutine: Coroutine[Deferred[Any], Any, Any] = result
        return Deferred.fromCoroutine(coroutine)
    if inspect.isgenerator(result):
        raise TypeError("a generator, of which nothing has run: use inlineCallbacks")
    if inspect.isawaitable(result):
        raise TypeError("an awaitable that is neither a Deferred nor a coroutine: use Deferred.fromFuture")
    return None


class Handlers:
    """
    All handlers of one namespace. Those of one occasion are called in the order in which they were registered.

    :ivar events: the handlers by event name; what happens to a connection itself is among the events too.
    :ivar incoming: those of every event that comes in.
    :ivar outgoing: those of every event that goes out.
    :ivar middleware: what is asked about a new connection.
    """

    __slots__ = ("events", "incoming", "middleware", "outgoing")

    log = Logger()

    def __init__(self) -> None:
        self.events: dict[str, list[Handler]] = {}
        self.incoming: list[Handler] = []
        self.outgoing: list[Handler] = []
        self.middleware: list[Handler] = []

    def add(self, name: str, handler: Handler) -> None:
        """Register a handler of an event."""
        self.events.setdefault(name, []).append(handler)

    def tell(self, name: str, connection: Answerable, *arguments: object) -> None:
        """
        Something has happened to a connection: call the handlers of that, and ignore their results. One that comes
        goes on to the next handler only while it is there; one that leaves, to all.
        """
        coming = connection.connected
        for handler in self.events.get(name, _NO_HANDLERS):
            if coming and not connection.connected:
                return
            self._run(handler, name, connection, arguments)

    def tellOutgoing(self, connection: object, arguments: Sequence[object]) -> None:
        """An event goes out: call the handlers that want to hear of all. They get its name and its arguments."""
        for handler in self.outgoing:
            self._run(handler, "onAnyOutgoing", connection, arguments)

    def heard(self, connection: Member, event: list[Any]) -> None:
        """
        An event has come in that wants no answer, to a connection that is there: as :meth:`dispatch`, in less time.

        :param event: its name and its arguments.
        """
        name, single = event[0], len(event) == 2  # nearly all have one argument
        if self.incoming:
            self.dispatch(connection, name, event[1:])
            return
        for handler in self.events.get(name, _NO_HANDLERS):
            try:
                result = handler(connection, event[1]) if single else handler(connection, *event[1:])
                if result is not None and (later := waitable(result)) is not None:
                    later.addErrback(self._failed, name, handler)
            except (Exception, SystemExit):
                self._failed(Failure(), name, handler)
            if not connection.joined:
                return

    def dispatch(self, connection: Answerable, name: str, arguments: Sequence[object], id: int | None = None) -> None:
        """
        An event has come in: call its handlers, until the connection is gone, and answer it with the first result that
        is not :data:`NO_ACK`. A handler that fails is logged, once; one that would have been the answer is none.

        :param id: the number that the answer is known by; None if the client wants none.
        """
        for handler in self.incoming:
            if not connection.connected:
                return
            self._run(handler, "onAny", connection, (name, *arguments))
        wanted = id is not None
        waiting: list[object] = []
        for handler in self.events.get(name, _NO_HANDLERS):
            if not connection.connected:
                break
            result = self._run(handler, name, connection, arguments)
            if not wanted:
                continue
            if waiting or isinstance(result, Deferred):
                waiting.append(result)
            elif result is not NO_ACK:
                wanted = False
                self._answer(connection, name, id, result)
        if waiting:
            Deferred.fromCoroutine(self._settle(connection, name, id, waiting))

    def _run(self, handler: Handler, name: str, connection: object, arguments: Sequence[object]) -> object:
        """One handler's result; a Deferred for one that is not there yet, which does not fail any more."""
        try:
            result = handler(connection, *arguments)
            if result is None:
                return None
            later = waitable(result)
        except (Exception, SystemExit):  # an application that exits does so with its reactor
            return self._failed(Failure(), name, handler)
        return result if later is None else later.addErrback(self._failed, name, handler)

    async def _settle(self, connection: Answerable, name: str, id: int | None, results: Sequence[object]) -> None:
        for result in results:
            if isinstance(result, Deferred):
                result = await result
            if result is not NO_ACK:
                return self._answer(connection, name, id, result)

    def _answer(self, connection: Answerable, name: str, id: int | None, value: object) -> None:
        if value is _FAILED or id is None:
            return
        try:
            connection.answer(id, value)
        except (SessionClosed, QueueFull):
            pass  # nobody is left who waits for it; or the session has said so in the log
        except Exception:
            self.log.failure("the answer to {occasion} can't be sent", occasion=name)

    def _failed(self, failure: Failure, name: str, handler: Handler) -> _Answer:
        self.log.failure("{occasion} handler {handler!r} failed", failure, occasion=name, handler=handler)
        return _FAILED
