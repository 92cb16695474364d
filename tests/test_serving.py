"""
Namespaces and where they come from: by name, as classes, and those that stand for many.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred

from siotwisted.config import Config
from siotwisted.connections import Connection
from siotwisted.errors import ConnectionRefused
from siotwisted.handlers import event
from siotwisted.namespaces import Namespace
from siotwisted.packets import Kind, Reason
from tests.fakes_application import ApplicationCase

ROOMS = re.compile("/room-[0-9]+")


class Chat(Namespace):
    """A namespace whose author did not call the constructor of its class."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    @event
    def say(self, connection: Connection, text: str) -> str:
        """An event."""
        self.calls.append(("say", text))
        return text.upper()

    @event("odd name")
    def odd(self, connection: Connection) -> None:
        """An event."""
        self.calls.append("odd")

    @event
    def connect(self, connection: Connection) -> None:
        """Somebody is there."""
        self.calls.append("connect")

    @event
    def disconnecting(self, connection: Connection, reason: Reason) -> None:
        """Somebody leaves."""
        self.calls.append("disconnecting")

    @event
    def disconnect(self, connection: Connection, reason: Reason) -> None:
        """Somebody has left."""
        self.calls.append(reason)

    @event
    def message(self, connection: Connection, data: object) -> None:
        """A message."""
        self.calls.append(data)


class OfTests(ApplicationCase):
    """Namespaces by name."""

    def test_of(self) -> None:
        """A name is one namespace, with its slash or without; the server itself is the root."""
        chat = self.sio.of("/chat")
        self.assertIs(self.sio.of("chat"), chat)
        self.assertIs(self.sio.of("/"), self.sio)
        self.assertIs(self.sio.of(ROOMS), self.sio.of(ROOMS))
        self.assertEqual((chat.name, self.sio.name, self.sio.of(ROOMS).name), ("/chat", "/", ROOMS.pattern))

    def test_apart(self) -> None:
        """Namespaces know nothing of each other's handlers, rooms and connections."""
        chat = self.sio.of("/chat")
        chat.on("say", self.note("chat"))
        root, _ = self.client()
        member, session = self.client("/chat")
        root.join("red")
        self.assertEqual((list(chat.connections.values()), chat.getConnection(root.id)), ([member], None))
        self.assertEqual(self.successResultOf(chat.to("red").emit("news")), (0, 0, 0))
        self.assertEqual(self.successResultOf(chat.emit("news")), (1, 0, 0))
        session.emits("say", namespace="/chat")
        self.assertEqual(self.calls, [("chat", member)])

    def test_aliases(self) -> None:
        """What happens to a connection can be registered by name and by method, as a call and as a decorator."""
        methods: dict[str, Any] = {
            "connect": self.sio.onConnect,
            "message": self.sio.onMessage,
            "disconnecting": self.sio.onDisconnecting,
            "disconnect": self.sio.onDisconnect,
        }
        for name, method in methods.items():
            for register in (method, self.sio.on(name), lambda f, name=name: self.sio.on(name, f)):
                handler = self.note(name)
                self.assertIs(register(handler), handler)
        _, session = self.client()
        session.says(Kind.MESSAGE, "x")
        session.close(Reason.TRANSPORT_CLOSE)
        self.assertEqual([call[0] for call in self.calls], [name for name in methods for _ in range(3)])

    def test_impossible(self) -> None:
        """There is nothing to register for names that no client can send."""
        for name in ("connect_error", "newListener", "removeListener"):
            self.assertRaises(ValueError, self.sio.on, name)

    def test_allowRequest(self) -> None:
        """``authorize`` has another name."""

        def handler(handshake: object) -> bool:
            return True

        self.assertIs(self.sio.allowRequest(handler), handler)
        self.assertEqual(self.sio.admission.authorizers, [handler])


class ServeTests(ApplicationCase):
    """Namespaces that are classes."""

    def test_class(self) -> None:
        """Its marked methods are handlers."""
        chat = self.sio.serve("/chat", Chat(self.calls))
        self.assertIs(self.sio.of("/chat"), chat)
        _, session = self.client("/chat")
        session.emits("say", "a", namespace="/chat", id=1)
        session.emits("odd name", namespace="/chat")
        session.says(Kind.MESSAGE, "m", "/chat")
        session.says(Kind.DISCONNECT, None, "/chat")
        self.assertEqual(
            self.calls, ["connect", ("say", "a"), "odd", "m", "disconnecting", "client namespace disconnect"]
        )
        self.assertEqual(session.take(), [(Kind.ACK, ["A"], "/chat", 1)])

    def test_subclass(self) -> None:
        """A subclass inherits them, and may take their place."""

        class Loud(Chat):
            def say(self, connection: Connection, text: str) -> str:
                return super().say(connection, text) + "!"

        self.sio.serve("/loud", Loud(self.calls))
        _, session = self.client("/loud")
        session.emits("say", "a", namespace="/loud", id=1)
        self.assertEqual(session.take(), [(Kind.ACK, ["A!"], "/loud", 1)])

    def test_instances(self) -> None:
        """Two instances of one class are two namespaces."""
        others: list[Any] = []
        self.sio.serve("/a", Chat(self.calls))
        self.sio.serve("/b", Chat(others))
        self.client("/a")
        self.assertEqual((self.calls, others), (["connect"], []))

    def test_takenName(self) -> None:
        """A method that would hide what every namespace has is an error when the class is made."""

        def make() -> None:
            class Wrong(Namespace):
                @event
                def emit(self, *arguments: Any) -> Any:
                    """Hide the verb."""

        self.assertIn("emit", str(self.assertRaises(TypeError, make)))

    def test_twice(self) -> None:
        """A name has one namespace, and a namespace one name."""
        chat = self.sio.serve("/chat", Chat(self.calls))
        self.assertRaises(ValueError, self.sio.serve, "chat", Chat(self.calls))
        self.assertRaises(ValueError, self.sio.serve, "/other", chat)
        self.sio.of(ROOMS)
        self.assertRaises(ValueError, self.sio.serve, ROOMS, Chat(self.calls))

    def test_unserved(self) -> None:
        """A namespace that no server has yet can be sent to: nobody is there."""
        chat = Chat(self.calls)
        self.assertEqual(self.successResultOf(chat.to("red").emit("news")), (0, 0, 0))
        self.assertEqual(self.successResultOf(chat.call("ask", timeout=5)), ({}, []))
        self.assertEqual((dict(chat.connections), chat.name), ({}, ""))


class DynamicTests(ApplicationCase):
    """Namespaces that stand for many."""

    def refused(self, name: str, auth: Any = None) -> Any:
        """What a client is told that wants to join this, if it is refused."""
        session = self.session()
        session.says(Kind.CONNECT, auth, name)
        kind, data, *_ = session.take()[-1]
        return data["message"] if kind is Kind.ERROR else None

    def test_pattern(self) -> None:
        """A pattern stands for each name that it matches as a whole."""
        rooms = self.sio.of(ROOMS)
        rooms.on("say", lambda connection: connection.namespace.name)
        for number in (1, 2):
            _, session = self.client(f"/room-{number}")
            session.emits("say", namespace=f"/room-{number}", id=1)
            self.assertEqual(session.take()[0][1], [f"/room-{number}"])
        self.assertEqual(self.refused("/room-1/x"), "Invalid namespace")
        self.assertEqual(self.refused("/a/room-1"), "Invalid namespace")

    def test_class(self) -> None:
        """A class can stand for many, too."""
        self.sio.serve(ROOMS, Chat(self.calls))
        connection, _ = self.client("/room-1")
        self.assertEqual((self.calls, connection.namespace.name), (["connect"], "/room-1"))

    def test_function(self) -> None:
        """A function is asked with the name and what the client says; it may return a Deferred or a coroutine."""
        waiting: Deferred[bool] = Deferred()

        def refusing(name: str, auth: Any) -> bool:
            if name == "/secret":
                raise ConnectionRefused("hush")
            return name == "/plain" and auth == {"t": 1}

        async def slow(name: str, auth: Any) -> bool:
            return name == "/slow" and await waiting

        self.sio.of(refusing)
        self.sio.of(slow)
        self.sio.of(lambda name, auth: name == "/broken" and 1 / 0)
        self.assertIsNone(self.refused("/plain", {"t": 1}))
        self.assertIsNone(self.refused("/plain", {"t": 2}))  # it exists now
        self.assertEqual(self.refused("/other"), "Invalid namespace")
        self.assertEqual(self.refused("/secret"), "hush")
        self.assertEqual(self.refused("/broken"), "internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        session = self.session()
        session.says(Kind.CONNECT, None, "/slow")
        self.assertEqual(session.sent, [])
        waiting.callback(True)
        self.assertEqual(session.sent[0][0], Kind.CONNECT)

    def test_leavesMeanwhile(self) -> None:
        """A client that leaves while a function thinks leaves no namespace behind."""
        cancels: tuple[Any, ...] = (lambda deferred: None, lambda deferred: deferred.callback(True))
        waits: list[Deferred[bool]] = []
        for cancel in cancels:
            waits.append(Deferred(cancel))
            self.sio._dynamic.clear()
            family = self.sio.of(lambda name, auth: waits[-1])
            session = self.session()
            session.says(Kind.CONNECT, None, "/a")
            session.close(Reason.TRANSPORT_CLOSE)
            self.assertEqual((list(self.sio._names), family._cores()), (["/"], []))
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_first(self) -> None:
        """A name of its own goes before them, and of several that fit the first counts."""
        own = self.sio.of("/exact")
        first, second = self.sio.of(re.compile("/a.*")), self.sio.of(re.compile("/.*"))
        self.client("/ab")
        self.client("/b")
        self.client("/exact")
        self.assertEqual([len(each.connections) for each in (first, second, own)], [1, 1, 1])
        self.assertIs(self.sio.of("/abc"), self.sio.of("/abc"))
        self.assertEqual(len(first._cores()), 2)

    def test_refusedLeavesNothing(self) -> None:
        """Clients that are refused make no namespaces that stay; the application's own do."""

        @self.sio.of(ROOMS).use
        def refuse(connection: Connection) -> None:
            raise ConnectionRefused

        kept = self.sio.of("/room-1")
        for number in range(5):
            self.assertEqual(self.refused(f"/room-{number}"), "not authorized")
        self.assertEqual(list(self.sio._names), ["/", "/room-1"])
        self.assertIs(self.sio.of("/room-1"), kept)

    def test_kept(self) -> None:
        """A namespace that somebody was in stays, by default."""
        self.sio.of(ROOMS)
        _, session = self.client("/room-1")
        session.close(Reason.TRANSPORT_CLOSE)
        self.assertIn("/room-1", self.sio._names)


class CleanUpTests(ApplicationCase):
    """Namespaces that are forgotten."""

    config = Config(cleanUpNamespaces=True)

    def test_forgotten(self) -> None:
        """When its last client leaves, a child is forgotten; one who is about to join keeps it; others stay."""
        family = self.sio.of(ROOMS)
        self.sio.of("/chat")
        _, first = self.client("/room-1")
        waiting: Deferred[None] = Deferred()
        family.use(lambda connection: waiting)
        second = self.session()
        second.says(Kind.CONNECT, None, "/room-1")
        first.close(Reason.TRANSPORT_CLOSE)
        self.assertIn("/room-1", self.sio._names)
        waiting.callback(None)
        self.assertEqual(self.successResultOf(family.emit("news")), (1, 0, 0))
        second.says(Kind.DISCONNECT, None, "/room-1")
        self.assertEqual((list(self.sio._names), family._cores()), (["/", "/chat"], []))
        _, third = self.client("/chat")
        third.close(Reason.TRANSPORT_CLOSE)
        self.assertIn("/chat", self.sio._names)
