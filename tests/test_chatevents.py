"""
The chat with clients that speak events: nicknames, rooms, who is there, and what none of it gives away.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.chat import Chat
from siotwisted.config import Config
from siotwisted.dialects.dialect import Dialect
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.server import SocketIO
from siotwisted.testing import MemoryPeer

GENERATIONS = {
    "Socket.IO 0.6": SOCKETIO_06,
    "Socket.IO 0.7-0.9": SOCKETIO_09,
    "Socket.IO 1-2": ENGINEIO_3,
    "Socket.IO 3-4": ENGINEIO_4,
}
NOT_A_NICK = "a nickname has 1 to 24 characters that can be seen"
NOT_A_ROOM = "a room's name has 1 to 24 letters, digits, - and _"
KEY = "0123456789abcdef"


class ChatCase(SynchronousTestCase):
    """A chat, and peers for it."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.make()

    def make(self, **limits: Any) -> None:
        """Another chat, with these limits."""
        self.sio = SocketIO(self.clock)
        self.chat = Chat(self.sio, **limits)

    def peer(self, dialect: Dialect = ENGINEIO_4, **options: Any) -> MemoryPeer:
        """A client that has not said hello."""
        return MemoryPeer(self.sio, dialect, **options)

    def ask(self, peer: MemoryPeer, event: str, *values: object) -> dict[str, Any]:
        """What a client is answered at once."""
        (answer,) = self.successResultOf(peer.call(event, *values))
        assert isinstance(answer, dict)
        return answer

    def guest(self, **wishes: str) -> tuple[MemoryPeer, dict[str, Any]]:
        """A client that has said hello with these wishes, and what it was answered."""
        peer = self.peer()
        there = self.ask(peer, "hello", wishes)
        self.news(peer)
        return peer, there

    def news(self, peer: MemoryPeer) -> dict[str, list[Any]]:
        """The last of each event that a client was told since it was asked last, now that all have been told."""
        self.clock.advance(0.1)
        self.clock.advance(0)
        return {name: values for name, *values in peer.take()}

    def people(self, peer: MemoryPeer) -> list[str]:
        """The nicknames that a client was shown last."""
        return [person["nick"] for person in self.news(peer)["people"][0]]


class HelloTests(ChatCase):
    """What a client is told when it asks to be told by events."""

    def test_answer(self) -> None:
        """It learns who it is, who is there, and which rooms there are."""
        _, there = self.guest()
        self.assertRegex(there["id"], "^[0-9a-f]{16}$")
        self.assertRegex(there["nick"], "^guest-[0-9a-f]{4}$")
        person = {"id": there["id"], "nick": there["nick"], "generation": "Socket.IO 3-4", "transport": "websocket"}
        self.assertEqual(
            {name: there[name] for name in ("room", "rooms", "people", "count", "history")},
            {"room": "lobby", "rooms": [{"name": "lobby", "people": 1}], "people": [person], "count": 1, "history": []},
        )

    def test_wishes(self) -> None:
        """It can be given a nickname and a room at once; what can't be had is not, and the rest is."""
        _, there = self.guest(nick="Ada", room="twisted")
        self.assertEqual((there["nick"], there["room"]), ("Ada", "twisted"))
        _, there = self.guest(nick="ada", room="no room")
        self.assertRegex(there["nick"], "^guest-")
        self.assertEqual(there["room"], "lobby")

    def test_nonsense(self) -> None:
        """Wishes of any other shape are none."""
        wishes: object
        for wishes in (None, 5, "Ada", ["Ada"], {"nick": 5, "room": None, "key": {}}):
            there = self.ask(self.peer(), "hello", wishes)
            self.assertRegex(there["nick"], "^guest-")
            self.assertEqual(there["room"], "lobby")

    def test_instead(self) -> None:
        """From then on it gets no more messages and announcements, and what is said as events."""
        peer, _ = self.guest()
        other = self.peer()
        other.send("hello")
        news = self.news(peer)
        self.assertEqual(set(news), {"said", "people", "rooms"})
        self.assertEqual(news["said"][0]["message"], "hello")

    def test_again(self) -> None:
        """Hello may be said again, and changes nothing."""
        peer, there = self.guest(nick="Ada")
        self.assertEqual(self.ask(peer, "hello"), there)


class SaidTests(ChatCase):
    """Messages, and events of that name."""

    def test_oneThing(self) -> None:
        """A message and the event of that name are the same to all, whichever way they are told."""
        for dialect in GENERATIONS.values():
            listener, reader = self.guest()[0], self.peer()
            # 0.6 has no events.
            for asEvent in (False, True) if dialect is not SOCKETIO_06 else (False,):
                speaker = self.peer(dialect)
                self.news(reader)
                self.news(listener)
                if asEvent:
                    speaker.emit("message", "hello")
                else:
                    speaker.send("hello")
                (connection,) = [each for each in self.sio.connections.values() if each.session is speaker.session]
                self.assertEqual(self.news(reader)["message"], [{"message": [connection.id, "hello"]}])
                self.assertEqual(self.news(listener)["said"][0]["message"], "hello")

    def test_entry(self) -> None:
        """An event tells who said it, with a client of which generation, and when."""
        self.clock.advance(1_700_000_000.25)
        listener, _ = self.guest()
        for generation, dialect in GENERATIONS.items():
            speaker = self.peer(dialect)
            (person,) = [each for each in self.news(listener)["people"][0] if each["generation"] == generation][-1:]
            speaker.send({"a": [1, None]})
            (entry,) = self.news(listener)["said"]
            now = entry.pop("time")
            self.assertEqual(now // 1000, int(self.clock.seconds()))
            self.assertEqual(
                entry,
                {"id": person["id"], "nick": person["nick"], "generation": generation, "message": {"a": [1, None]}},
            )

    def test_acknowledged(self) -> None:
        """Who wants to know whether a message has come is told so, by nothing."""
        speaker, _ = self.guest()
        self.assertEqual(self.successResultOf(speaker.call("message", "hello")), [])

    def test_notBack(self) -> None:
        """Nobody is told what they said themselves."""
        speaker, _ = self.guest()
        speaker.send("hello")
        self.assertNotIn("said", self.news(speaker))

    def test_binary(self) -> None:
        """Bytes are not said, for not all could hear them."""
        listener, _ = self.guest()
        speaker, _ = self.guest()
        self.assertEqual(self.ask(speaker, "message", b"bytes"), {"error": "only text and JSON can be said"})
        speaker.emit("message", {"deep": [b"bytes"]})
        self.assertNotIn("said", self.news(listener))
        self.assertEqual(self.guest()[1]["history"], [])

    def test_history(self) -> None:
        """Who comes later is shown what was said: by entries, or as messages."""
        speaker, there = self.guest(nick="Ada")
        speaker.send("hello")
        (entry,) = self.guest()[1]["history"]
        self.assertEqual((entry["id"], entry["nick"], entry["message"]), (there["id"], "Ada", "hello"))
        late = self.peer(SOCKETIO_09)
        self.assertEqual(late.take()[0], ["message", {"buffer": [{"message": [speaker.ids["/"], "hello"]}]}])

    def test_wideHistory(self) -> None:
        """A client for which the last messages are too much is shown none, and chats all the same."""
        self.sio = SocketIO(self.clock, Config(queueBytes=1_000))
        self.chat = Chat(self.sio)
        speaker = self.peer()
        for _ in range(3):
            speaker.send("\u20ac" * 150)
        late = self.peer(ENGINEIO_3)
        self.assertEqual(late.take()[0], ["message", {"buffer": []}])
        speaker.send("hello")
        self.assertEqual(late.take()[-1], ["message", {"message": [speaker.ids["/"], "hello"]}])
        self.assertEqual(self.flushLoggedErrors(), [])


class NickTests(ChatCase):
    """Nicknames."""

    def test_change(self) -> None:
        """A nickname is trimmed, and shown to all."""
        peer, there = self.guest()
        other, _ = self.guest()
        self.assertEqual(self.ask(peer, "nick", "  Ada \t Lovelace\n"), {"nick": "Ada Lovelace"})
        (people, count) = self.news(other)["people"]
        self.assertEqual((people[0]["id"], people[0]["nick"], count), (there["id"], "Ada Lovelace", 2))
        peer.send("hello")
        self.assertEqual(self.news(other)["said"][0]["nick"], "Ada Lovelace")

    def test_refused(self) -> None:
        """What can't be seen, is nothing, too long or no text is no nickname."""
        peer, _ = self.guest()
        for name in ("", "  \n", "x" * 25, "x" * 1000, "a\0b", "a\u202eb", "a\u200bb", None, 5, ["Ada"]):
            self.assertEqual(self.ask(peer, "nick", name), {"error": NOT_A_NICK}, name)
        self.assertEqual(self.ask(peer, "nick"), {"error": NOT_A_NICK})
        self.assertEqual(self.ask(peer, "nick", "x" * 24, "more"), {"nick": "x" * 24})

    def test_unique(self) -> None:
        """Two can't have one nickname, or two that look like one, in any room."""
        self.guest(nick="Straße", room="twisted")
        peer, there = self.guest()
        for name in ("Straße", "STRASSE", "\uff33\uff34\uff32\uff21\uff33\uff33\uff25"):
            self.assertEqual(self.ask(peer, "nick", name), {"error": "somebody else has that nickname"})
        self.assertEqual(self.ask(peer, "nick", there["nick"]), {"nick": there["nick"]})

    def test_free(self) -> None:
        """A nickname that was given up, by another or by going, can be had; one's own can be written otherwise."""
        peer, _ = self.guest(nick="Ada")
        other, _ = self.guest()
        self.assertEqual(self.ask(peer, "nick", "ADA"), {"nick": "ADA"})
        self.assertEqual(self.ask(other, "nick", "Ada"), {"error": "somebody else has that nickname"})
        self.ask(peer, "nick", "Grace")
        self.assertEqual(self.ask(other, "nick", "Ada"), {"nick": "Ada"})
        peer.close()
        self.assertEqual(self.ask(other, "nick", "Grace"), {"nick": "Grace"})

    def test_guests(self) -> None:
        """However many come, no two have the same."""
        nicks = [self.guest()[1]["nick"] for _ in range(50)]
        self.assertEqual(len(set(nicks)), 50)


class RoomTests(ChatCase):
    """Rooms."""

    def test_apart(self) -> None:
        """What is said in a room is heard there alone, by those who are told by messages, too."""
        inside, _ = self.guest(room="twisted")
        lobby, _ = self.guest()
        old = self.peer(SOCKETIO_06)
        reader = self.peer(SOCKETIO_09)
        self.ask(reader, "join", "twisted")
        for peer in (old, reader):
            peer.take()
        inside.send("in the room")
        lobby.send("in the lobby")
        self.assertEqual(self.news(inside).get("said"), None)
        self.assertEqual(self.news(lobby).get("said"), None)
        self.assertEqual(reader.take(), [["message", {"message": [inside.ids["/"], "in the room"]}]])
        self.assertEqual(old.take(), [["message", {"message": [lobby.ids["/"], "in the lobby"]}]])

    def test_answer(self) -> None:
        """Who joins is shown what was said there, and who is there."""
        first, _ = self.guest(nick="Ada", room="twisted")
        first.send("hello")
        second, _ = self.guest(nick="Grace")
        view = self.ask(second, "join", " Twisted ")
        self.assertEqual(set(view), {"room", "history", "people", "count"})
        self.assertEqual(view["room"], "twisted")
        self.assertEqual([entry["message"] for entry in view["history"]], ["hello"])
        self.assertEqual([person["nick"] for person in view["people"]], ["Ada", "Grace"])
        self.assertEqual(view["count"], 2)
        self.assertEqual(self.people(first), ["Ada", "Grace"])

    def test_refused(self) -> None:
        """A room's name is short and plain."""
        peer, _ = self.guest()
        for name in ("", " ", "a b", "#a", "a/b", "a\nb", "x" * 25, None, 5, ["lobby"]):
            self.assertEqual(self.ask(peer, "join", name), {"error": NOT_A_ROOM}, name)
        self.assertEqual(self.ask(peer, "join"), {"error": NOT_A_ROOM})
        self.assertEqual(self.ask(peer, "join", "M\xfcnchen-5_")["room"], "m\xfcnchen-5_")

    def test_private(self) -> None:
        """The room that is a connection's own can't be joined by its name."""
        victim, _ = self.guest()
        spy, _ = self.guest()
        connection = self.sio.getConnection(victim.ids["/"])
        assert connection is not None
        self.ask(spy, "join", victim.ids["/"])
        self.news(spy)
        connection.emit("secret")
        self.assertIn("secret", self.news(victim))
        self.assertNotIn("secret", self.news(spy))

    def test_list(self) -> None:
        """Everybody hears how many are in which room, whatever room they are in."""
        one, _ = self.guest()
        other, _ = self.guest(room="twisted")
        expected = [{"name": "lobby", "people": 1}, {"name": "twisted", "people": 1}]
        self.assertEqual(self.news(one)["rooms"], [expected])
        self.guest(room="twisted")
        expected[1]["people"] = 2
        for peer in (one, other):
            self.assertEqual(self.news(peer)["rooms"], [expected])

    def test_limit(self) -> None:
        """There are no more rooms than the limit; an empty one makes place, with all that was said in it."""
        self.make(rooms=3)
        one, _ = self.guest(room="a")
        one.send("said in a")
        self.guest(room="b")
        three, _ = self.guest()
        self.assertEqual(self.ask(three, "join", "c"), {"error": "there are too many rooms"})
        self.ask(one, "join", "b")
        self.assertEqual(len(self.ask(three, "join", "a")["history"]), 1)
        self.ask(three, "join", "b")
        self.assertEqual(self.ask(three, "join", "c")["room"], "c")
        self.assertEqual(self.ask(one, "join", "a"), {"error": "there are too many rooms"})
        self.assertEqual(self.ask(one, "join", "lobby")["history"], [])

    def test_historyOfEach(self) -> None:
        """Every room has its own limit of lines."""
        self.make(lines=2)
        peer, _ = self.guest()
        for room in ("a", "b"):
            self.ask(peer, "join", room)
            for number in range(3):
                peer.send(f"{room}{number}")
        for room in ("a", "b"):
            said = [entry["message"] for entry in self.ask(peer, "join", room)["history"]]
            self.assertEqual(said, [f"{room}1", f"{room}2"])


class PeopleTests(ChatCase):
    """Who is there."""

    def test_generations(self) -> None:
        """Clients of every generation are in the list, with the transport of each."""
        observer, _ = self.guest()
        transports = {
            "Socket.IO 0.6": "htmlfile",
            "Socket.IO 0.7-0.9": "flashsocket",
            "Socket.IO 1-2": "websocket",
            "Socket.IO 3-4": "websocket",
        }
        for generation, transport in transports.items():
            self.peer(GENERATIONS[generation], transport=transport)
        people, count = self.news(observer)["people"]
        self.assertEqual(count, 5)
        self.assertEqual([(each["generation"], each["transport"]) for each in people[1:]], [*transports.items()])

    def test_comeAndGo(self) -> None:
        """The list is told again when somebody comes and when somebody goes."""
        observer, _ = self.guest(nick="Ada")
        other, _ = self.guest(nick="Grace")
        self.assertEqual(self.people(observer), ["Ada", "Grace"])
        other.close()
        self.assertEqual(self.people(observer), ["Ada"])

    def test_transport(self) -> None:
        """That somebody's transport is another is seen with the first thing that comes from there, once."""
        observer, _ = self.guest()
        other, there = self.guest()
        self.news(observer)
        assert other.session is not None
        self.patch(type(other.session), "transportName", "polling")
        other.emit("echo")
        people, _ = self.news(observer)["people"]
        self.assertEqual([each["transport"] for each in people if each["id"] == there["id"]], ["polling"])
        other.emit("echo")
        self.assertNotIn("people", self.news(observer))

    def test_crowd(self) -> None:
        """A crowd that comes at once is told of once."""
        observer, _ = self.guest()
        for _ in range(20):
            self.peer(SOCKETIO_06)
        self.clock.advance(0.1)
        self.clock.advance(0)
        told = [name for name, *_ in observer.take()]
        self.assertEqual(told.count("people"), 1)
        self.assertEqual(told.count("rooms"), 1)

    def test_limit(self) -> None:
        """Of a crowd as many are listed as the limit allows, and all are counted."""
        self.make(people=3)
        observer, _ = self.guest()
        for _ in range(5):
            self.peer()
        people, count = self.news(observer)["people"]
        self.assertEqual((len(people), count), (3, 6))
        self.assertEqual(len(self.guest()[1]["people"]), 3)

    def test_silent(self) -> None:
        """Who has not said hello is told nothing of it."""
        for dialect in GENERATIONS.values():
            peer = self.peer(dialect)
            self.guest(nick=dialect.name, room="twisted")
            self.assertEqual(set(self.news(peer)), {"message"})

    def test_noCredentials(self) -> None:
        """Nothing that people are shown of each other holds the id of a session or of a connection."""
        old = self.peer(SOCKETIO_06)
        new, _ = self.guest()
        observer, there = self.guest()
        old.send("hello")
        new.emit("typing")
        everything = repr([there, self.news(observer), self.ask(observer, "join", "lobby")])
        for peer in (old, new):
            assert peer.session is not None
            self.assertNotIn(peer.session.id, everything)
        self.assertNotIn(new.ids["/"], everything)

    def test_typing(self) -> None:
        """The others in the room hear who is typing."""
        one, there = self.guest(room="twisted")
        two, _ = self.guest(room="twisted")
        lobby, _ = self.guest()
        one.emit("typing", "whatever")
        self.assertEqual(self.news(two)["typing"], [there["id"]])
        for peer in (one, lobby):
            self.assertNotIn("typing", self.news(peer))

    def test_echo(self) -> None:
        """An echo is what was called."""
        peer, _ = self.guest()
        self.assertEqual(self.successResultOf(peer.call("echo", {"a": 1})), [{"a": 1}])
        self.assertEqual(self.successResultOf(peer.call("echo")), [])

    def test_stop(self) -> None:
        """When the server stops, news that was to be told is not."""
        self.guest()
        self.peer()
        self.successResultOf(self.sio.stop())
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobodyListens(self) -> None:
        """News that nobody is left to be told of is not kept."""
        self.peer().close()
        peer = self.peer()
        self.ask(peer, "hello")
        peer.close()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.guest()[1]["count"], 1)


class KeyTests(ChatCase):
    """Clients that come back before the server has missed them."""

    def test_place(self) -> None:
        """Who has the key takes the former place: id and nickname. The connection that was lost is ended."""
        observer, _ = self.guest()
        lost, before = self.guest(key=KEY, nick="Ada")
        again, after = self.guest(key=KEY, nick="Ada")
        self.assertEqual((after["id"], after["nick"]), (before["id"], "Ada"))
        self.assertTrue(lost.closed)
        people = [(each["id"], each["nick"]) for each in self.news(observer)["people"][0]]
        self.assertEqual(people[1:], [(before["id"], "Ada")])
        again.close()
        self.assertEqual(self.guest(nick="Ada")[1]["nick"], "Ada")

    def test_twice(self) -> None:
        """It can be lost again."""
        self.guest(key=KEY, nick="Ada")
        self.guest(key=KEY)
        _, there = self.guest(key=KEY)
        self.assertEqual(there["nick"], "Ada")
        self.assertEqual(there["count"], 1)

    def test_gone(self) -> None:
        """The place of who is gone for good is gone too."""
        lost, before = self.guest(key=KEY, nick="Ada")
        lost.close()
        _, after = self.guest(key=KEY)
        self.assertNotEqual(before["id"], after["id"])

    def test_own(self) -> None:
        """Saying hello twice with one key on one connection is no return."""
        peer, there = self.guest(key=KEY)
        self.assertEqual(self.ask(peer, "hello", {"key": KEY})["id"], there["id"])
        self.assertFalse(peer.closed)

    def test_poor(self) -> None:
        """What could be guessed is no key."""
        for key in ("", "short", "x" * 65, " " * 20):
            lost, _ = self.guest(key=key)
            self.guest(key=key)
            self.assertFalse(lost.closed)
