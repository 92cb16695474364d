"""
Trial's cases before pytest's functions: pytest-twisted runs every function inside a reactor that it starts
once and never leaves, and a case with Deferreds that came later in the same process would find it dirty.
"""

from __future__ import annotations

import pytest
from twisted.trial.unittest import SynchronousTestCase


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort stably: all trial cases, then the rest."""
    items.sort(key=lambda item: not isTrialCase(item))


def isTrialCase(item: pytest.Item) -> bool:
    """Whether an item is a method of a trial case."""
    cls = getattr(item, "cls", None)
    return cls is not None and issubclass(cls, SynchronousTestCase)
