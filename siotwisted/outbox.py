"""
What was accepted for one client, until the client is known to have it.

Every packet has a place in the order in which they were accepted, and three cursors move through it::

    confirmed <= handed <= accepted

Handed means that a transport took it; that is not to say that it arrived. Only something that the client sends in
answer moves ``confirmed``, and only then a packet is let go of.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from siotwisted.errors import QueueFull
from siotwisted.outgoing import Outgoing, Queued, outgoingOf, sizeOf
from siotwisted.packets import Kind, Packet

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

__all__ = ["Entry", "Outbox"]


#: So many packets, or so many bytes, that are unconfirmed are many.
_MANY = 256
_MUCH = 256 * 1024

#: So many bytes, and packets, may be handed over and not confirmed: what is lost with a transport is sent again, and a
#: client that loses each before it has confirmed anything must not be sent ever more. Nor may one that confirms nothing
#: have packets kept for it without end that are next to nothing.
_WINDOW = 1024 * 1024
_MOST = 16_384
#: When messages have filled the queue, so many small packets of the library's own still find room.
_SPARE = 64
_SMALL = 1024

_place = itemgetter(0)
#: In the place of a message that is forgotten: it says nothing.
_VOID = Packet(Kind.NOOP)


class Entry(NamedTuple):
    """
    A message that has not been confirmed.

    :ivar outgoing: the message.
    :ivar sent: whether a transport had it once.
    :ivar waiting: who wants to know what becomes of it.
    """

    outgoing: Outgoing
    sent: bool
    waiting: Deferred[None] | None = None


class Outbox(list[Queued]):
    """
    The outgoing queue of one client: it refuses at the door, and what it let in it keeps until that is confirmed.

    Beside messages it holds packets that the library itself has to say in their midst, which count in none of the
    figures. A place is the number of packets up to and with one.

    It is the list of all that is not confirmed, of which its methods alone may take anything: an object less to look at
    for each recipient of a broadcast, which with thousands of them comes from memory.

    Of bytes it has sums alone, and none for each packet, which every message would pay for. What it needs beside them,
    when a part of a sum moves on, it gets by adding up again.

    :param maxMessages: how many may wait to be handed over.
    :param maxBytes: how many bytes they may have together; and, up to 1 MiB, those that are handed over and not
        confirmed.
    :ivar released: how many messages were given up.
    :ivar dropped: how many volatile ones were not accepted, or are so no more, for their transport has failed.
    :ivar cut: whether more waited than the last slice took.
    :ivar floors: for each namespace the stamp of the last message that was let go of, if somebody wants to know.
    """

    __slots__ = (
        "_bytesHanded",
        "_bytesMarked",
        "_bytesWaiting",
        "_confirmed",
        "_handed",
        "_lapsed",
        "_marked",
        "_maxBytes",
        "_maxMessages",
        "_much",
        "_own",
        "_ownCount",
        "_sent",
        "_volatile",
        "_watchers",
        "_window",
        "cut",
        "dropped",
        "floors",
        "released",
    )

    def __init__(self, maxMessages: int, maxBytes: int) -> None:
        self._maxMessages = maxMessages
        self._maxBytes = maxBytes
        self._window = min(_WINDOW, maxBytes)
        self._much = min(_MUCH, maxBytes // 4 + 1)
        super().__init__()
        #: The bytes of those that are handed over, and of those that are not.
        self._bytesHanded = self._bytesWaiting = 0
        #: The place that :meth:`mark` told last, or 0 if that is of no use any more; and how many bytes up to it are
        #: not confirmed.
        self._marked = self._bytesMarked = 0
        #: The place of the last that is confirmed; how many after it are handed; and how many were, before they were
        #: handed back.
        self._confirmed = self._handed = self._lapsed = 0
        #: How many packets were the library's own, and the places of those that are not confirmed.
        self._ownCount = 0
        self._own: tuple[int, ...] = ()
        self._watchers: list[tuple[int, Deferred[None]]] | None = None
        #: The places of volatile messages; and of those that another queue had handed over.
        self._volatile: list[int] | None = None
        self._sent: set[int] | None = None
        self.released = self.dropped = 0
        self.cut = False
        self.floors: dict[str, int] | None = None

    # The figures, in messages: accepted = confirmed + pending + released.

    @property
    def accepted(self) -> int:
        """How many messages were ever accepted."""
        return self._confirmed - self._ownCount + len(self) + self.released

    @property
    def confirmed(self) -> int:
        """How many messages the client has."""
        return self._confirmed - self._ownCount + len(self._own)

    @property
    def pending(self) -> int:
        """How many messages nothing is known of yet."""
        return len(self) - len(self._own)

    # The cursors, in packets.

    @property
    def last(self) -> int:
        """The place of the packet that was accepted last."""
        return self._confirmed + len(self)

    @property
    def handed(self) -> int:
        """The place of the packet that was handed over last."""
        return self._confirmed + self._handed

    @property
    def waiting(self) -> int:
        """How many packets wait to be handed over."""
        return len(self) - self._handed

    @property
    def unconfirmed(self) -> int:
        """How many packets are handed over and not confirmed."""
        return self._handed

    @property
    def open(self) -> bool:
        """Whether more may be handed over, as far as the limit goes."""
        return self._bytesHanded < self._window and self._handed < _MOST

    @property
    def pressing(self) -> bool:
        """
        Whether the client should be asked what it has, rather than when its next sign of life is due: much is handed
        over and not confirmed, or somebody waits to know.
        """
        if self._handed >= _MANY or self._bytesHanded >= self._much:
            return True
        watchers = self._watchers
        return watchers is not None and bool(watchers) and watchers[0][0] <= self.handed

    # In.

    def accept(self, outgoing: Queued) -> None:
        """
        Take a message into the queue. Its place is the :attr:`last` then, which most don't ask for.

        :raises QueueFull: if it does not fit; nothing changes then.
        """
        waiting = self._bytesWaiting + (outgoing.size if isinstance(outgoing, Outgoing) else len(outgoing))
        if len(self) - self._handed >= self._maxMessages or waiting > self._maxBytes:
            raise self._full(outgoing)
        self.append(outgoing)
        self._bytesWaiting = waiting

    def acceptVolatile(self, outgoing: Queued) -> None:
        """
        Take a message that is worth nothing later into the queue; otherwise as :meth:`accept`. It is handed over once,
        and forgotten if it was in vain.
        """
        self.accept(outgoing)
        if self._volatile is None:
            self._volatile = []
        self._volatile.append(self.last)

    def acceptOwn(self, outgoing: Queued) -> None:
        """Take a packet of the library's own, for which there is some more room; otherwise as :meth:`accept`."""
        waiting = self._bytesWaiting + sizeOf(outgoing)
        if self.waiting >= self._maxMessages + _SPARE or waiting > self._maxBytes + _SPARE * _SMALL:
            raise self._full(outgoing)
        self._append(outgoing)
        self._ownCount += 1
        self._own += (self.last,)

    def inherit(self, entry: Entry) -> None:
        """Take over a message from another queue, which no limit may keep out."""
        self._append(entry.outgoing)
        if entry.sent:
            if self._sent is None:
                self._sent = set()
            self._sent.add(self.last)
        if entry.waiting is not None:
            self.watch(self.last, entry.waiting)

    def _append(self, outgoing: Queued) -> None:
        self.append(outgoing)
        self._bytesWaiting += sizeOf(outgoing)

    def _full(self, outgoing: Queued) -> QueueFull:
        return QueueFull(
            f"{self.waiting} messages of {self._bytesWaiting} bytes wait, and this one has {sizeOf(outgoing)}"
        )

    def watch(self, place: int, waiting: Deferred[None]) -> None:
        """Fire this when the message at this place is confirmed; at once, if it is so already."""
        if place <= self._confirmed:
            waiting.callback(None)
            return
        if self._watchers is None:
            self._watchers = []
        insort(self._watchers, (place, waiting), key=_place)

    # Out.

    def take(self) -> list[Queued]:
        """All that waits, in order; it is handed over with that."""
        start, self._handed = self._handed, len(self)
        self._bytesHanded += self._bytesWaiting
        self._bytesWaiting = 0
        return self[start:]

    def takeAlone(self) -> Queued | None:
        """
        As :meth:`take`, if one packet waits, and the client need not be asked what it has: so it is with nearly every
        message, and a broadcast is a tenth cheaper by it.

        :return: None if that is not so; nothing is handed over then.
        """
        stop = len(self)
        if stop - self._handed != 1 or stop >= _MANY or self._watchers:
            return None
        handed = self._bytesHanded + self._bytesWaiting
        if handed >= self._much:
            return None
        self._handed, self._bytesHanded, self._bytesWaiting = stop, handed, 0
        return self[-1]

    def slice(self, most: int) -> list[Queued]:
        """
        As :meth:`take`, but only whole packets until they have ``most`` bytes, but no more than may be unconfirmed.
        """
        start, waiting = self._handed, self._bytesWaiting
        stop, handed = len(self), self._bytesHanded + waiting
        self.cut = False
        if stop == start:
            return []
        if waiting >= most or handed >= self._window or stop > _MOST:
            stop, handed = self._stopOf(most)
            self.cut = stop < len(self)
            if stop == start:
                return []
            waiting = handed - self._bytesHanded
        self._handed, self._bytesHanded = stop, handed
        self._bytesWaiting -= waiting
        return self[start:stop]

    def _stopOf(self, most: int) -> tuple[int, int]:
        """How many packets are handed over with a slice that may not hold all, and how many bytes they have then."""
        stop, handed = self._handed, self._bytesHanded
        end, number = handed + most, min(len(self), _MOST)
        while stop < number and handed < end:  # the packet in which the slice is full belongs to it
            size = sizeOf(self[stop])
            if handed + size > self._window and stop:  # the unconfirmed end before their bound, unless they are one
                break
            stop, handed = stop + 1, handed + size
        return stop, handed

    def mark(self) -> int:
        """
        Where the client is about to be asked what it has: the place of the packet that was handed over last. Until it
        is asked again, or its transport fails, its answer takes no adding up.
        """
        self._marked, self._bytesMarked = self.handed, self._bytesHanded
        return self._marked

    def handBack(self) -> None:
        """The transport failed: all that is not confirmed is to be handed over again, but for what is volatile."""
        if self._handed > self._lapsed:
            self._lapsed = self._handed
        self._handed = self._marked = 0
        self._bytesWaiting += self._bytesHanded
        self._bytesHanded = 0
        if self._volatile is None:
            return
        own = [*self._own]
        for place in self._volatile:
            index = place - self._confirmed - 1
            self._bytesWaiting -= sizeOf(self[index])
            self[index] = Outgoing(_VOID)
            self._ownCount += 1
            own.append(place)
            self.dropped += 1
        self._own = tuple(sorted(own))
        self._volatile = None

    def confirm(self, place: int) -> None:
        """
        The client has all up to this place. More than was ever handed over it can't have.

        The Deferreds that waited for it fire when all is in order here.
        """
        handed = self._handed
        reached = handed if handed > self._lapsed else self._lapsed
        count = place - self._confirmed
        if count > reached:
            count = reached
        if count <= 0:
            return
        if self.floors is not None:
            for outgoing in self[:count]:
                if isinstance(outgoing, Outgoing) and outgoing.stamp:
                    self.floors[outgoing.namespace] = outgoing.stamp
        if count == handed:
            confirmed = self._bytesHanded
        elif place == self._marked:
            confirmed = self._bytesMarked
        else:
            confirmed = sum(map(sizeOf, self[:count]))
        del self[:count]
        self._confirmed += count
        self._handed = handed - count if handed > count else 0
        self._lapsed = self._lapsed - count if self._lapsed > count else 0
        self._bytesMarked -= confirmed
        self._bytesHanded -= confirmed
        if self._bytesHanded < 0:  # some of them were handed over before a transport failed, and wait again
            self._bytesWaiting += self._bytesHanded
            self._bytesHanded = 0
        if self._own and self._own[0] <= self._confirmed:
            self._own = self._own[bisect_right(self._own, self._confirmed) :]
        if self._volatile:
            del self._volatile[: bisect_right(self._volatile, self._confirmed)]
        if self._watchers and self._watchers[0][0] <= self._confirmed:
            reached = bisect_right(self._watchers, self._confirmed, key=_place)
            fired = self._watchers[:reached]
            del self._watchers[:reached]
            for _, waiting in fired:
                waiting.callback(None)

    def placeOf(self, messages: int) -> int | None:
        """
        The place of the message of this number, among those that the client can have and may still lack.

        :return: None for one that was let go of already, or never handed over.
        """
        missing = messages - self.confirmed
        reached = self._confirmed + max(self._handed, self._lapsed)
        if not 0 <= missing <= reached - self._confirmed:
            return None
        own = set(self._own)
        place = self._confirmed
        while missing and place < reached:
            place += 1
            missing -= place not in own
        return None if missing else place

    def namespaces(self) -> set[str]:
        """The namespaces of all messages that are not confirmed."""
        own = set(self._own)
        return {
            outgoing.namespace if isinstance(outgoing, Outgoing) else "/"
            for place, outgoing in enumerate(self, self._confirmed + 1)
            if place not in own
        }

    # The end.

    def release(self) -> list[Entry]:
        """
        Give up all messages that are not confirmed, in order; what is volatile, or was the library's own, is forgotten.
        """
        self.handBack()
        waiting = dict(self._watchers or ())
        own, sent, reached = set(self._own), self._sent or (), self._confirmed + self._lapsed
        entries = [
            Entry(
                outgoingOf(outgoing),
                place <= reached or place in sent,
                waiting.get(place),
            )
            for place, outgoing in enumerate(self, self._confirmed + 1)
            if place not in own
        ]
        self._ownCount -= len(own)
        self._own = ()
        self.clear()
        self._bytesHanded = self._bytesWaiting = 0
        self._lapsed = 0
        self._watchers = self._sent = None
        self.released += len(entries)
        return entries
