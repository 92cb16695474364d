"""
Rooms and audiences: who is in, and who is meant.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.rooms import EVERYBODY, Audience, Delivery, Rooms


class RoomsTests(SynchronousTestCase):
    """Four members, three of them in rooms."""

    def setUp(self) -> None:
        """Fill them in an order that is not the members' own."""
        self.rooms: Rooms[str] = Rooms()
        for id in "abcd":
            self.rooms.add(id, id.upper())
        self.rooms.join("c", ["red", "blue"])
        self.rooms.join("a", ["red"])
        self.rooms.join("b", ["blue"])

    def meant(self, *rooms: str, excluded: str = "") -> str:
        """Who is meant, in one text."""
        return "".join(self.rooms.meant(Audience(rooms, frozenset(excluded.split()))))

    def test_everybody(self) -> None:
        """Without rooms, everybody is meant, in the order in which they came."""
        self.assertEqual(self.rooms.meant(EVERYBODY), ["A", "B", "C", "D"])

    def test_rooms(self) -> None:
        """Each member of the rooms is meant once, room by room, in the order in which they entered."""
        self.assertEqual(self.meant("red"), "CA")
        self.assertEqual(self.meant("blue", "red"), "CBA")
        self.assertEqual(self.meant("red", "red"), "CA")
        self.assertEqual(self.meant("green"), "")

    def test_ownRoom(self) -> None:
        """An id is the room of one."""
        self.assertEqual(self.meant("d"), "D")
        self.assertEqual(self.meant("d", "red"), "DCA")
        self.assertEqual(self.meant("nobody"), "")

    def test_excluded(self) -> None:
        """Members and rooms can be left out, known or not."""
        self.assertEqual(self.meant(excluded="a nobody"), "BCD")
        self.assertEqual(self.meant(excluded="red"), "BD")
        self.assertEqual(self.meant("blue", excluded="red"), "B")
        self.assertEqual(self.meant("d", excluded="d"), "")

    def test_roomsOf(self) -> None:
        """A member is in its own room, and in those it entered; who is not there is in none."""
        self.assertEqual(self.rooms.roomsOf("c"), {"c", "red", "blue"})
        self.assertEqual(self.rooms.roomsOf("d"), {"d"})
        self.assertEqual(self.rooms.roomsOf("nobody"), frozenset())

    def test_leave(self) -> None:
        """Leaving a room twice, or one that it is not in, is no fault; nobody leaves the own room."""
        for _ in range(2):
            self.rooms.leave("c", ["red", "green", "c"])
        self.assertEqual(self.rooms.roomsOf("c"), {"c", "blue"})
        self.assertEqual(self.meant("red"), "A")
        self.assertEqual(self.meant("c"), "C")

    def test_leaveAll(self) -> None:
        """It can leave all rooms at once, and is still a member."""
        self.rooms.leaveAll("c")
        self.assertEqual((self.meant("red", "blue"), self.meant()), ("AB", "ABCD"))

    def test_remove(self) -> None:
        """Who is gone is nowhere."""
        self.rooms.remove("c")
        self.rooms.remove("c")
        self.assertEqual((self.meant("red", "blue", "c"), self.meant()), ("AB", "ABD"))
        self.assertEqual(self.rooms.roomsOf("c"), frozenset())

    def test_joinTooLate(self) -> None:
        """Who is not there enters nothing."""
        self.rooms.join("nobody", ["red"])
        self.rooms.add("nobody", "N")
        self.assertEqual((self.meant("red"), self.rooms.roomsOf("nobody")), ("CA", {"nobody"}))

    def test_emptyRoomsAreForgotten(self) -> None:
        """Nothing is kept of a room that nobody is in, nor of a member that is in none."""
        for id in "abc":
            self.rooms.leaveAll(id)
        self.assertEqual((self.rooms._rooms, self.rooms._joined), ({}, {}))

    def test_members(self) -> None:
        """The view of the members is live, and can't be written to."""
        view = self.rooms.members
        self.rooms.remove("a")
        self.assertEqual(dict(view), {"b": "B", "c": "C", "d": "D"})
        self.assertFalse(hasattr(view, "__setitem__"))

    def test_snapshot(self) -> None:
        """Who is meant is found out at once: what happens to the rooms later changes nothing."""
        for audience in (EVERYBODY, Audience(("red",))):
            found = self.rooms.meant(audience)
            count = len(found)
            self.rooms.remove(found[0].lower())
            self.assertEqual(len(found), count)


class DataTests(SynchronousTestCase):
    """The small data."""

    def test_audience(self) -> None:
        """An audience is a value: equal to its like, and never another."""
        self.assertEqual(Audience(), EVERYBODY)
        self.assertEqual({Audience(("a",)), Audience(("a",))}, {Audience(("a",))})
        self.assertRaises(FrozenInstanceError, setattr, EVERYBODY, "volatile", True)

    def test_delivery(self) -> None:
        """Counts begin at nothing."""
        self.assertEqual(Delivery(), (0, 0, 0))
        self.assertEqual(Delivery(1, 2, 3), (1, 2, 3))


_IDS = st.sampled_from("abc")
_ROOMS = st.lists(st.sampled_from(["red", "blue", "a"]), max_size=2)
_STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "join", "leave", "leaveAll"]), _IDS, _ROOMS), max_size=30)


class ModelTests(SynchronousTestCase):
    """The books against a model that is too simple to be wrong."""

    @given(_STEPS, _ROOMS, _ROOMS)
    def test_anyOrder(self, steps: list[tuple[str, str, list[str]]], chosen: list[str], excluded: list[str]) -> None:
        """Whatever happens in whatever order, the members meant are those whose rooms say so."""
        rooms: Rooms[str] = Rooms()
        model: dict[str, set[str]] = {}
        for step, id, names in steps:
            if step == "add":
                rooms.add(id, id)
                model.setdefault(id, {id})
            elif step in ("remove", "leaveAll"):
                getattr(rooms, step)(id)
                if step == "remove":
                    model.pop(id, None)
                elif id in model:
                    model[id] = {id}
            else:
                getattr(rooms, step)(id, names)
                if id in model:
                    model[id] = model[id] | set(names) if step == "join" else (model[id] - set(names)) | {id}
        for id in "abc":
            self.assertEqual(rooms.roomsOf(id), model.get(id, set()))
        expected = {
            id for id, joined in model.items() if (not chosen or joined & set(chosen)) and not joined & set(excluded)
        }
        found = rooms.meant(Audience(tuple(chosen), frozenset(excluded)))
        self.assertEqual((set(found), len(found)), (expected, len(expected)))
