"""
The callables of an application: how they are registered and called, and that no failure of theirs goes further.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, QueueFull, SessionClosed
from siotwisted.handlers import NO_ACK, Handlers, event, marked, waitable


class Broken(Exception):
    """What the handlers of these tests raise."""


_Given = TypeVar("_Given", bound=Callable[..., object])


class FakeConnection:
    """
    What handlers are called with.

    :ivar answers: the number and the value of each answer.
    :ivar error: raised by the next answers.
    """

    def __init__(self) -> None:
        self.connected = True
        self.answers: list[tuple[int, object]] = []
        self.error: Exception | None = None

    def answer(self, id: int, value: object) -> None:
        """Answer."""
        if self.error is not None:
            raise self.error
        self.answers.append((id, value))


class Occasion:
    """One event, whose handlers are told of it without the connection, which most of these tests don't need."""

    def __init__(self) -> None:
        self.handlers = Handlers()
        self.connection = FakeConnection()

    def add(self, handler: _Given) -> _Given:
        """Register a handler."""
        self.handlers.add("something", lambda connection, *arguments: handler(*arguments))
        return handler

    def call(self, *arguments: object) -> None:
        """It happens."""
        self.handlers.tell("something", self.connection, *arguments)


class HandlersTests(SynchronousTestCase):
    """One occasion, with handlers that behave in all ways."""

    def setUp(self) -> None:
        """Make an occasion, and a handler that remembers what it was called with."""
        self.handlers = Occasion()
        self.calls: list[Any] = []

    def assertLoggedOnce(self, exception: type[BaseException] = Broken) -> None:
        """One failure was logged, and no other."""
        failures = self.flushLoggedErrors()
        self.assertEqual([failure.type for failure in failures], [exception])

    def assertLives(self) -> None:
        """Handlers are still called."""
        self.calls.clear()
        self.handlers.add(lambda *arguments: self.calls.append(arguments))
        self.handlers.call("again")
        self.assertEqual(self.calls[-1], ("again",))
        self.flushLoggedErrors()

    def test_none(self) -> None:
        """Without handlers, nothing happens."""
        self.handlers.call("a")

    def test_arguments(self) -> None:
        """A handler gets the arguments of the call, each time."""
        self.handlers.add(lambda *arguments: self.calls.append(arguments))
        self.handlers.call("a", 1)
        self.handlers.call()
        self.assertEqual(self.calls, [("a", 1), ()])

    def test_order(self) -> None:
        """Several handlers are called in the order in which they were registered."""
        for number in range(5):
            self.handlers.add(lambda number=number: self.calls.append(number))
        self.handlers.call()
        self.assertEqual(self.calls, [0, 1, 2, 3, 4])

    def test_method(self) -> None:
        """A bound method can be registered, and twice: then it is called twice."""
        for _ in range(2):
            self.handlers.add(self.calls.append)
        self.handlers.call("a")
        self.assertEqual(self.calls, ["a", "a"])

    def test_anyValue(self) -> None:
        """Whatever else a handler returns is ignored."""
        for value in (None, False, "text", 5, [], Failure(Broken()), Broken, object()):
            self.handlers.add(lambda value=value: value)
        self.handlers.call()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_raises(self) -> None:
        """A handler that raises is logged once; the ones behind it are called."""

        def handler() -> None:
            raise Broken

        self.handlers.add(handler)
        self.handlers.add(lambda: self.calls.append("second"))
        self.handlers.call()
        self.assertEqual(self.calls, ["second"])
        self.assertLoggedOnce()
        self.assertLives()

    def test_logLine(self) -> None:
        """The log says at which event, and which handler, with the failure."""

        def raising(connection: object) -> None:
            raise Broken

        def failing(connection: object) -> Deferred[None]:
            return fail(Broken())

        for handler in (raising, failing):
            handlers = Handlers()
            handlers.add("something", handler)
            with capturedLogs() as events:
                handlers.dispatch(FakeConnection(), "something", ())
            self.assertEqual(len(events), 1)
            self.assertEqual((events[0]["occasion"], events[0]["handler"]), ("something", handler))
            self.assertTrue(events[0]["log_failure"].check(Broken))
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 2)

    def test_anyException(self) -> None:
        """T608: a handler can raise whatever there is: the caller does not notice."""

        def endless() -> None:
            endless()

        def leaving() -> None:
            raise SystemExit(1)

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack()) + 200)  # the log would have a thousand lines of it
        self.addCleanup(sys.setrecursionlimit, limit)
        self.handlers.add(endless)
        self.handlers.call()
        sys.setrecursionlimit(limit)
        self.assertLoggedOnce(RecursionError)
        self.handlers = Occasion()
        self.handlers.add(leaving)
        try:
            self.handlers.call()
        except SystemExit:
            self.fail("SystemExit went through")
        self.assertLoggedOnce(SystemExit)
        self.assertLives()

    def test_wrongArguments(self) -> None:
        """A handler that takes other arguments is logged like one that fails."""
        self.handlers.add(lambda one, two: None)
        self.handlers.call("one")
        self.assertLoggedOnce(TypeError)

    def test_deferred(self) -> None:
        """A Deferred goes on by itself; the next handlers don't wait for it."""
        waiting: Deferred[None] = Deferred()
        self.handlers.add(lambda: waiting)
        self.handlers.add(lambda: succeed(None))
        self.handlers.add(lambda: self.calls.append("next"))
        self.handlers.call()
        self.assertEqual(self.calls, ["next"])
        waiting.callback(None)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_deferredFails(self) -> None:
        """A Deferred that fails, at once or later, is logged once."""
        self.handlers.add(lambda: fail(Broken()))
        self.handlers.call()
        self.assertLoggedOnce()
        waiting: Deferred[None] = Deferred()
        self.handlers = Occasion()
        self.handlers.add(lambda: waiting)
        self.handlers.call()
        self.assertEqual(self.flushLoggedErrors(), [])
        waiting.errback(Broken())
        self.assertLoggedOnce()
        self.assertLives()

    def test_cancelled(self) -> None:
        """So is one that its handler cancels."""
        waiting: Deferred[None] = Deferred()
        self.handlers.add(lambda: waiting)
        self.handlers.call()
        waiting.cancel()
        self.assertLoggedOnce(CancelledError)

    def test_coroutine(self) -> None:
        """A coroutine is run, and goes on when what it awaits is there."""
        waiting: Deferred[str] = Deferred()

        async def handler(word: str) -> None:
            self.calls.append(word)
            self.calls.append(await waiting)

        self.handlers.add(handler)
        self.handlers.call("first")
        self.assertEqual(self.calls, ["first"])
        waiting.callback("second")
        self.assertEqual(self.calls, ["first", "second"])

    def test_coroutineFails(self) -> None:
        """A coroutine that fails, before it awaits anything or after, is logged once."""
        waiting: Deferred[None] = Deferred()

        async def atOnce() -> None:
            raise Broken

        async def later() -> None:
            await waiting
            raise Broken

        self.handlers.add(atOnce)
        self.handlers.add(later)
        self.handlers.add(lambda: self.calls.append("next"))
        self.handlers.call()
        self.assertLoggedOnce()
        self.assertEqual(self.calls, ["next"])
        waiting.callback(None)
        self.assertLoggedOnce()

    def test_inlineCallbacks(self) -> None:
        """A function with inlineCallbacks returns a Deferred, and is treated so."""
        waiting: Deferred[None] = Deferred()

        @self.handlers.add
        @inlineCallbacks
        def handler() -> Generator[Deferred[None], Any, None]:
            self.calls.append("begun")
            yield waiting
            raise Broken

        self.handlers.call()
        self.assertEqual(self.calls, ["begun"])
        waiting.callback(None)
        self.assertLoggedOnce()

    def test_generator(self) -> None:
        """T608: a generator, of which not a line has run, is a mistake that the log tells of."""

        @self.handlers.add
        def handler() -> Generator[Deferred[None], Any, None]:
            self.calls.append("begun")
            yield succeed(None)

        self.handlers.call()
        self.assertEqual(self.calls, [])
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertLives()

    def test_within(self) -> None:
        """A handler may cause the same occasion again, and register another handler, which the next call finds."""

        def first(depth: int) -> None:
            self.calls.append(depth)
            if depth < 3:
                self.handlers.call(depth + 1)
            elif len(self.calls) == 3:
                self.handlers.add(self.calls.append)

        self.handlers.add(first)
        self.handlers.call(1)
        self.assertEqual(self.calls[:3], [1, 2, 3])
        self.calls.clear()
        self.handlers.call(9)
        self.assertEqual(self.calls, [9, 9])


class AnswerTests(SynchronousTestCase):
    """What handlers return is the answer."""

    def setUp(self) -> None:
        """Make a connection."""
        self.handlers = Handlers()
        self.connection = FakeConnection()

    def returns(self, *results: object) -> None:
        """Register handlers that return these."""
        for result in results:
            self.handlers.add("ask", lambda connection, *arguments, result=result: result)

    def ask(self, id: int | None = 7) -> list[object]:
        """The event comes; what was answered so far."""
        self.handlers.dispatch(self.connection, "ask", ("a",), id)
        return [value for _, value in self.connection.answers]

    def test_value(self) -> None:
        """A value answers, by the number that was asked with, 0 too; None is a value."""
        values: tuple[object, ...] = (None, False, 0, "text", (1, 2), [], {"a": 1})
        for value in values:
            self.setUp()
            self.returns(value)
            self.assertEqual(self.ask(0), [value])
            self.assertEqual(self.connection.answers, [(0, value)])

    def test_notAsked(self) -> None:
        """Who wants no answer gets none."""
        waiting: Deferred[int] = Deferred()
        self.returns(1, waiting, succeed(2))
        self.assertEqual(self.ask(None), [])
        waiting.callback(3)
        self.assertEqual(self.ask(None), [])

    def test_noHandler(self) -> None:
        """An event that nobody handles is not answered."""
        self.assertEqual(self.ask(), [])

    def test_noAck(self) -> None:
        """NO_ACK leaves it unanswered, in whatever way it is returned."""

        async def handler(connection: object, argument: object) -> object:
            return NO_ACK

        self.returns(NO_ACK, succeed(NO_ACK))
        self.handlers.add("ask", handler)
        self.assertEqual(self.ask(), [])
        self.assertEqual(repr(NO_ACK), "NO_ACK")

    def test_deferred(self) -> None:
        """A Deferred answers when it fires; the later handlers don't wait for it, but their results do."""
        waiting: Deferred[str] = Deferred()
        called: list[str] = []
        self.returns(waiting)
        self.handlers.add("ask", lambda connection, argument: called.append("second"))
        self.assertEqual((self.ask(), called), ([], ["second"]))
        waiting.callback("first")
        self.assertEqual(self.connection.answers, [(7, "first")])

    def test_coroutine(self) -> None:
        """So does a coroutine."""
        waiting: Deferred[str] = Deferred()

        async def handler(connection: object, argument: str) -> tuple[str, str]:
            return argument, await waiting

        self.handlers.add("ask", handler)
        self.assertEqual(self.ask(), [])
        waiting.callback("b")
        self.assertEqual(self.connection.answers, [(7, ("a", "b"))])

    def test_firstOfSeveral(self) -> None:
        """The first result that is not NO_ACK answers, whenever it is there, and only that one."""
        waiting: Deferred[object] = Deferred()
        self.returns(NO_ACK, waiting, 2, succeed(3))
        self.assertEqual(self.ask(), [])
        waiting.callback(NO_ACK)
        self.assertEqual(self.connection.answers, [(7, 2)])
        self.setUp()
        self.returns(1, 2, succeed(3))
        self.assertEqual(self.ask(), [1])

    def test_failure(self) -> None:
        """A handler that would have been the answer, and fails, leaves it unanswered; it is logged once."""

        def raising(connection: object, argument: object) -> None:
            raise Broken

        waiting: Deferred[None] = Deferred()
        for failing in (raising, lambda connection, argument: waiting, lambda connection, argument: fail(Broken())):
            self.setUp()
            self.handlers.add("ask", failing)
            self.returns(2)
            self.ask()
            if not waiting.called and not self.flushLoggedErrors(Broken):
                waiting.errback(Broken())
                self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)
            self.flushLoggedErrors(Broken)
            self.assertEqual(self.connection.answers, [])

    def test_failureOfAnother(self) -> None:
        """One that fails behind the one that answers takes nothing back; nor does one behind it that is not awaited."""
        late: Deferred[None] = Deferred()
        self.returns(succeed(1), late)
        self.handlers.add("ask", lambda connection, argument: 1 / 0)
        self.assertEqual(self.ask(), [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        late.errback(Broken())
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    def test_unsendable(self) -> None:
        """An answer that can't be written is logged once, with the event's name, whenever it comes."""
        self.connection.error = EncodeError("no")
        self.returns(1)
        with capturedLogs() as events:
            self.ask()
        self.assertEqual([each["occasion"] for each in events], ["ask"])
        self.handlers.events.clear()
        self.returns(succeed(1))
        self.ask()
        self.assertEqual(len(self.flushLoggedErrors(EncodeError)), 2)

    def test_nobodyLeft(self) -> None:
        """An answer that comes too late, or finds the queue full, is nothing for the log."""
        for error in (SessionClosed("gone"), QueueFull("full")):
            self.connection.error = error
            self.returns(1)
            self.ask()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_gone(self) -> None:
        """No handler is called any more when one has ended the connection."""
        called: list[str] = []

        def ending(connection: FakeConnection, *arguments: object) -> None:
            called.append("ending")
            connection.connected = False

        self.handlers.add("ask", ending)
        self.returns(1)
        self.handlers.add("ask", lambda connection, argument: called.append("late"))
        self.ask()
        self.assertEqual(called, ["ending"])
        self.connection.connected = True
        self.handlers.incoming += [ending, lambda *arguments: called.append("late")]
        self.ask()
        self.assertEqual(called, ["ending"] * 2)

    def test_incoming(self) -> None:
        """Those who hear of all events hear first, with the name; their results are no answer."""
        order: list[object] = []
        self.handlers.add("ask", lambda connection, *arguments: order.append(arguments))
        self.handlers.incoming.append(lambda connection, *arguments: order.extend([arguments]))
        self.assertEqual(self.ask(), [None])
        self.handlers.dispatch(self.connection, "unknown", (1,), 8)
        self.assertEqual(order, [("ask", "a"), ("a",), ("unknown", 1)])
        self.assertEqual(self.connection.answers, [(7, None)])

    def test_outgoing(self) -> None:
        """Those who hear of all that goes out may fail, too."""
        order: list[object] = []
        self.handlers.outgoing += [lambda *arguments: 1 / 0, lambda *arguments: order.append(arguments)]
        self.handlers.tellOutgoing(self.connection, ["news", 1])
        self.assertEqual(order, [(self.connection, "news", 1)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_tellLeaving(self) -> None:
        """Who is told of one that has left is told, whatever; who is told of one that came, while it is there."""
        called: list[int] = []
        for number in range(2):
            self.handlers.add("change", lambda connection, number=number: called.append(number))
        self.connection.connected = False
        self.handlers.tell("change", self.connection)
        self.assertEqual(called, [0, 1])
        self.connection.connected = True
        self.handlers.events["change"].insert(0, lambda connection: setattr(connection, "connected", False))
        self.handlers.tell("change", self.connection)
        self.assertEqual(called, [0, 1])


class MarkTests(SynchronousTestCase):
    """Methods that are marked as handlers."""

    def test_names(self) -> None:
        """A method is marked with its own name, with another, or with several."""

        class Marked:
            @event
            def say(self) -> None:
                """An event."""

            @event("odd name")
            @event("other")
            def method(self) -> None:
                """An event of two names."""

            def plain(self) -> None:
                """No event."""

        self.assertEqual(list(marked(Marked)), [("say", "say"), ("other", "method"), ("odd name", "method")])

    def test_inherited(self) -> None:
        """A subclass has what its bases have; a method that takes the place of a marked one is marked; None is not."""

        class Base:
            @event
            def say(self) -> None:
                """An event."""

            @event
            def stop(self) -> None:
                """An event."""

        class Mixin:
            @event
            def extra(self) -> None:
                """An event."""

        class Derived(Base, Mixin):
            stop = None  # type: ignore[assignment]

            def say(self) -> None:
                """Another method."""

        self.assertEqual(sorted(marked(Derived)), [("extra", "extra"), ("say", "say")])

    def test_itself(self) -> None:
        """A marked function is still itself."""

        def method() -> str:
            return "itself"

        self.assertIs(event(method), method)
        self.assertIs(event("name")(method), method)


class WaitableTests(SynchronousTestCase):
    """What can be waited for."""

    def test_kinds(self) -> None:
        """Deferreds and coroutines can; values can't; a generator is a mistake."""

        async def coroutine() -> int:
            return 5

        def generator() -> Generator[int, None, None]:
            yield 1

        deferred: Deferred[None] = Deferred()
        self.assertIs(waitable(deferred), deferred)
        later = waitable(coroutine())
        assert later is not None
        self.assertEqual(self.successResultOf(later), 5)
        for value in (None, True, "text", [1]):
            self.assertIsNone(waitable(value))
        self.assertRaises(TypeError, waitable, generator())

    def test_otherAwaitables(self) -> None:
        """What only another loop can wait for is a mistake: as middleware it would let everybody in."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        self.assertRaises(TypeError, waitable, loop.create_future())
