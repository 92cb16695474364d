"""
Every published client of Socket.IO 0.5 and 0.6, on every transport it has, chats through ``twistd -n siochat``.

The chat tells a message to everyone but its sender, so each test watches a client and a peer, and what one sends is
looked for at the other.
"""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from .browser import Browser, Client, Page
from .npm import RELEASES
from .siochat import Siochat

LATEST = "0.6.3"
TRANSPORTS = RELEASES[LATEST].transports

eachClient = pytest.mark.parametrize(
    "version, transport",
    [
        pytest.param(release.client, transport, id=f"{release.client}-{transport}")
        for release in RELEASES.values()
        for transport in release.transports
    ],
)

VALUES: list[object] = [
    "plain text",
    "",
    " spaces  around ",
    "astral \U0001f600 a \U00010348, and é ♥ \ufeff\uffff",
    "line\nbreak\n",
    "\r\ncarriage\r\nreturn",
    "~m~3~m~abc ~j~{} ~h~1",
    "</script ></script><!-- <script \u2028\u2029",
    "--socketio --socketio-- &#9829; %7E + & = \\ \" '",
    "\t\x01\x7f",
    {"text": "\U0001f600\n~m~", "list": [1, 2.5, None, True, {}], "": {"nested": "--socketio"}},
    {},
]

#: 500 kB in which nothing repeats, so that a piece that is lost, doubled or moved shows.
LARGE = "".join(f"{number:09d}." for number in range(50_000))

MANY: list[object] = [f"message {number}" for number in range(200)]


async def open(browser: Browser, siochat: Siochat, version: str, transport: str) -> Page:
    """Open a page that has this version of the client."""
    return await browser.open(siochat.address, RELEASES[version], transport)


async def connectPeer(browser: Browser, siochat: Siochat) -> Client:
    """Connect the client at the other end: the latest release, on a websocket."""
    return await (await open(browser, siochat, LATEST, "websocket")).connect()


async def assertPasses(sender: Client, receiver: Client, *values: object) -> None:
    """Send values by one call each, and see them arrive, in order, all of them."""
    await sender.send(*values)
    assert await receiver.take(sender, len(values)) == list(values)


async def assertAllHear(clients: list[Client], word: str) -> None:
    """Let each client say something of its own, and see it arrive at every other one."""
    for number, sender in enumerate(clients):
        await sender.send(f"{word} {number}")
    for number, sender in enumerate(clients):
        for receiver in clients:
            if receiver is not sender:
                assert await receiver.take(sender, 1) == [f"{word} {number}"]


async def assertQuiet(client: Client) -> None:
    """See that a client was connected all along, and heard nothing but what the test has taken."""
    remains = await client.remains()
    assert remains["counts"] == {"connect": 1, "disconnect": 0}
    assert remains["messages"] == {}
    assert remains["unexpected"] == []


@eachClient
@pytest_twisted.ensureDeferred
async def test_messagesPassUnchanged(browser: Browser, siochat: Siochat, version: str, transport: str) -> None:
    """What is sent arrives unchanged, once and in order, both ways: early, odd, large and many."""
    peer = await connectPeer(browser, siochat)
    page = await open(browser, siochat, version, transport)

    early: list[object] = ["sent before connect", {"early": True}, ""]
    client = await page.connect(queued=early)
    await peer.announced(f"connected: {client.id}")
    assert await peer.take(client, len(early)) == early

    for value in VALUES:
        await assertPasses(client, peer, value)
        await assertPasses(peer, client, value)

    await client.sendTogether(*VALUES)
    assert await peer.take(client, len(VALUES)) == VALUES
    await peer.sendTogether(*VALUES)
    assert await client.take(peer, len(VALUES)) == VALUES

    await assertPasses(client, peer, LARGE)
    await assertPasses(peer, client, LARGE)

    await client.send(*MANY)
    await peer.send(*MANY)
    assert await peer.take(client, len(MANY)) == MANY
    assert await client.take(peer, len(MANY)) == MANY

    # A second socket in the same page is a session of its own, and is told what was said last.
    second = await page.connect()
    buffer = await second.buffer()
    assert len(buffer) == 100
    assert buffer[-1]["message"][1] == MANY[-1]
    await assertAllHear([client, second, peer], "three")

    for each in (client, second, peer):
        await assertQuiet(each)


@eachClient
@pytest_twisted.ensureDeferred
async def test_serverRestart(browser: Browser, siochat: Siochat, version: str, transport: str) -> None:
    """A client whose server went away and came back gets a new session, in which messages pass both ways."""
    page = await open(browser, siochat, version, transport)
    client = await page.connect(queued=["before"])
    await client.sent()
    firstId = client.id

    await siochat.stop()
    # The others have no eye on the connection: they learn of it when they send.
    notices = transport in {"websocket", "jsonp-polling"} or (
        transport == "xhr-polling" and version not in {"0.5.3", "0.6"}
    )
    if notices:
        await client.happened("disconnect", 1)
    await siochat.start()

    if version == "0.5.3":
        # Its socket can't be connected a second time.
        client = await page.connect()
    else:
        if not notices:
            await client.send("into the void")
            await client.happened("disconnect", 1)
        if version != LATEST:
            await client.connect()
        await client.happened("connect", 2)
    assert client.id != firstId

    peer = await connectPeer(browser, siochat)
    await assertPasses(peer, client, "welcome", "back")
    if transport == "jsonp-polling":
        # The client's form posts to the first session for ever, so after that only a new socket can send.
        client = await page.connect()
    await assertPasses(client, peer, "here", "again")
    remains = await peer.remains()
    assert remains["messages"] == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest_twisted.ensureDeferred
async def test_serverCloses(browser: Browser, siochat: Siochat, transport: str) -> None:
    """The server closes the session of a client that sends nonsense, and no other; the client connects anew."""
    peer = await connectPeer(browser, siochat)
    client = await (await open(browser, siochat, LATEST, transport)).connect()
    firstId = client.id
    await client.sendGarbage("this is no frame")
    # Sooner than the client's own timer, which gives up a silent stream after 15 s.
    await client.happened("disconnect", 1, 10)
    await peer.announced(f"disconnected: {firstId}")
    await client.happened("connect", 2)
    assert client.id != firstId
    await assertPasses(peer, client, "welcome back")
    await assertQuiet(peer)


@pytest.mark.parametrize(
    "versions",
    [
        pytest.param([LATEST] * len(TRANSPORTS), id="one-release"),
        pytest.param(list(RELEASES), id="releases-mixed"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_allTransportsMeet(browser: Browser, siochat: Siochat, versions: list[str]) -> None:
    """Clients on five different transports hear each other, each of them every other one."""
    clients = [
        await (await open(browser, siochat, version, transport)).connect()
        for version, transport in zip(versions, TRANSPORTS, strict=True)
    ]
    await assertAllHear(clients, "hello")
    for client in clients:
        await assertQuiet(client)


@pytest_twisted.ensureDeferred
async def test_idleClientsStay(browser: Browser, siochat: Siochat) -> None:
    """Nobody says a word for longer than any timer of the client lasts, and nobody is lost."""
    clients = [await (await open(browser, siochat, LATEST, transport)).connect() for transport in TRANSPORTS]
    # The client gives up a stream after 15 silent seconds, and polling after 25.
    await deferLater(reactor, 28)
    await assertAllHear(clients, "still here")
    for client in clients:
        await assertQuiet(client)


@pytest_twisted.ensureDeferred
async def test_leavingIsAnnounced(browser: Browser, siochat: Siochat) -> None:
    """Pages are closed without a word, and the chat learns who has left, whatever the transport."""
    peer = await connectPeer(browser, siochat)
    pages = [await open(browser, siochat, LATEST, transport) for transport in TRANSPORTS]
    clients = [await page.connect(queued=["hello"]) for page in pages]
    for client in clients:
        assert await peer.take(client, 1) == ["hello"]
    for page in pages:
        assert await page.close() == []
    for client in clients:
        await peer.announced(f"disconnected: {client.id}")
    await assertQuiet(peer)
