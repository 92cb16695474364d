"""
The page of ``twistd -n siochat``, used in Chromium as people would.

Every page that a test leaves open must, by the time it is closed, have said nothing on its console, thrown nothing,
broken no rule of its content policy (which Chromium tells on the console) and asked no other host for anything.
"""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import re

import pytest
import pytest_twisted

from .browser import Browser, ChatPage
from .npm import RELEASES
from .siochat import Siochat

OWN = "#log .message.own .bubble"
OTHERS = "#log .message:not(.own) .bubble"
NOTES = "#log .note"
NICKS = "#people .nick"
TRANSPORTS = "#people .transport-badge"
ROOMS = "#rooms bdi"

eachTransport = pytest.mark.parametrize("transport", ["polling", "websocket"])


async def visit(
    browser: Browser, siochat: Siochat, transport: str = "", room: str = "", width: int = 1280, height: int = 800
) -> ChatPage:
    """Open the page, forced onto a transport or free to choose, and see that it is connected."""
    query = f"?transport={transport}" if transport else ""
    page = await browser.visit(siochat.address + query + (room and f"#{room}"), width, height)
    await assertConnected(page, transport or "websocket")
    return page


async def assertConnected(page: ChatPage, transport: str) -> None:
    """Wait until a page says that it is connected, by which transport, and as whom."""
    await page.shows("#status[data-state=connected] #state", "connected")
    await page.shows("#transport", transport)
    assert await page.text("#own-nick") != ""


async def nick(page: ChatPage) -> str:
    """As whom a page is connected."""
    return await page.text("#own-nick")


async def assertChat(one: ChatPage, other: ChatPage) -> None:
    """Let two pages on which nothing was said yet say something in turn, and see it on both."""
    await one.say("hello")
    await other.shows(OTHERS, "hello")
    await other.say("hello yourself")
    await one.shows(OTHERS, "hello yourself")
    await one.shows(OWN, "hello")
    await other.shows(OWN, "hello yourself")


async def rename(page: ChatPage, name: str) -> None:
    """Choose a nickname."""
    await page.click("#self")
    await page.say(name, "#nick")


def transportsAsked(requests: list[str]) -> set[str]:
    """By which transports the endpoint was asked."""
    return {found[1] for url in requests if (found := re.search(r"/socket\.io/\?EIO=4&transport=(\w+)", url))}


@pytest.mark.parametrize(
    "transports",
    [
        pytest.param(("websocket", "websocket"), id="websocket"),
        pytest.param(("polling", "polling"), id="polling"),
        pytest.param(("polling", "websocket"), id="mixed"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_twoChat(browser: Browser, siochat: Siochat, transports: tuple[str, str]) -> None:
    """Two people see each other come, and what they say, on the transports they asked for and no other."""
    one, other = [await visit(browser, siochat, transport) for transport in transports]
    names = [await nick(page) for page in (one, other)]
    assert all(re.fullmatch("guest-[0-9a-f]{4}", name) for name in names)
    await one.shows(NOTES, f"you joined # lobby as {names[0]}", f"{names[1]} joined")
    await other.shows(NOTES, f"you joined # lobby as {names[1]}")
    await assertChat(one, other)
    for page, transport in zip((one, other), transports, strict=True):
        await page.shows(NICKS, *names)
        await page.shows(TRANSPORTS, *transports)
        await page.shows("#people .generation", "Socket.IO 3\u20134", "Socket.IO 3\u20134")
        assert transportsAsked(await page.requests()) == {transport}


@pytest_twisted.ensureDeferred
async def test_upgrade(browser: Browser, siochat: Siochat) -> None:
    """The page polls at first, chats at once, and moves to a websocket as soon as one is there, for all to see."""
    observer = await visit(browser, siochat, "websocket")
    page = await browser.visit(siochat.address, webSockets="held")
    await assertConnected(page, "polling")
    await page.shows("#path [data-step=tried]", "websocket")
    await observer.shows(TRANSPORTS, "websocket", "polling")
    await assertChat(page, observer)
    await page.release()
    await assertConnected(page, "websocket")
    await page.shows("#path [data-step=passed]", "polling")
    await page.shows("#path [aria-current=step]", "websocket")
    for each in (observer, page):
        await each.shows(TRANSPORTS, "websocket", "websocket")
    await observer.say("still there?")
    await page.shows(OTHERS, "hello yourself", "still there?")
    await page.say("yes")
    await observer.shows(OTHERS, "hello", "yes")
    assert transportsAsked(await page.requests()) == {"polling", "websocket"}


@pytest_twisted.ensureDeferred
async def test_upgradeUnderLoad(browser: Browser, siochat: Siochat) -> None:
    """What both sides say while the transport changes arrives once, and in order, however slow polling is."""
    observer = await visit(browser, siochat, "websocket")
    page = await browser.visit(siochat.address, webSockets="held", delay=0.1)
    await assertConnected(page, "polling")
    texts = [f"message {number}" for number in range(20)]
    for text in texts[:10]:
        await page.say(text)
        await observer.say(text)
    await page.release()
    for text in texts[10:]:
        await page.say(text)
        await observer.say(text)
    for each in (page, observer):
        await each.shows(OTHERS, *texts)
        await each.shows(OWN, *texts)
    await assertConnected(page, "websocket")


@pytest_twisted.ensureDeferred
async def test_noWebSockets(browser: Browser, siochat: Siochat) -> None:
    """Where something on the way refuses websockets, the page stays on polling, and its people notice nothing."""
    page, other = [await browser.visit(siochat.address, webSockets="refused") for _ in range(2)]
    for each in (page, other):
        await assertConnected(each, "polling")
        await each.shows("#path [data-step=tried]")
    await assertChat(page, other)
    await assertConnected(page, "polling")


@pytest_twisted.ensureDeferred
async def test_onlyPolling(browser: Browser, siochat: Siochat) -> None:
    """By default the page takes a websocket; from a server that serves none it asks for none."""
    await visit(browser, siochat)
    assert await browser.closePages() == []
    await siochat.restart("--transports", "polling")
    one, other = [await browser.visit(siochat.address) for _ in range(2)]
    for page in (one, other):
        await assertConnected(page, "polling")
    await assertChat(one, other)
    assert transportsAsked(await one.requests()) == {"polling"}


@pytest_twisted.ensureDeferred
async def test_onlyWebSockets(browser: Browser, siochat: Siochat) -> None:
    """A server can be polled by default; from one that refuses that the page asks a websocket at once."""
    await visit(browser, siochat, "polling")
    assert await browser.closePages() == []
    await siochat.restart("--transports", "websocket")
    one, other = [await visit(browser, siochat) for _ in range(2)]
    await assertChat(one, other)
    for page in (one, other):
        (complaint,) = await page.close()
        assert re.search("status of 400", complaint)


@pytest_twisted.ensureDeferred
async def test_comeAndGo(browser: Browser, siochat: Siochat) -> None:
    """Who leaves is missed, and who comes later is shown what was said before, by whom and when."""
    stays = await visit(browser, siochat, "polling")
    leaves = await visit(browser, siochat, "websocket")
    names = [await nick(page) for page in (stays, leaves)]
    await assertChat(stays, leaves)
    assert await leaves.close() == []
    await stays.shows(NOTES, f"you joined # lobby as {names[0]}", f"{names[1]} joined", f"{names[1]} left")
    await stays.shows(NICKS, names[0])

    late = await visit(browser, siochat)
    await late.shows(OTHERS, "hello", "hello yourself")
    await late.shows("#log .message .author", *names)
    await late.shows("#log .message .generation", "3\u20134", "3\u20134")
    await late.shows(OWN)
    assert re.fullmatch(r"\w+, .*\d.*", await late.text("#log .day"))
    times = await late.texts("#log .message time")
    assert len(times) == 2 and all(re.search(r"\d\d:\d\d", time) for time in times)


@pytest_twisted.ensureDeferred
async def test_generations(browser: Browser, siochat: Siochat) -> None:
    """A client of 2011 and the page talk, each in the words of its own time, and the page says who is what."""
    page = await visit(browser, siochat)
    old = await (await browser.open(siochat.address, RELEASES["0.6.3"], "xhr-polling")).connect()
    await page.shows("#people .generation", "Socket.IO 3\u20134", "Socket.IO 0.6")
    await page.shows(TRANSPORTS, "websocket", "xhr-polling")
    await page.shows("#mix", "2 people, 2 generations of clients")
    _, name = await page.texts(NICKS)

    await old.send("hello from 2011")
    await page.shows(OTHERS, "hello from 2011")
    await page.shows("#log .message .author", name)
    await page.shows("#log .message .generation", "0.6")
    await page.say("hello from today")
    another = await (await browser.open(siochat.address, RELEASES["0.6.3"], "websocket")).connect()
    await another.send("hello from a friend")
    assert await old.take(another, 1) == ["hello from a friend"]
    assert [*(await old.remains())["messages"].values()] == [["hello from today"]]


@pytest_twisted.ensureDeferred
async def test_noCredentials(browser: Browser, siochat: Siochat) -> None:
    """The id by which an old client's session could be taken over is nowhere on the page, and nor is its own."""
    page = await visit(browser, siochat, "polling")
    old = await (await browser.open(siochat.address, RELEASES["0.6.3"], "websocket")).connect()
    await old.send("hello")
    await page.shows(OTHERS, "hello")
    own = {found[1] for url in await page.requests() if (found := re.search(r"[?&]sid=([^&]+)", url))}
    await page.click("#wire summary")
    (packets,) = await page.texts("#packets")
    assert '40{"sid":' in packets and "hello" in packets
    (everything,) = await page.texts("body")
    for secret in (old.id, *own):
        assert secret not in everything


@pytest_twisted.ensureDeferred
async def test_nicknames(browser: Browser, siochat: Siochat) -> None:
    """People choose nicknames, which all see, which nobody else can have, and which they keep."""
    one, other = [await visit(browser, siochat) for _ in range(2)]
    before = await nick(one)
    await one.shows(NICKS, before, await nick(other))
    await rename(one, "  Ada   Lovelace ")
    await one.shows("#nick-dialog")
    await one.shows("#own-nick", "Ada Lovelace")
    await other.shows(NICKS, "Ada Lovelace", await nick(other))
    await other.shows(NOTES, f"you joined # lobby as {await nick(other)}", f"{before} is now Ada Lovelace")
    await one.say("it is me")
    await other.shows("#log .message .author", "Ada Lovelace")

    await rename(other, "ADA LOVELACE")
    await other.shows("#nick-error", "somebody else has that nickname")
    await other.press("#nick", "Escape")
    await other.shows("#nick-dialog")
    await one.shows(NICKS, "Ada Lovelace", await nick(other))

    await one.reload()
    await assertConnected(one, "websocket")
    assert await nick(one) == "Ada Lovelace"
    await one.shows(OWN, "it is me")


@pytest_twisted.ensureDeferred
async def test_rooms(browser: Browser, siochat: Siochat) -> None:
    """Rooms have their own people and their own words; one can be opened, chosen, and named by the page's address."""
    one, other = [await visit(browser, siochat) for _ in range(2)]
    await one.say("in the lobby")
    await one.say(" #Twisted ", "#new-room-name")
    await one.shows("#room", "# twisted")
    await one.shows("#rooms [aria-current] bdi", "# twisted")
    await one.shows(OWN)
    await one.say("in the room")
    for page in (one, other):
        await page.shows(ROOMS, "# lobby", "# twisted")
        await page.shows("#rooms .count", "1", "1")
    await other.shows(OTHERS, "in the lobby")
    await other.shows(NICKS, await nick(other))

    await other.click("[data-room=twisted]")
    await other.shows(OTHERS, "in the room")
    await one.shows(NICKS, await nick(one), await nick(other))
    third = await visit(browser, siochat, room="twisted")
    await third.shows(OTHERS, "in the room")
    await third.say("me too")
    await other.shows(OTHERS, "in the room", "me too")

    await one.click("[data-room=lobby]")
    await one.shows(OWN, "in the lobby")
    await one.say("no/such/name", "#new-room-name")
    await one.shows("#room-error", "a room's name has 1 to 24 letters, digits, - and _")
    await one.shows("#room", "# lobby")


@pytest_twisted.ensureDeferred
async def test_typing(browser: Browser, siochat: Siochat) -> None:
    """People see who is about to say something, until it is said."""
    one, other = [await visit(browser, siochat) for _ in range(2)]
    await one.shows(NICKS, await nick(one), await nick(other))
    await one.press("#input", "h")
    await other.shows("#typing", f"{await nick(one)} is typing\u2026")
    await one.press("#input", "Enter")
    await other.shows(OTHERS, "h")
    await other.shows("#typing", "")


@pytest_twisted.ensureDeferred
async def test_connectionPanel(browser: Browser, siochat: Siochat) -> None:
    """The page measures the way to the server, and shows what it says on it."""
    page = await visit(browser, siochat)
    await page.click("#wire summary")
    await page.say("look")
    await page.shows("#log :is(.waiting, .failed)")
    kinds = set(await page.texts("#packets .kind"))
    assert kinds >= {"open", "connect", "event", "ack", "ping", "pong", "upgrade"}
    assert re.fullmatch(r"\d+(\.\d)? ms", await page.text("#trip"))
    assert re.fullmatch(r"\d+ s ago, every 25 s", await page.text("#beat"))
    assert int(await page.text("#sent")) > 4 and int(await page.text("#received")) > 4


@pytest_twisted.ensureDeferred
async def test_words(browser: Browser, siochat: Siochat) -> None:
    """Lines and any character pass, by key or by button; markup is text like any other, and nothing is not sent."""
    one = await visit(browser, siochat, "polling")
    other = await visit(browser, siochat, "websocket")
    await one.shows("#send:disabled", "")
    await one.press("#input", "Enter")
    await one.say("  \n ")
    words = [
        "two\nlines\n\nand more",
        "astral \U0001f600 \U00010348, é ♥ \u202eright",
        '42["said",1]\x1e41',
        "~j~{} ~m~1~m~a",
        "<img src='/stolen' onerror='document.title = 1'>",
        "<script>document.title = 1</script><b>bold</b> &amp; <svg onload='document.title = 1'/>",
        "<img src='http://stranger.invalid/'>",
    ]
    for text in words[:-1]:
        await one.say(text)
    await one.write(words[-1])
    await one.click("#send:enabled")
    await other.shows(OTHERS, *words)
    await one.shows(OWN, *words)
    await rename(one, "<b>bold</b>")
    await other.shows(NICKS, "<b>bold</b>", await nick(other))

    # Any JSON can be said by other programs, even in the guise of the chat's own messages.
    program = await (await browser.open(siochat.address, RELEASES["0.6.3"], "websocket")).connect()
    await program.send({"<b>": ["<i>", None]}, {"announcement": "disconnected: you"}, "")
    others = ['{"<b>":["<i>",null]}', '{"announcement":"disconnected: you"}', "empty message"]
    await other.shows(OTHERS, *words, *others)
    late = await visit(browser, siochat, "polling")
    await late.shows(OTHERS, *words, *others)

    for page in (one, other, late):
        await page.shows(":is(#log, #people) :is(img, script, b, i, svg)")
        assert await page.text("h1") == "siotwisted chat"
        assert {url for url in await page.requests() if "stolen" in url or "stranger" in url} == set()


@pytest.mark.parametrize("transport", ["polling", "websocket", ""])
@pytest_twisted.ensureDeferred
async def test_serverRestart(browser: Browser, siochat: Siochat, transport: str) -> None:
    """The page comes back by itself when the server does, as the same person in the same room; what was written
    meanwhile is sent, once."""
    one, other = [await visit(browser, siochat, transport, room="twisted") for _ in range(2)]
    await rename(one, "Ada")
    await assertChat(one, other)

    await siochat.stop()
    await one.shows("#status[data-state=reconnecting] #state", "reconnecting")
    await one.shows("#transport", "")
    await one.say("meanwhile")
    await one.say("and on")
    await one.shows("#log .message.own.waiting .bubble", "meanwhile", "and on")
    await siochat.start()

    for page in (one, other):
        await assertConnected(page, transport or "websocket")
        await page.shows("#room", "# twisted")
    await one.shows("#own-nick", "Ada")
    await other.shows(OTHERS, "meanwhile", "and on")
    await other.shows("#log .message:not(.follows) .author", "Ada")
    await one.say("after")
    await other.shows(OTHERS, "meanwhile", "and on", "after")
    await one.shows(OWN, "meanwhile", "and on", "after")
    await one.shows("#log :is(.waiting, .failed)")
    # That the server was away is the only thing the console may tell.
    for page in (one, other):
        complaints = [error for error in await page.close() if "net::ERR_" not in error]
        assert complaints == []


@pytest.mark.parametrize(
    "width, height",
    [
        pytest.param(320, 568, id="small phone"),
        pytest.param(390, 844, id="phone"),
        pytest.param(820, 1180, id="tablet"),
        pytest.param(1280, 800, id="desk"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_fitsTheWindow(browser: Browser, siochat: Siochat, width: int, height: int) -> None:
    """Empty or full, with long words and many lines, the page scrolls in its log alone and keeps all else in sight."""
    page = await visit(browser, siochat, width=width, height=height)
    other = await visit(browser, siochat)
    assert await page.cutOff() == []
    await rename(page, "W" * 24)
    await rename(other, "M" * 24)
    lines = "\n".join(["line"] * 30)
    await other.say("w" * 400)
    await page.shows(OTHERS, "w" * 400)
    await page.say(lines)
    await page.say("m" * 400)
    await other.say("the end")
    await page.shows(OTHERS, "w" * 400, "the end")

    last = await page.box("#log > :last-child")
    composer = await page.box("#composer")
    assert last["y"] + last["height"] <= composer["y"]
    assert composer["y"] + composer["height"] == height
    assert await page.cutOff() == []

    # Someone who reads above stays there, and is told of what is new.
    await page.toTop("#log")
    top = await page.box("#log > :first-child")
    assert 0 < top["y"] < height
    await other.say("one more")
    await page.shows("#chip", "1 new message")
    assert await page.box("#log > :first-child") == top
    assert await page.cutOff() == []
    await page.click("#chip")
    await page.shows("#chip")
    last = await page.box("#log > :last-child")
    assert last["y"] + last["height"] <= composer["y"]

    # A long text in the composer leaves the log some room.
    await page.write(lines)
    assert await page.cutOff() == []
    composer = await page.box("#composer")
    assert composer["height"] < height / 2


@pytest.mark.parametrize(
    "width, height", [pytest.param(320, 568, id="small phone"), pytest.param(800, 600, id="tablet")]
)
@pytest_twisted.ensureDeferred
async def test_sides(browser: Browser, siochat: Siochat, width: int, height: int) -> None:
    """What a window has no place for opens over the log by a button, and closes by Escape or when it has been used."""
    page = await visit(browser, siochat, width=width, height=height)
    await page.say("hello")
    await page.shows("#rooms-side")
    await page.click(".open-rooms")
    assert await page.cutOff() == []
    await page.shows(ROOMS, "# lobby")
    await page.press("#new-room-name", "Escape")
    await page.shows("#rooms-side")
    await page.click(".open-rooms")
    await page.say("twisted", "#new-room-name")
    await page.shows("#room", "# twisted")
    await page.shows("#rooms-side")

    if width < 768:
        await page.shows(NICKS)
        await page.click(".open-people")
        await page.shows(NICKS, await nick(page))
        assert await page.cutOff() == []
        await page.press("#wire summary", "Escape")
    else:
        await page.shows(NICKS, await nick(page))
        await page.shows(".open-people")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest_twisted.ensureDeferred
async def test_legible(browser: Browser, siochat: Siochat, scheme: str) -> None:
    """Every text has contrast enough, whoever is there, and in whatever colour."""
    page = await visit(browser, siochat)
    await page.emulate(colorScheme=scheme)
    others = [await (await browser.open(siochat.address, RELEASES["0.6.3"], "websocket")).connect() for _ in range(3)]
    for other in others:
        await other.send("hello", {"json": True}, "")
    await page.shows("#people-count", "4")
    await page.say("hello yourself")
    await page.say("no/such/name", "#new-room-name")
    await page.shows("#room-error", "a room's name has 1 to 24 letters, digits, - and _")
    await page.click("#wire summary")
    assert await page.faint() == []
    await page.click("#self")
    assert await page.faint() == []


@pytest_twisted.ensureDeferred
async def test_forcedColors(browser: Browser, siochat: Siochat) -> None:
    """With the colours of the reader's own choice what colour alone would tell is told all the same."""
    page = await visit(browser, siochat)
    await page.say("hello")
    await page.emulate(forcedColors="active")
    for selector in ("#log .bubble", "#people .badge", "#status .lamp"):
        assert await page.style(selector, "border-top-style") == "solid"
        assert await page.style(selector, "border-top-color") != "rgba(0, 0, 0, 0)"
    # What is chosen is told from the rest.
    plain = await page.style("#path li:not([aria-current])", "background-color")
    for selector in ("#path [aria-current]", "#rooms [aria-current]"):
        assert await page.style(selector, "background-color") != plain


@pytest_twisted.ensureDeferred
async def test_spoken(browser: Browser, siochat: Siochat) -> None:
    """Every part of the page has its role and its name."""
    page = await visit(browser, siochat)
    other = await visit(browser, siochat)
    await other.say("hello")
    await page.shows(OTHERS, "hello")
    name, stranger = await nick(page), await nick(other)
    outline = await page.spoken()
    for part in (
        'heading "siotwisted chat" [level=1]',
        "status: connected websocket",
        f'button "you are {name} , change your nickname"',
        'navigation "Rooms"',
        'button "# lobby 2 people"',
        'heading "# lobby" [level=2]',
        'log "Messages"',
        'textbox "Message to lobby. Enter sends, Shift and Enter begin a new line."',
        'complementary "People, and this connection"',
        'heading "People 2" [level=2]',
        'list "Transport"',
    ):
        assert f"- {part}" in outline, outline
    assert stranger in outline


@pytest_twisted.ensureDeferred
async def test_keyboard(browser: Browser, siochat: Siochat) -> None:
    """Everything can be reached by the Tab key, in the order in which it is read."""
    page = await visit(browser, siochat)
    await page.press("#self", "Shift")
    reached = [await page.tab() for _ in range(6)]
    assert reached == ["# lobby\n1\nperson", "new-room-name", "Join", "log", "input", "On the wire"]
