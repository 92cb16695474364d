"""
The callables of an application: how they are registered and called, and that no failure of theirs goes further.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.handlers import Handlers


class Broken(Exception):
    """What the handlers of these tests raise."""


class HandlersTests(SynchronousTestCase):
    """One occasion, with handlers that behave in all ways."""

    def setUp(self) -> None:
        """Make an occasion, and a handler that remembers what it was called with."""
        self.handlers = Handlers("onSomething")
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

    def test_decorator(self) -> None:
        """Registering returns the function itself."""

        @self.handlers.add
        def handler() -> str:
            return "itself"

        self.assertEqual(handler(), "itself")

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
        """The log says on which occasion, and which handler, with the failure."""

        def raising() -> None:
            raise Broken

        def failing() -> Deferred[None]:
            return fail(Broken())

        for handler in (raising, failing):
            handlers = Handlers("onSomething")
            handlers.add(handler)
            with capturedLogs() as events:
                handlers.call()
            self.assertEqual(len(events), 1)
            self.assertEqual((events[0]["occasion"], events[0]["handler"]), ("onSomething", handler))
            self.assertTrue(events[0]["log_failure"].check(Broken))
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 2)

    def test_anyException(self) -> None:
        """T608: a handler can raise whatever there is: the caller does not notice."""

        def endless() -> None:
            endless()

        def leaving() -> None:
            raise SystemExit(1)

        self.handlers.add(endless)
        self.handlers.call()
        self.assertLoggedOnce(RecursionError)
        self.handlers = Handlers("onSomething")
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
        self.handlers = Handlers("onSomething")
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
