"""What fails is told on standard error, and nothing else."""

from __future__ import annotations

import sys

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    formatEventAsClassicLogText,
    globalLogBeginner,
)

__all__ = ["logErrors"]


def logErrors() -> None:
    """Begin to log."""
    observer = FileLogObserver(sys.stderr, formatEventAsClassicLogText)
    errors = LogLevelFilterPredicate(LogLevel.error)
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(observer, [errors])], redirectStandardIO=False)
