"""
The chat on several servers: its people see no difference.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.chat import Chat
from siotwisted.chatreplica import Line, Room
from siotwisted.dialects.dialect import Dialect
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.server import SocketIO
from siotwisted.testing import MemoryPeer
from tests.clusters import MemoryCluster, SlowCluster

KEY = "0123456789abcdef"


class Server:
    """One of the servers, and its chat."""

    def __init__(self, clock: Clock, cluster: MemoryCluster, limits: dict[str, int]) -> None:
        self.cluster = cluster
        self.sio = SocketIO(clock, None, cluster)
        self.chat = Chat(self.sio, **limits, cluster=cluster)
        cluster.enter()

    def view(self) -> dict[str, Any]:
        """What its clients are shown of each room, whoever came first."""
        views = {name: self.chat._view(room) for name, room in sorted(self.chat._rooms.items())}
        for each in self.chat._list():
            assert each["people"] == views[each["name"]]["count"]
        for view in views.values():
            view["people"].sort(key=lambda person: person["id"])
        return views


class ChatClusterCase(SynchronousTestCase):
    """Three servers, and peers for them."""

    kind: type[MemoryCluster] = MemoryCluster

    def setUp(self) -> None:
        """They know each other."""
        self.make()

    def make(self, **limits: int) -> None:
        """Three others, with these limits."""
        self.clock = Clock()
        self.limits = limits
        self.clusters: dict[int, MemoryCluster] = {}
        self.servers = [self.server(number) for number in range(3)]

    def server(self, number: int) -> Server:
        """One more."""
        return Server(self.clock, self.kind(number, self.clusters), self.limits)

    def peer(self, server: int, dialect: Dialect = ENGINEIO_4) -> MemoryPeer:
        """A client that has not said hello."""
        return MemoryPeer(self.servers[server].sio, dialect)

    def ask(self, peer: MemoryPeer, event: str, *values: object) -> dict[str, Any]:
        """What a client is answered at once."""
        (answer,) = self.successResultOf(peer.call(event, *values))
        assert isinstance(answer, dict)
        return answer

    def guest(self, server: int, **wishes: str) -> tuple[MemoryPeer, dict[str, Any]]:
        """A client that has said hello with these wishes, and what it was answered."""
        peer = self.peer(server)
        return peer, self.ask(peer, "hello", wishes)

    def news(self, peer: MemoryPeer) -> dict[str, list[Any]]:
        """The last of each event that a client was told since it was asked last, now that all have been told."""
        self.clock.advance(0.1)
        self.clock.advance(0)
        return {name: values for name, *values in peer.take()}

    def nicks(self, peer: MemoryPeer) -> list[str]:
        """The nicknames that a client was shown last."""
        return sorted(person["nick"] for person in self.news(peer)["people"][0])

    def assertOne(self) -> dict[str, Any]:
        """All servers show the same, and that is returned."""
        first, *others = [server.view() for server in self.servers]
        for other in others:
            self.assertEqual(other, first)
        return first


class PeopleTests(ChatClusterCase):
    """Who is there, wherever that is."""

    def test_lists(self) -> None:
        """People and rooms are told everywhere, once; they are the same for all."""
        peers = [self.guest(number, nick=nick)[0] for number, nick in enumerate(("Ada", "Grace", "Jean"))]
        self.guest(1, nick="Mary", room="twisted")
        self.clock.advance(0.1)
        for peer in peers:
            told = peer.take()
            (people, count) = [values for name, *values in told if name == "people"][-1]
            self.assertEqual((sorted(each["nick"] for each in people), count), (["Ada", "Grace", "Jean"], 3))
            rooms = [{"name": "lobby", "people": 3}, {"name": "twisted", "people": 1}]
            self.assertEqual([values for name, *values in told if name == "rooms"], [[rooms]])
            self.assertEqual([name for name, *_ in told].count("people"), 1)
        self.assertOne()

    def test_person(self) -> None:
        """A client elsewhere is shown with its generation and transport, and with its next transport."""
        old = self.peer(0, SOCKETIO_06)
        observer, there = self.guest(1)
        self.assertEqual(
            [(each["generation"], each["transport"]) for each in there["people"]],
            [("Socket.IO 0.6", "websocket"), ("Socket.IO 3-4", "websocket")],
        )
        assert old.session is not None
        self.news(observer)
        self.patch(type(old.session), "transportName", "htmlfile")
        old.send("hello")
        self.assertIn("htmlfile", [each["transport"] for each in self.news(observer)["people"][0]])

    def test_limit(self) -> None:
        """As many are listed as the limit allows, and all are counted."""
        self.make(people=2)
        for server in (0, 0, 1, 2):
            self.peer(server)
        _, there = self.guest(2)
        self.assertEqual((len(there["people"]), there["count"]), (2, 5))

    def test_leave(self) -> None:
        """Who leaves is gone everywhere."""
        goes, _ = self.guest(0, nick="Ada")
        stays, _ = self.guest(1, nick="Grace")
        goes.close()
        self.assertEqual(self.nicks(stays), ["Grace"])
        self.assertEqual(self.guest(2, nick="Ada")[1]["nick"], "Ada")

    def test_noCredentials(self) -> None:
        """Nothing that is shown holds the id of a session or of a connection elsewhere."""
        old, (new, _) = self.peer(0, SOCKETIO_06), self.guest(1)
        observer, there = self.guest(2)
        old.send("hello")
        new.emit("typing")
        everything = repr([there, self.news(observer), self.ask(observer, "join", "lobby")])
        for peer in (old, new):
            assert peer.session is not None
            self.assertNotIn(peer.session.id, everything)
        self.assertNotIn(new.ids["/"], everything)


class SaidTests(ChatClusterCase):
    """What is said, wherever that is."""

    def test_generations(self) -> None:
        """All others hear it once, each in its way, and are told who comes and who goes."""
        old, listener, reader = self.peer(0, SOCKETIO_06), self.guest(1)[0], self.peer(2, SOCKETIO_09)
        for speaker in (self.peer(0, ENGINEIO_3), self.peer(1, SOCKETIO_06), self.guest(2)[0]):
            for peer in (old, listener, reader, speaker):
                self.news(peer)
            speaker.send("hello")
            everybody = [each for server in self.servers for each in server.sio.connections.values()]
            (id,) = [each.id for each in everybody if each.session is speaker.session]
            for peer in (old, reader):
                self.assertEqual(peer.take(), [["message", {"message": [id, "hello"]}]])
            ((name, entry),) = listener.take()
            self.assertEqual((name, entry["message"]), ("said", "hello"))
            self.assertEqual(speaker.take(), [])
            speaker.close()
            self.assertEqual(old.take(), [["message", {"announcement": f"disconnected: {id}"}]])
        late = self.peer(2)
        self.assertEqual(old.take(), [["message", {"announcement": f"connected: {late.ids['/']}"}]])

    def test_history(self) -> None:
        """It is the same everywhere, whatever was said and wherever."""
        said: list[Any] = ["a", "\ud800", 2**70, {"b": [None, 1.5]}, "\U0001f600", ""]
        speakers = [self.peer(0), self.peer(1, SOCKETIO_06), self.guest(2)[0]]
        for number, each in enumerate(said):
            speakers[number % 3].send(each)
        self.assertEqual([entry["message"] for entry in self.assertOne()["lobby"]["history"]], said)
        (_, first), *_ = self.peer(1, SOCKETIO_09).take()
        self.assertEqual([each["message"][1] for each in first["buffer"]], said)

    def test_limits(self) -> None:
        """Of all that was said the last is remembered; what is too long is told only."""
        self.make(lines=3, size=400)
        speakers, listener = [self.peer(0), self.peer(1)], self.guest(2)[0]
        for number in range(6):
            speakers[number % 2].send(str(number))
        speakers[0].send("x" * 201)
        self.assertEqual(len(self.news(listener)["said"][0]["message"]), 201)
        self.assertEqual([entry["message"] for entry in self.assertOne()["lobby"]["history"]], ["3", "4", "5"])

    def test_apart(self) -> None:
        """What is said in a room, and who is typing there, is heard there alone."""
        inside, there = self.guest(0, room="twisted")
        other, lobby = self.guest(1, room="twisted")[0], self.guest(2)[0]
        for peer in (other, lobby):
            self.news(peer)
        inside.send("hello")
        inside.emit("typing")
        news = self.news(other)
        self.assertEqual((news["said"][0]["message"], news["typing"]), ("hello", [there["id"]]))
        self.assertEqual(self.news(lobby), {})


class RoomTests(ChatClusterCase):
    """Rooms, wherever they were made."""

    def test_limit(self) -> None:
        """There are no more than the limit; an empty one makes place everywhere, with all that was said in it."""
        self.make(rooms=3)
        one, two, three = self.guest(0, room="a")[0], self.guest(1, room="b")[0], self.guest(2)[0]
        one.send("said in a")
        self.assertEqual(self.ask(three, "join", "c"), {"error": "there are too many rooms"})
        self.ask(one, "join", "b")
        self.assertEqual(len(self.ask(three, "join", "a")["history"]), 1)
        self.ask(three, "join", "b")
        self.assertEqual(self.ask(three, "join", "c")["room"], "c")
        self.assertEqual(list(self.assertOne()), ["b", "c", "lobby"])
        self.assertEqual(self.ask(two, "join", "a"), {"error": "there are too many rooms"})
        names = [each["name"] for each in self.news(one)["rooms"][0]]
        self.assertEqual(names, ["lobby", "b", "c"])

    def test_late(self) -> None:
        """A line that comes when later ones have driven out what is older than it is in its place, or forgotten."""
        lines = [Line(stamp, "speaker", {}, 10) for stamp in range(6)]
        room = Room("room", 3, 30)
        room.remember([lines[1], lines[2], lines[4], lines[5]])
        room.remember([lines[0], lines[3], lines[1], lines[5]])
        self.assertEqual(room.history, lines[3:])
        other = Room("room", 3, 30)
        other.remember([lines[2]])
        other.remember([lines[5]], room.floor)
        other.remember([lines[1], lines[2]])
        self.assertEqual(other.history, [lines[5]])


class ServerTests(ChatClusterCase):
    """Servers that come and go."""

    def test_late(self) -> None:
        """One that comes late knows everything, and the others its clients."""
        self.guest(0, nick="Ada")[0].send("hello")
        self.peer(1, SOCKETIO_06).send("hi")
        visitor, _ = self.guest(2, room="twisted")
        visitor.send("nobody here?")
        visitor.close()
        self.servers.append(self.server(3))
        _, there = self.guest(3, nick="ADA")
        self.assertRegex(there["nick"], "^guest-")
        self.assertEqual([entry["message"] for entry in there["history"]], ["hello", "hi"])
        self.assertEqual(there["rooms"], [{"name": "lobby", "people": 3}, {"name": "twisted", "people": 0}])
        self.assertEqual(len(self.assertOne()["twisted"]["history"]), 1)

    def test_apart(self) -> None:
        """Two that were alone put together what each knows; of two who are called the same, one yields."""
        first, second = SlowCluster(7, self.clusters), SlowCluster(8, self.clusters)
        self.servers = [Server(self.clock, each, {}) for each in (first, second)]
        peers = [self.guest(number, nick="Ada")[0] for number in range(2)]
        for number, peer in enumerate(peers):
            peer.send(str(number))
            self.ask(peer, "join", "twisted")
        while first.waiting or second.waiting:
            for cluster in (first, second):
                for number in cluster.waiting:
                    cluster.deliver(number)
        view = self.assertOne()
        self.assertEqual(sorted(entry["message"] for entry in view["lobby"]["history"]), ["0", "1"])
        low, high = sorted(peers, key=lambda peer: peer.ids["/"])
        for peer in peers:
            nicks = self.nicks(peer)
            self.assertEqual(nicks[0], "Ada")
            self.assertRegex(nicks[1], "^guest-")
        self.assertEqual(self.ask(low, "nick", "Ada"), {"nick": "Ada"})
        self.assertEqual(self.ask(high, "nick", "Ada"), {"error": "somebody else has that nickname"})

    def test_gone(self) -> None:
        """When one is gone, its clients are gone, which is announced; what they said is not. Its number is free."""
        self.peer(0)
        goes, _ = self.guest(0, nick="Ada", room="twisted", key=KEY)
        goes.send("hello")
        reader, listener = self.peer(1), self.guest(2, room="twisted")[0]
        self.news(reader)
        self.servers[0].cluster.leave()
        told = [values for name, values in reader.take()]
        self.assertEqual(len(told), 1)
        self.assertRegex(told[0]["announcement"], "^disconnected: ")
        news = self.news(listener)
        self.assertEqual((news["people"][1], news["rooms"][0][0]), (1, {"name": "lobby", "people": 1}))
        self.servers[0] = self.server(0)
        _, there = self.guest(0, nick="Ada", room="twisted", key=KEY)
        self.assertEqual((there["nick"], len(there["history"]), there["count"]), ("Ada", 1, 2))
        self.assertOne()

    def test_stop(self) -> None:
        """One that stops says nothing of its clients, for they are gone with it."""
        peer, _ = self.guest(0)
        reader = self.peer(1)
        reader.take()
        self.successResultOf(self.servers[0].sio.stop())
        self.assertTrue(peer.closed)
        self.assertEqual(reader.take(), [])
        self.servers[0].cluster.leave()
        self.assertEqual(len(reader.take()), 1)
        del self.servers[0]
        self.assertEqual(self.assertOne()["lobby"]["count"], 1)

    def test_afterwards(self) -> None:
        """What comes from one that is gone brings nobody back."""
        self.guest(0, nick="Ada")
        member = next(iter(self.servers[0].chat._members.values()))
        handlers = self.clusters[1]._handlers
        self.servers[0].cluster.leave()
        (told,) = handlers["chat member"]
        told(0, member.connectionID, "elsewhere", {**member.person(), "key": "", "taken": 0})
        (gone,) = handlers["chat gone"]
        gone(0, member.connectionID)
        (said,) = handlers["chat said"]
        said(0, "elsewhere", 1, member.connectionID, "{}", 2)
        del self.servers[0]
        self.assertEqual(self.assertOne()["lobby"]["count"], 0)


class KeyTests(ChatClusterCase):
    """Clients that come back, to another server."""

    def test_place(self) -> None:
        """Who has the key takes the former place: id and nickname. The connection that was lost is ended."""
        observer, _ = self.guest(2)
        lost, before = self.guest(0, key=KEY, nick="Ada")
        again, after = self.guest(1, key=KEY)
        self.assertEqual((after["id"], after["nick"], after["count"]), (before["id"], "Ada", 2))
        self.assertTrue(lost.closed)
        people = [(each["id"], each["nick"]) for each in self.news(observer)["people"][0]]
        self.assertEqual(people[1:], [(before["id"], "Ada")])
        self.assertEqual(self.guest(2, key=KEY)[1]["id"], before["id"])
        self.assertTrue(again.closed)
        self.assertEqual(self.assertOne()["lobby"]["count"], 2)

    def test_free(self) -> None:
        """The nickname is free when the last of the connections is gone."""
        self.guest(0, key=KEY, nick="Ada")
        self.guest(1, key=KEY)[0].close()
        self.assertEqual(self.guest(2, nick="Ada")[1]["nick"], "Ada")
        self.assertNotEqual(self.guest(0, key=KEY)[1]["nick"], "Ada")
        self.assertOne()

    def test_other(self) -> None:
        """A key that was given up for another one is nobody's."""
        peer, there = self.guest(0, key=KEY)
        self.ask(peer, "hello", {"key": KEY * 2})
        self.assertNotEqual(self.guest(1, key=KEY)[1]["id"], there["id"])
        self.assertFalse(peer.closed)
        self.assertEqual(self.guest(1, key=KEY * 2)[1]["id"], there["id"])
        self.assertTrue(peer.closed)


class SlowCase(ChatClusterCase):
    """Three servers, and what they tell takes its time."""

    kind = SlowCluster

    def setUp(self) -> None:
        """They know each other."""
        super().setUp()
        self.settle()

    def settle(self, random: Random | None = None) -> None:
        """All that was told arrives: in the order of each server, and in any order of different ones."""
        random = random or Random(1)
        while ways := [(one, two) for one in self.slow() for two in one.waiting]:
            one, two = random.choice(ways)
            one.deliver(two)

    def slow(self) -> list[SlowCluster]:
        """The servers' clusters."""
        return [each.cluster for each in self.servers if isinstance(each.cluster, SlowCluster)]


class SlowTests(SlowCase):
    """What servers do before they know of each other's doings."""

    def deliver(self, one: int, two: int) -> None:
        """All that one server has told another arrives."""
        while two in self.slow()[one].waiting:
            self.slow()[one].deliver(two)

    def test_nick(self) -> None:
        """Of three who take one nickname at once, the one with the lowest connection id keeps it."""
        peers = [self.guest(number)[0] for number in range(3)]
        self.settle()
        for peer in peers:
            self.assertEqual(self.ask(peer, "nick", "Ada"), {"nick": "Ada"})
        self.settle()
        self.assertOne()
        lowest = min(peers, key=lambda peer: peer.ids["/"])
        for peer in peers:
            self.assertEqual("nick" in self.ask(peer, "nick", "ada"), peer is lowest)
        lowest.close()
        self.settle()
        self.assertEqual(self.guest(0, nick="Ada")[1]["nick"], "Ada")

    def test_nickGivenUp(self) -> None:
        """Who hears of a nickname's old owner after its new one, thinks no worse of the new one."""
        for _ in range(4):  # whichever of both has the lower id
            self.make()
            self.settle()
            (one, _), (two, _) = self.guest(0, nick="Ada"), self.guest(1)
            self.deliver(0, 1)
            self.ask(one, "nick", "Grace")
            self.deliver(0, 1)
            self.assertEqual(self.ask(two, "nick", "Ada"), {"nick": "Ada"})
            self.deliver(1, 2)
            self.settle()
            self.assertRegex(self.guest(2, nick="Ada")[1]["nick"], "^guest-")
            self.settle()
            self.assertOne()

    def test_key(self) -> None:
        """Of two who take one place at once, one has it, the other is closed, and so is who had it before."""
        lost, before = self.guest(0, key=KEY, nick="Ada")
        self.settle()
        peers = [self.guest(number, key=KEY)[0] for number in (1, 2)]
        self.ask(lost, "nick", "Grace")
        self.settle()
        self.assertEqual(sorted(peer.closed for peer in peers), [False, True])
        self.assertTrue(lost.closed)
        self.assertEqual([each["id"] for each in self.assertOne()["lobby"]["people"]], [before["id"]])

    def test_room(self) -> None:
        """A room that is given up when somebody comes into it elsewhere is there again, with what was said."""
        self.make(rooms=2)
        self.settle()
        one, two = self.guest(0, room="a")[0], self.guest(1)[0]
        one.send("hello")
        self.ask(one, "join", "lobby")
        self.settle()
        self.ask(one, "join", "b")
        self.assertEqual(len(self.ask(two, "join", "a")["history"]), 1)
        self.settle()
        view = self.assertOne()
        self.assertEqual([(view[name]["count"], len(view[name]["history"])) for name in ("a", "b")], [(1, 1), (1, 0)])
        self.ask(one, "join", "lobby")
        self.ask(two, "join", "lobby")
        self.settle()
        self.ask(one, "join", "c")
        self.settle()
        self.assertEqual(list(self.assertOne()), ["c", "lobby"])

    def test_roomTwice(self) -> None:
        """Two may give up one room at once; there are more than the limit then, until these are empty again."""
        self.make(rooms=2)
        self.settle()
        one, two = self.guest(0, room="a")[0], self.guest(1)[0]
        self.ask(one, "join", "lobby")
        self.settle()
        self.ask(one, "join", "b")
        self.ask(two, "join", "c")
        self.settle()
        self.assertEqual(list(self.assertOne()), ["b", "c", "lobby"])


class AnythingTests(SlowCase):
    """Whatever happens, all servers show the same when all is quiet."""

    def storm(self, random: Random, slow: bool) -> None:
        """Do many things at random."""
        peers: list[tuple[int, MemoryPeer]] = []
        for _ in range(60):
            peers = [(server, peer) for server, peer in peers if not peer.closed]
            what = random.randrange(12)
            if what < 3 or not peers:
                server = random.randrange(3)
                dialect = random.choice((ENGINEIO_4, ENGINEIO_4, ENGINEIO_3, SOCKETIO_09, SOCKETIO_06))
                peers.append((server, self.peer(server, dialect)))
                continue
            server, peer = random.choice(peers)
            old = peer._dialect is SOCKETIO_06
            if what == 3:
                peer.close()
            elif what < 6 or old:
                peer.send(random.choice(("a", "b" * 50, ["c"])))
            elif what == 6:
                self.ask(peer, "nick", random.choice(("Ada", "ADA", "Grace")))
            elif what < 9:
                self.ask(peer, "join", random.choice("abcd") if random.random() < 0.7 else "lobby")
            elif what < 11:
                self.ask(peer, "hello", {"key": random.choice("xyz") * 16, "nick": random.choice(("Ada", "Jean"))})
            elif random.random() < 0.3:
                self.settle(random)
                self.servers[server].cluster.leave()
                peers = [(other, peer) for other, peer in peers if other != server]
                self.servers[server] = self.server(server)
            self.clock.advance(0.05)
            ways = [(one, two) for one in self.slow() for two in one.waiting]
            if not slow:
                self.settle(random)
            elif ways:
                for one, two in random.choices(ways, k=4):
                    if two in one.waiting:
                        one.deliver(two)
        self.settle(random)
        self.clock.advance(1)

    def check(self) -> dict[str, Any]:
        """The servers know of all clients, and of no others; no two have one nickname, or one id."""
        there = {id for server in self.servers for id in server.sio.connections}
        for server in self.servers:
            replica = server.chat._replica
            self.assertEqual(set(replica.members), there)
            self.assertEqual(len({each.id for each in replica.members.values()}), len(there))
            claims = [each for each, *others in replica._byNick.values() if not others]
            self.assertEqual({each.connectionID for each in claims}, there)
            self.assertEqual(len(replica._byNick), len(there))
            keys = {each.key: each for each in replica.members.values() if each.key}
            self.assertEqual(replica._byKey, keys)
        people = [
            {name: view["people"] for name, view in server.view().items() if view["count"]} for server in self.servers
        ]
        self.assertEqual(people[1:], people[:1] * 2)
        return people[0]

    def test_atOnce(self) -> None:
        """What is told arrives at once: people, rooms and histories are the same."""
        for seed in range(15):
            self.make(rooms=3, lines=4, size=300)
            self.settle()
            self.storm(Random(seed), slow=False)
            self.check()
            self.assertOne()

    def test_inAnyOrder(self) -> None:
        """The same in any order, if there is place for all rooms."""
        for seed in range(40):
            self.make(lines=4, size=300)
            self.settle()
            self.storm(Random(seed), slow=True)
            self.check()
            self.assertOne()

    def test_fewRooms(self) -> None:
        """If there is not, rooms are given up at once by several, and people are the same."""
        for seed in range(40):
            self.make(rooms=3, lines=4, size=300)
            self.settle()
            self.storm(Random(seed), slow=True)
            self.check()
