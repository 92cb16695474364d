"""
The chat: what its clients get, word for word, and what it remembers.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.chat import Chat
from siotwisted.server import SocketIO
from siotwisted.wire.sio06 import frame
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.fakes import FakePoll, FakeStream, FakeTransport, attach, connect, received


class ChatCase(SynchronousTestCase):
    """A chat, and clients for it."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.make()

    def make(self, **limits: Any) -> None:
        """Another chat, with these limits."""
        self.sio = SocketIO(self.clock)
        self.chat = Chat(self.sio, **limits)

    def client(self, kind: type[FakeTransport] = FakeStream) -> Client:
        """A new client."""
        return Client(self, kind)

    def buffer(self) -> list[Any]:
        """What a new client is shown."""
        client = self.client()
        first = client.take()[0]
        client.leave()
        self.assertEqual(list(first), ["buffer"])
        result: list[Any] = first["buffer"]
        return result


class Client:
    """
    One client of the chat.

    :ivar id: its session's id.
    """

    def __init__(self, case: ChatCase, kind: type[FakeTransport]) -> None:
        self._clock = case.clock
        self._session, self.transport = connect(case.sio.registry, kind)
        self.id = self._session.id
        self._clock.advance(0)
        self._seen = 1

    def say(self, *data: str) -> None:
        """Send frames with this data."""
        self._session.dataReceived("".join(map(frame, data)))
        self._clock.advance(0)

    def take(self) -> list[Any]:
        """What it has got since it was asked last."""
        everything = received(self.transport)
        new, self._seen = everything[self._seen :], len(everything)
        return new

    def leave(self) -> None:
        """Go, and be waited for in vain."""
        self.transport.connectionLost()
        self._clock.advance(60)


class ChatTests(ChatCase):
    """Who gets what."""

    def test_first(self) -> None:
        """A client gets the messages so far, and then, like all, the news of itself."""
        client = self.client()
        self.assertEqual(client.take(), [{"buffer": []}, {"announcement": f"connected: {client.id}"}])

    def test_bytes(self) -> None:
        """Its first payload is, byte for byte, its id and these two."""
        client = self.client()
        announcement = f'~j~{{"announcement":"connected: {client.id}"}}'
        self.assertEqual(
            client.transport.writes, [(frame(client.id) + frame('~j~{"buffer":[]}') + frame(announcement)).encode()]
        )

    def test_connected(self) -> None:
        """Those who are there hear of who comes."""
        first = self.client()
        first.take()
        second = self.client(FakePoll)
        self.assertEqual(first.take(), [{"announcement": f"connected: {second.id}"}])

    def test_message(self) -> None:
        """What one says goes to all others, and not back."""
        speaker, listener, other = self.client(), self.client(), self.client()
        for client in (speaker, listener, other):
            client.take()
        speaker.say("hello \U0001f600")
        self.assertEqual(speaker.take(), [])
        for client in (listener, other):
            self.assertEqual(client.take(), [{"message": [speaker.id, "hello \U0001f600"]}])

    def test_anything(self) -> None:
        """A message may be any text, and any JSON."""
        speaker, listener = self.client(), self.client()
        listener.take()
        speaker.say("", "a\nb", "<b>&", '~j~{"a":[1,null]}', "~j~null", "~j~5", '~j~"~h~1"', '~j~"\\ud800"', "~j~false")
        said = ["", "a\nb", "<b>&", {"a": [1, None]}, None, 5, "~h~1", "\ud800", False]
        self.assertEqual(listener.take(), [{"message": [speaker.id, each]} for each in said])
        self.assertEqual(self.buffer(), [{"message": [speaker.id, each]} for each in said])

    def test_disconnected(self) -> None:
        """Those who are left hear of who goes, after the time in which that one could have come back."""
        stays, goes = self.client(), self.client(FakePoll)
        stays.take()
        attach(goes._session, FakePoll).connectionLost()
        self.clock.advance(10)
        stays._session.dataReceived(frame("~h~1"))
        self.clock.advance(10)
        stays._session.dataReceived(frame("~h~2"))
        self.assertEqual(stays.take(), ["1", "2"])
        for number in (3, 4, 5, 6):
            self.clock.advance(10)
            stays._session.dataReceived(frame(f"~h~{number}"))
        self.clock.advance(0)
        self.assertEqual(
            [each for each in stays.take() if isinstance(each, dict)], [{"announcement": f"disconnected: {goes.id}"}]
        )

    def test_absent(self) -> None:
        """A poll's client misses nothing of what was said between two polls."""
        speaker, listener = self.client(), self.client(FakePoll)
        speaker.say("a")
        speaker.say("b")
        poll = attach(listener._session, FakePoll)
        self.clock.advance(0)
        self.assertEqual(received(poll), [{"message": [speaker.id, "a"]}, {"message": [speaker.id, "b"]}])

    def test_otherCodec(self) -> None:
        """Clients of different codecs talk to each other."""
        speaker = self.client()
        session, stream = connect(self.sio.registry, FakeStream, SIOStreamingCodec)
        self.clock.advance(0)
        speaker.take()
        stream.writes.clear()
        speaker.say("hello")
        text = f'{{"message":["{speaker.id}","hello"]}}'
        self.assertEqual(stream.writes, [f"1:{len(text) + 3}:j\n:{text},".encode()])
        session.dataReceived("1:4::hey,")
        self.clock.advance(0)
        self.assertEqual(speaker.take(), [{"message": [session.id, "hey"]}])

    def test_stop(self) -> None:
        """When the server stops, nobody's end fails."""
        clients = [self.client() for _ in range(5)]
        self.successResultOf(self.sio.stop())
        for client in clients:
            self.assertTrue(client.transport.over)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BufferTests(ChatCase):
    """What the chat remembers."""

    def test_order(self) -> None:
        """The messages of all, in the order in which they were said; announcements are not among them."""
        one, two = self.client(), self.client()
        one.say("a")
        two.say("b", "c")
        one.say("d")
        expected = [[one.id, "a"], [two.id, "b"], [two.id, "c"], [one.id, "d"]]
        self.assertEqual(self.buffer(), [{"message": each} for each in expected])

    def test_lines(self) -> None:
        """The last hundred, exactly."""
        speaker = self.client()
        for number in range(100):
            speaker.say(str(number))
        self.assertEqual([entry["message"][1] for entry in self.buffer()], [str(number) for number in range(100)])
        speaker = self.client()
        speaker.say("100")
        self.assertEqual([entry["message"][1] for entry in self.buffer()], [str(number) for number in range(1, 101)])

    def test_size(self) -> None:
        """No more characters of JSON than the limit; the oldest are forgotten first."""
        speaker = self.client()
        entry = len(f'{{"message":["{speaker.id}","{"x" * 10}"]}}')
        self.make(size=3 * entry)
        speaker = self.client()
        for letter in "abc":
            speaker.say(letter * 10)
        self.assertEqual([each["message"][1][0] for each in self.buffer()], ["a", "b", "c"])
        speaker = self.client()
        speaker.say("d" * 10)
        self.assertEqual([each["message"][1][0] for each in self.buffer()], ["b", "c", "d"])
        speaker = self.client()
        speaker.say("e" * 11)
        self.assertEqual([each["message"][1][0] for each in self.buffer()], ["d", "e"])

    def test_tooLong(self) -> None:
        """One that is longer than half of all that may be remembered is said, and nothing is forgotten for it."""
        self.make(size=1000)
        speaker, listener = self.client(), self.client()
        listener.take()
        speaker.say("a")
        speaker.say("x" * 500)
        self.assertEqual(len(listener.take()), 2)
        self.assertEqual([each["message"][1] for each in self.buffer()], ["a"])

    def test_defaultSize(self) -> None:
        """By default, a million characters."""
        speaker = self.client()
        connection = self.sio.getConnection(speaker.id)
        assert connection is not None
        around = len(f'{{"message":["{speaker.id}",""]}}')
        for letter in "abcdefghij":
            self.chat.said(connection, letter * (100_000 - around))
        self.assertEqual(len(self.buffer()), 10)
        self.chat.said(connection, "")
        self.assertEqual(len(self.buffer()), 10)
        self.assertEqual(self.buffer()[0]["message"][1][0], "b")

    def test_bounded(self) -> None:
        """A new client can always be shown the default buffer, even if all of it is of the widest characters."""
        speaker = self.client()
        connection = self.sio.getConnection(speaker.id)
        assert connection is not None
        text = "\U0010ffff" * 9_950
        for _ in range(101):
            self.chat.said(connection, text)
        speaker.leave()
        client = self.client()
        self.assertEqual(client.transport.writes[0].count(text.encode()), 100)

    def test_after(self) -> None:
        """What is said after a client was shown the buffer does not come twice."""
        speaker = self.client()
        speaker.say("a")
        listener = self.client()
        speaker.say("b")
        messages = [each for each in listener.take() if "announcement" not in each]
        self.assertEqual(messages, [{"buffer": [{"message": [speaker.id, "a"]}]}, {"message": [speaker.id, "b"]}])
