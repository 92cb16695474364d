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

eachTransport = pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])


async def visit(browser: Browser, siochat: Siochat, transport: str, forced: bool = True, **size: int) -> ChatPage:
    """Open the page, forced onto a transport or by its own choice, and see that it is connected by that."""
    query = f"?transport={transport}" if forced else ""
    page = await browser.visit(siochat.address + query, **size)
    await assertConnected(page, transport)
    return page


async def assertConnected(page: ChatPage, transport: str) -> None:
    """Wait until a page says that it is connected, by which transport, and as whom."""
    await page.shows("#status[data-state=connected] #state", "connected")
    await page.shows("#transport", transport)
    assert re.fullmatch(r"[\w-]{6}", await page.text("#own-id"))


async def assertChat(one: ChatPage, other: ChatPage) -> None:
    """Let two pages on which nothing was said yet say something in turn, and see it on both."""
    await one.say("hello")
    await other.shows(OTHERS, "hello")
    await other.say("hello yourself")
    await one.shows(OTHERS, "hello yourself")
    await one.shows(OWN, "hello")
    await other.shows(OWN, "hello yourself")


def transportPaths(requests: list[str]) -> set[str]:
    """Which transports were asked for: the paths below the endpoint, without ids and stamps."""
    return {found[1] for url in requests if (found := re.search(r"//[^/]+(/socket\.io/(?:sio/)?[\w-]+)", url))}


@pytest.mark.parametrize(
    "transports",
    [
        pytest.param(("websocket", "websocket"), id="websocket"),
        pytest.param(("xhr-polling", "xhr-polling"), id="xhr-polling"),
        pytest.param(("xhr-polling", "websocket"), id="mixed"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_twoChat(browser: Browser, siochat: Siochat, transports: tuple[str, str]) -> None:
    """Two people see each other come, and what they say, on the transports they asked for and no other."""
    one, other = [await visit(browser, siochat, transport) for transport in transports]
    names = [await page.text("#own-id") for page in (one, other)]
    await one.shows(NOTES, f"you joined as {names[0]}", f"{names[1]} joined")
    await other.shows(NOTES, f"you joined as {names[1]}")
    await assertChat(one, other)
    for page, transport in zip((one, other), transports, strict=True):
        assert transportPaths(await page.requests()) == {f"/socket.io/sio/{transport}"}


@pytest_twisted.ensureDeferred
async def test_comeAndGo(browser: Browser, siochat: Siochat) -> None:
    """Who leaves is announced, and who comes later is shown what was said before."""
    stays = await visit(browser, siochat, "xhr-polling")
    leaves = await visit(browser, siochat, "websocket")
    names = [await page.text("#own-id") for page in (stays, leaves)]
    await assertChat(stays, leaves)
    assert await leaves.close() == []
    await stays.shows(NOTES, f"you joined as {names[0]}", f"{names[1]} joined", f"{names[1]} left")

    late = await visit(browser, siochat, "websocket")
    await late.shows(OTHERS, "hello", "hello yourself")
    await late.shows("#log .message .author", *names)
    await late.shows(OWN)


@pytest_twisted.ensureDeferred
async def test_words(browser: Browser, siochat: Siochat) -> None:
    """Lines and any character pass, by key or by button; markup is text like any other, and nothing is not sent."""
    one = await visit(browser, siochat, "websocket")
    other = await visit(browser, siochat, "websocket")
    await one.shows("#send:disabled", "")
    await one.press("#input", "Enter")
    await one.say("  \n ")
    words = [
        "two\nlines\n\nand more",
        "astral \U0001f600 \U00010348, é ♥ \u202eright",
        "~j~{} ~m~1~m~a",
        "~h~1",
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

    # Any JSON can be said by other programs, even in the guise of the chat's own messages.
    program = await (await browser.open(siochat.address, RELEASES["0.6.3"], "websocket")).connect()
    await program.send({"<b>": ["<i>", None]}, {"announcement": "disconnected: you"}, "")
    others = ['{"<b>":["<i>",null]}', '{"announcement":"disconnected: you"}', "empty message"]
    await other.shows(OTHERS, *words, *others)
    late = await visit(browser, siochat, "xhr-polling")
    await late.shows(OTHERS, *words, *others)

    for page in (one, other, late):
        await page.shows("#log :is(img, script, b, i, svg)")
        assert await page.text("h1") == "siotwisted chat"
        assert {url for url in await page.requests() if "stolen" in url or "stranger" in url} == set()


@eachTransport
@pytest_twisted.ensureDeferred
async def test_serverRestart(browser: Browser, siochat: Siochat, transport: str) -> None:
    """The page comes back by itself when the server does, and what was written meanwhile is sent, once."""
    one, other = [await visit(browser, siochat, transport) for _ in range(2)]
    await assertChat(one, other)

    await siochat.stop()
    await one.shows("#status[data-state=reconnecting] #state", "reconnecting")
    await one.shows("#transport", "")
    await one.say("meanwhile")
    await one.say("and on")
    await one.shows("#log .message.own.waiting .bubble", "meanwhile", "and on")
    await siochat.start()

    for page in (one, other):
        await assertConnected(page, transport)
    await other.shows(OTHERS, "meanwhile", "and on")
    await one.say("after")
    await other.shows(OTHERS, "meanwhile", "and on", "after")
    await one.shows(OWN, "meanwhile", "and on", "after")
    await one.shows("#log :is(.waiting, .failed)")
    # That the server was away is the only thing the console may tell.
    for page in (one, other):
        complaints = [error for error in await page.close() if "net::ERR_" not in error]
        assert complaints == []


@pytest_twisted.ensureDeferred
async def test_fallsBack(browser: Browser, siochat: Siochat) -> None:
    """The page takes a websocket by its own choice, and polls if there is none, soon."""
    assert transportPaths(await (await visit(browser, siochat, "websocket", forced=False)).requests()) == {
        "/socket.io/sio/websocket"
    }
    assert await browser.closePages() == []
    await siochat.restart("--transports", "xhr-polling")
    one, other = [await visit(browser, siochat, "xhr-polling", forced=False) for _ in range(2)]
    await assertChat(one, other)
    for page in (one, other):
        (complaint,) = await page.close()
        assert re.search(r"WebSocket connection to .* failed: .*404", complaint)


@pytest_twisted.ensureDeferred
async def test_otherCodec(browser: Browser, siochat: Siochat) -> None:
    """Whatever codec the server's plain URLs have, the page chats, for it asks for its own by name."""
    await siochat.restart("--codec", "streaming")
    one, other = [await visit(browser, siochat, transport) for transport in ("websocket", "xhr-polling")]
    await assertChat(one, other)


@pytest.mark.parametrize("width, height", [pytest.param(360, 740, id="phone"), pytest.param(1280, 800, id="desk")])
@pytest_twisted.ensureDeferred
async def test_fitsTheWindow(browser: Browser, siochat: Siochat, width: int, height: int) -> None:
    """Empty or full, with long words and many lines, the page scrolls in its log alone and keeps all else in sight."""
    page = await visit(browser, siochat, "websocket", width=width, height=height)
    other = await visit(browser, siochat, "websocket")
    assert await page.cutOff() == []
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
