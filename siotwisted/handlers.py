"""
The callables of an application, and how they are called: whatever they return or raise, the connection lives.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

__all__ = ["Handlers"]

_Handler = TypeVar("_Handler", bound=Callable[..., object])


class Handlers:
    """
    The handlers of one occasion, called in the order in which they were registered.

    :param occasion: what logs call it.
    """

    _log = Logger()

    def __init__(self, occasion: str) -> None:
        self._occasion = occasion
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
            try:
                result = handler(*arguments)
            except Exception:
                self._log.failure("{occasion} handler {handler!r} failed", occasion=self._occasion, handler=handler)
            else:
                if isinstance(result, Deferred):
                    result.addErrback(self._failed, handler)
                elif inspect.iscoroutine(result):
                    coroutine: Coroutine[Deferred[Any], Any, Any] = result
                    Deferred.fromCoroutine(coroutine).addErrback(self._failed, handler)

    def _failed(self, failure: Any, handler: Callable[..., object]) -> None:
        self._log.failure("{occasion} handler {handler!r} failed", failure, occasion=self._occasion, handler=handler)
