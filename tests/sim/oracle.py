"""
Who knows what was sent, what came, and what had to.

Every message of the server's application begins with a number. A message that a connection accepted is a :class:`Copy`;
the copies of one client that is known again, by its identity or by recovery, make a line, in which its next session
may get what the last one did not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.sim.clients import Model, numberOf

__all__ = ["Copy", "Oracle", "Violation"]

#: For so many seconds a repeated POST is known.
_REPEATED = 10.0


class Violation(AssertionError):
    """A promise was broken."""


class Copy:
    """
    One message to one connection.

    :ivar index: its place in the order of all that was accepted.
    :ivar serial: of the connection that accepted it.
    :ivar received: the page and the session of the client, for each time that it came.
    :ivar reported: None, or whether the report said that it had been handed over.
    :ivar certain: whether it is certain that it was accepted: an answer may have met a full queue.
    """

    __slots__ = ("certain", "index", "number", "received", "refuted", "reported", "serial", "volatile")

    def __init__(self, number: int, index: int, serial: int, volatile: bool, certain: bool) -> None:
        self.number = number
        self.index = index
        self.serial = serial
        self.volatile = volatile
        self.certain = certain
        self.received: list[tuple[int, int]] = []
        self.reported: bool | None = None
        #: Whether somebody said that it was never handed over.
        self.refuted = False

    def __repr__(self) -> str:
        return f"message {self.number} to connection {self.serial}"


class _Link:
    """
    One connection, as the oracle knows it.

    :ivar last: the index of what its client got last, and in which epoch of the client.
    """

    __slots__ = ("before", "closed", "copies", "epoch", "heard", "highest", "last", "model", "serial", "sid")

    def __init__(self, serial: int, sid: str, model: Model, before: _Link | None) -> None:
        self.serial = serial
        self.sid = sid
        self.model = model
        self.before = before
        self.copies: dict[int, Copy] = {}
        self.closed = False
        self.epoch = -1
        self.last = self.highest = -1
        #: The highest number that its client said, in each of its epochs: nothing orders the connections of two.
        self.heard: dict[int, int] = {}

    def find(self, number: int) -> Copy | None:
        """The copy of a number, here or in the connections before this one."""
        link: _Link | None = self
        while link is not None:
            copy = link.copies.get(number)
            if copy is not None:
                return copy
            link = link.before
        return None


class Oracle:
    """
    Checks everything as it happens, and the rest at the end.

    :param problems: where it puts what is wrong.
    :ivar accepted: how many messages connections accepted; ``received``, ``reported``, ``delivered`` (confirmed to the
        application) and ``heard`` (from clients) likewise; ``rerun``, how many POSTs were run twice, because nothing
        could tell them from others.
    """

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems
        self._links: dict[str, _Link] = {}
        self._latest: dict[tuple[str, str], _Link] = {}
        self._texts: dict[int, str] = {}
        self._copies: list[Copy] = []
        #: In which session, and in which epoch of the client.
        self._said: dict[int, tuple[str, int]] = {}
        #: When each ran.
        self._run: dict[int, float] = {}
        self._batches: list[list[int]] = []
        self.received = self.reported = self.delivered = self.repeated = self.rerun = 0

    @property
    def accepted(self) -> int:
        """How many messages connections accepted."""
        return sum(copy.certain and not copy.volatile for copy in self._copies)

    @property
    def heard(self) -> int:
        """How many messages of clients the application got."""
        return len(self._run)

    @property
    def sessions(self) -> int:
        """How many connections there were."""
        return len(self._links)

    def _wrong(self, text: str) -> Violation:
        """Remember it: whoever called may catch what is raised."""
        self._problems.append(text)
        return Violation(text)

    # Connections.

    def connected(self, sid: str, model: Model, id: str = "", recovered: bool = False) -> int:
        """
        A connection is there.

        :param id: its id, which one that is recovered has in common with the one before.
        :return: its number.
        """
        before = self._latest.get(("id", id) if recovered else ("key", model.key)) if model.key or recovered else None
        link = self._links[sid] = _Link(len(self._links), sid, model, before)
        self._latest["id", id] = self._latest["key", model.key] = link
        return link.serial

    def closed(self, sid: str) -> None:
        """A connection has ended."""
        self._links[sid].closed = True

    # From the server to clients.

    def text(self, number: int, text: str) -> str:
        """A message is about to be sent."""
        self._texts[number] = text
        return text

    def accept(self, sid: str, number: int, volatile: bool = False, certain: bool = True) -> None:
        """A connection took a message."""
        link = self._links[sid]
        copy = link.copies[number] = Copy(number, len(self._copies), link.serial, volatile, certain)
        self._copies.append(copy)

    def receive(self, model: Model, text: Any) -> None:
        """A client got a message."""
        number = numberOf(text)
        if self._texts.get(number) != text:
            raise self._wrong(f"{model} got message {number} damaged: {text[:60]!r}")
        link = self._links.get(model.sid)
        copy = None if link is None else link.find(number)
        if link is None or copy is None:
            raise self._wrong(f"{model} got message {number}, which was for somebody else")
        if copy.refuted:
            raise self._wrong(f"{model} got {copy}, which was reported as never sent")
        if copy.reported is False:
            raise self._wrong(f"{model} got {copy}, which was reported as not sent")
        self.received += 1
        again = (model.page, link.serial) in copy.received
        if not model.repeatable:
            if again:
                raise self._wrong(f"{model} got {copy} twice in one session")
            if copy.index < link.highest:
                raise self._wrong(f"{model} got {copy} out of order")
        else:
            if link.epoch != model.epoch:
                link.epoch, link.last = model.epoch, -1
            if copy.index <= link.last:
                raise self._wrong(f"{model} got {copy} out of order, or twice on one carrier")
            if not again and copy.index < link.highest:
                raise self._wrong(f"{model} got {copy} for the first time, and later ones before")
            link.last = copy.index
        if copy.received:
            self.repeated += 1
            if model.recoverable and any(page == model.page for page, _ in copy.received):
                raise self._wrong(f"{model} got {copy} twice, in spite of recovery")
        link.highest = max(link.highest, copy.index)
        copy.received.append((model.page, link.serial))

    def report(self, sid: str, entries: Iterable[tuple[Any, bool]]) -> None:
        """The application was told of messages that were not delivered."""
        last = -1
        link = self._links[sid]
        for data, sent in entries:
            number = numberOf(next(each for each in data if "|" in each) if isinstance(data, list) else data)
            copy = link.find(number)
            if copy is None:
                raise self._wrong(f"message {number} was reported for connection {link.serial}, which never had it")
            if copy.reported is not None:
                raise self._wrong(f"{copy} was reported twice")
            if copy.received and not sent:
                raise self._wrong(f"{copy} was reported as not sent, and had come")
            if copy.index < last:
                raise self._wrong(f"{copy} was reported out of order")
            last = copy.index
            copy.reported = sent
            self.reported += 1

    def confirm(self, sid: str, number: int) -> None:
        """The application was told that a message was delivered."""
        copy = self._links[sid].copies[number]
        self.delivered += 1
        if not copy.received:
            raise self._wrong(f"{copy} was confirmed, and has not come")
        if copy.reported is not None:
            raise self._wrong(f"{copy} was confirmed, and reported")

    def refute(self, sid: str, number: int, sent: bool) -> None:
        """The application was told that a message was not delivered."""
        copy = self._links[sid].copies[number]
        if not sent:
            if copy.received:
                raise self._wrong(f"{copy} was said never to have been sent, and had come")
            copy.refuted = True

    # From clients to the server.

    def say(self, model: Model, number: int) -> None:
        """A client says something."""
        self._said[number] = model.sid, model.epoch

    def hear(self, sid: str, text: Any, now: float) -> None:
        """
        The server's application got something.

        :param now: the time: that a POST is not run again is promised for some seconds.
        """
        number, link = numberOf(text), self._links[sid]
        said, epoch = self._said.get(number, ("", 0))
        if said != sid:
            raise self._wrong(f"connection {link.serial} said {number}, which its client did not say in this session")
        if number in self._run:
            if now - self._run[number] >= _REPEATED or link.model.timeless:
                self.rerun += 1
                return
            raise self._wrong(f"{link.model} said {number} once, and it was run twice")
        if number < link.heard.get(epoch, 0):
            raise self._wrong(f"{link.model} said {number} before {link.heard[epoch]}, and not after it")
        link.heard[epoch] = number
        self._run[number] = now

    def posted(self, model: Model, numbers: list[int], ok: bool) -> None:
        """A client was told what became of its POST."""
        self._batches.append(numbers)
        link = self._links.get(self._said[numbers[0]][0])
        if ok and link is not None and not link.closed and not self._run.keys() >= {*numbers}:
            raise self._wrong(f"{model} was told ok, and {numbers} did not run")

    # The end.

    def finish(self, accepted: int) -> None:
        """
        All has healed, and nothing is on its way any more.

        :param accepted: how many messages the server says that it accepted, each counted once. What is beyond those
            that are certain are answers: as many must have come, or have been reported.
        """
        for copy in self._copies:
            if not copy.received and copy.reported is None and copy.certain and not copy.volatile:
                raise self._wrong(f"{copy} was lost without a word")
        answers = [copy for copy in self._copies if not copy.certain]
        known = sum(bool(copy.received) or copy.reported is not None for copy in answers)
        if known != accepted - len(self._copies) + len(answers):
            raise self._wrong(f"{accepted} accepted, {len(self._copies)} sent, {len(answers)} answers, {known} known")
        for numbers in self._batches:
            if 0 < len(self._run.keys() & {*numbers}) < len(numbers):
                raise self._wrong(f"of the messages {numbers} in one POST, some ran")
