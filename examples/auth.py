"""
A namespace for those who have a token: ``python examples/auth.py``, then, in a client::

    io("http://127.0.0.1:8080/account", {auth: {token: "ann's token"}})

Clients before 3.0 say it in the namespace's query: ``/account?token=...``.
"""

from __future__ import annotations

from hmac import compare_digest

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from siotwisted import (
    Connection,
    ConnectionRefused,
    EventRefused,
    Namespace,
    SocketIO,
    SocketIOResource,
    SocketIOSite,
    event,
)

TOKENS = {"ann": "ann's token", "bob": "bob's token"}
BALANCES = {"ann": 100, "bob": 0}


async def findUser(token: object) -> str | None:
    """Who has this token: a real application would ask a database, and wait for it."""
    await deferLater(reactor, 0.01)
    if isinstance(token, str):
        for name, secret in TOKENS.items():
            if compare_digest(secret.encode(), token.encode("utf-8", "replace")):
                return name
    return None


async def authenticate(conn: Connection) -> None:
    """Let in who has a token, and nobody else."""
    auth = conn.handshake.auth
    user = await findUser(auth.get("token") if isinstance(auth, dict) else None)
    if user is None:
        raise ConnectionRefused("not authorized", {"code": 401})
    conn.data["user"] = user
    conn.join(f"user:{user}")  # all connections of this user
    conn.use(checkAmount)


def checkAmount(conn: Connection, name: str, args: list[object]) -> None:
    """What the client sends is what it likes: only numbers that can be paid get to the handler."""
    if name == "pay" and not (len(args) == 2 and type(args[1]) is int and args[1] > 0):
        raise EventRefused


class Account(Namespace):
    """The account of a user, who may have several connections to it."""

    @event
    def connect(self, conn: Connection) -> None:
        """Show the balance."""
        conn.emit("balance", BALANCES[conn.data["user"]])

    @event
    def pay(self, conn: Connection, to: object, amount: int) -> str:
        """Pay another user; the ack says how that went."""
        user = conn.data["user"]
        if not isinstance(to, str) or to not in BALANCES or BALANCES[user] < amount:
            return "refused"
        for name, change in ((user, -amount), (to, amount)):
            BALANCES[name] += change
            self.to(f"user:{name}").emit("balance", BALANCES[name])
        return "paid"


sio = SocketIO(reactor)
account = sio.serve("/account", Account())
account.use(authenticate)

root = Resource()
root.putChild(b"socket.io", SocketIOResource(sio))
serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(SocketIOSite(root))
reactor.run()
