"""A client as Node.js loads it, in a process of its own, as seen from the tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .browser import PATIENCE, Driver

if TYPE_CHECKING:
    from typing import Any

__all__ = ["NodeClient"]


class NodeClient:
    """
    One process that has loaded a release (``node.mjs``).

    :param reactor: a reactor that starts processes and keeps time
    :param node: the Node.js program
    :param modules: the ``node_modules`` folder that holds the release
    """

    def __init__(self, reactor: Any, node: str, modules: Path) -> None:
        self._reactor = reactor
        self._driver = Driver()
        script = Path(__file__).with_name("node.mjs")
        self._process = reactor.spawnProcess(self._driver, node, [node, str(script), str(modules)], env=None)

    async def call(self, name: str, *values: object) -> Any:
        """Call a function of the application, and return what it answers."""
        answer = self._driver.ask("call", {"name": name, "values": values})
        return await answer.addTimeout(PATIENCE + 20, self._reactor)

    async def close(self) -> list[str]:
        """End the process, and return what went wrong without being asked about; that would have ended it before."""
        if not self._driver.ended.called:
            self._process.signalProcess("KILL")
        await self._driver.ended
        return []
