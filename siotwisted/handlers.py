"""
The callables of an application, and how they are called: whatever they return or raise, the connection lives.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["Handlers"]

_Handler = TypeVar("_Handler", bound=Callable[..., object])


class Handlers:
    """
    The handlers of one occasion, called in the order in which they were registered.

    :param occasion: what logs call it.
    :param over: is asked, with the arguments of the call, whether the handlers that are left are not to be called.
    """

    _log = Logger()

    def __init__(self, occasion: str, over: Callable[..., bool] = lambda *arguments: False) -> None:
        self._occasion = occasion
        self._over = over
        self._handlers: list[Callable[..., object]] = []

    def add(self, handler: _Handler) -> _Handler:
        """Register a handler, which is returned, so that this can decorate it."""
        self._handlers.append(handler)
        return handler

    def call(self, *arguments: object) -> None:
        """
        Call all handlers. A Deferred or a coroutine that one returns goes on by itself; a failure is logged, once.
        """
        for handler in self._handlers:
            if self._over(*arguments):
                return
            try:
                result = handler(*arguments)
            except (Exception, SystemExit):  # an application that exits does so with its reactor
                self._failed(Failure(), handler)
            else:
                if isinstance(result, Deferred):
                    result.addErrback(self._failed, handler)
                elif inspect.iscoroutine(result):
                    coroutine: Coroutine[Deferred[Any], Any, Any] = result
                    Deferred.fromCoroutine(coroutine).addErrback(self._failed, handler)
                elif inspect.isgenerator(result):
                    self._failed(
                        Failure(TypeError("a generator, of which nothing has run: use inlineCallbacks")), handler
                    )

    def _failed(self, failure: Failure, handler: Callable[..., object]) -> None:
        self._log.failure("{occasion} handler {handler!r} failed", failure, occasion=self._occasion, handler=handler)
