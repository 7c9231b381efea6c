"""The service's page in a real browser: over the service itself, and over answers that a test writes."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Final

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bench.service.pages import page_files
from tests.asking import ask
from tests.browser import Browser, browser
from tests.command import requests, wait_until
from tests.faultserver import FaultServer
from tests.service_wire import CHUNKS, COMPLETE, START, TASK, TEXT, begun, refusal, sent, whole
from tests.serving import Serving, serving
from tests.wire import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faultserver import Exchange, Script

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NARROW_PX: Final = 390
WIDE_PX: Final = 1440

#: An answer of the service's simulator takes four seconds: long enough to be looked at and cancelled.
SIMULATOR: Final = ("ttft=0.3", "itl=0.02", "tokens=200")

#: A topic that would run as a program if it were ever taken for markup.
HOSTILE: Final = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"

#: Least contrast of text that WCAG 2 asks for (AA).
CONTRAST: Final = 4.5

#: Each task's card: state, text, total time and what went wrong, the newest first.
CARDS: Final = """
return [...document.querySelectorAll('.task')].map((card) =>
  ['.state', '.text', '.total', '.problem'].map((part) => card.querySelector(part).innerText));
"""

POOLS: Final = answer(
    {
        "pools": [
            {"name": "agent", "slots": 3, "busy": 2, "queue_size": 20, "queued": 1, "rejected": 4, "timed_out": 0}
            | {"mean_wait_s": 1.5, "mean_service_s": None}
        ]
    }
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start one browser for all tests of this file."""
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the simulator behind the service writes down what it was asked."""
    return tmp_path_factory.mktemp("log") / "requests.jsonl"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[Serving]:
    """Run one service for all tests that ask a real one."""
    options = ("--provider", "simulator", "--simulator", *SIMULATOR, f"request_log={log}")
    with serving(tmp_path_factory.mktemp("service 服务"), *options) as started:
        yield started


class Page:
    """The page, as somebody at the keyboard uses it."""

    def __init__(self, chromium: Browser, url: str, *, width_px: int = WIDE_PX, scheme: str = "light") -> None:
        self._chromium = chromium
        chromium.complaints()
        chromium.open(url, width_px=width_px, scheme=scheme)

    def begin(self, topic: str, *, kind: str = "Generate", path: str = "Direct") -> None:
        """Choose, write a topic, and start it."""
        for choice in (kind, path):
            self._chromium.driver.find_element(By.XPATH, f"//label[normalize-space()='{choice}']").click()
        field = self._chromium.driver.find_element(By.ID, "topic")
        field.clear()
        field.send_keys(topic, Keys.CONTROL, Keys.ENTER)

    def press(self, words: str) -> None:
        """Press the first button that is called so."""
        self._chromium.driver.find_element(By.XPATH, f"//button[normalize-space()='{words}']").click()

    def cards(self) -> list[tuple[str, ...]]:
        """Return state, text, total time and problem of each task, the newest first."""
        found = self._chromium.run(CARDS)
        assert isinstance(found, list)
        return [tuple(card) for card in found]

    def wait(self, holds: Callable[[list[tuple[str, ...]]], bool], what: str) -> list[tuple[str, ...]]:
        """Wait until the cards are as they should be, and return them as they were then."""
        seen: list[tuple[str, ...]] = []

        def looked() -> bool:
            seen[:] = self.cards()
            return holds(seen)

        wait_until(looked, what)
        return seen

    def says(self, script: str) -> object:
        """Return what a script says about the page."""
        return self._chromium.run(f"return {script}")


def test_words_come_before_the_end(chromium: Browser, service: Serving, log: Path) -> None:
    """The first words stand on the page while the rest is being written; a task that is cancelled ends upstream."""

    def given_up() -> int:
        return sum(line.outcome == "client_gone" for line in requests(log))

    page, before = Page(chromium, service.url), given_up() if log.exists() else 0
    page.begin("城市的黎明 🌆")
    page.begin("to be cancelled", kind="Chat", path="Pooled")
    cancelled, whole_one = page.wait(lambda cards: all(card[1] for card in cards), "first words")
    assert (cancelled[0], cancelled[2], whole_one[0], whole_one[2]) == ("running", "–", "running", "–")
    page.press("Cancel")
    page.wait(lambda cards: cards[0][0] == "cancelled", "a cancelled task")
    wait_until(lambda: given_up() == before + 1, "the end of the call upstream", 5)
    (_, text, _, _), (state, all_text, total, problem) = page.wait(lambda cards: cards[1][0] == "done", "the end")
    assert len(whole_one[1]) < len(all_text)
    assert len(text) < len(all_text)
    assert all_text.startswith(whole_one[1])
    assert (state, problem) == ("done", "")
    assert re.fullmatch(r"\d+\.\d\d s", total)


def test_a_page_that_is_left_ends_its_tasks(chromium: Browser, service: Serving) -> None:
    """Whoever leaves the page has its task cancelled, and not only when the service has waited for a return."""
    page = Page(chromium, service.url)
    page.begin("left alone")
    page.wait(lambda cards: bool(cards[0][1]), "first words")
    task_id = page.says("document.querySelector('.id').textContent")
    chromium.driver.get("about:blank")

    def state() -> str:
        return str(ask(service.url, "GET", f"/tasks/{task_id}/status").json["error"])

    wait_until(lambda: "on request" in state(), "a cancelled task", 5)


def test_text_is_never_markup(chromium: Browser, service: Serving) -> None:
    """A topic that is a program stands on the page as it was written, and nothing of it is run or loaded."""
    page = Page(chromium, service.url)
    chromium.requests()
    page.begin(HOSTILE, kind="Chat")
    page.wait(lambda cards: bool(cards[0][1]), "first words")
    assert page.says("document.querySelector('.topic').textContent") == HOSTILE
    assert page.says("document.querySelectorAll('img, main script').length") == 0
    assert page.says("document.title") == "Streaming service"
    page.press("Cancel")
    page.wait(lambda cards: cards[0][0] == "cancelled", "a cancelled task")
    assert all(address.startswith(service.url) for address in chromium.requests())
    assert chromium.complaints() == []


def playing(tasks: Script, *, token: str | None = None) -> FaultServer:
    """Return a server with the page and its figures, and `tasks` for whatever is asked of tasks."""
    files = page_files()

    async def script(exchange: Exchange) -> None:
        if exchange.target in files:
            file = files[exchange.target]
            fields = [f"{name.decode()}: {value.decode()}" for name, value in file.raw_headers]
            await exchange.send(answer(bytes(file.body), "200 OK", str(file.media_type), *fields[:-2]))
        elif token is not None and exchange.headers.get("authorization") != f"Bearer {token}":
            await exchange.send(refusal("401 Unauthorized", "unauthorized"))
        elif exchange.target == "/system/pools":
            await exchange.send(POOLS)
        elif exchange.target.endswith("/status"):
            await exchange.send(answer({"state": "running", "position": None}))
        else:
            await tasks(exchange)

    return FaultServer(script)


def about_tasks(server: FaultServer) -> list[Exchange]:
    """Return what was asked of tasks, apart from their status."""
    return [each for each in server.exchanges if re.search(r"/stream(/async)?$|/tasks/[^/]*$", each.target)]


def address(server: FaultServer) -> str:
    """Return where a server is."""
    return server.base_url.removesuffix("v1")


def test_a_broken_stream_is_taken_up_where_it_broke(chromium: Browser) -> None:
    """A page that loses its connection goes on behind the last event that came, and shows nothing twice."""
    # What a browser has received and not yet handed on is lost with the connection.
    seen = threading.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.target == "/content/optimize/stream/async":
            await exchange.send(begun(START, CHUNKS[0]))
            await asyncio.to_thread(seen.wait, 30)
        elif len(about_tasks(server)) == 2:
            await exchange.send(begun(CHUNKS[0]))
        else:
            await exchange.send(whole(*CHUNKS, COMPLETE))
        exchange.close()

    with playing(script) as server:
        page = Page(chromium, address(server))
        page.begin("x", kind="Optimize", path="Pooled")
        page.wait(lambda cards: cards[0][1] == "你好", "first words")
        seen.set()
        ((_, text, _, problem),) = page.wait(lambda cards: cards[0][0] == "done", "the end")
        assert (text, problem) == (TEXT, "")
        first, *later = about_tasks(server)
        assert first.json == {"topic": "x", "language": "en", "user_id": "page"}
        assert [(each.target, each.headers["last-event-id"]) for each in later] == [(f"/tasks/{TASK}/stream", "2")] * 2


def test_a_full_queue_is_asked_again(chromium: Browser) -> None:
    """A page whose task is refused says so, waits as long as it is told to, and asks again with the same key."""

    async def script(exchange: Exchange) -> None:
        if len(about_tasks(server)) == 1:
            await exchange.send(refusal("429 Too Many Requests", "full", "Retry-After: 1"))
        else:
            await exchange.send(whole(START, *CHUNKS, COMPLETE))

    with playing(script) as server:
        page = Page(chromium, address(server))
        page.begin("x")
        ((_, _, _, problem),) = page.wait(lambda cards: cards[0][0] == "waiting", "a refusal")
        assert re.fullmatch(r"not now\. Trying again in \d+ s\.", problem)
        page.wait(lambda cards: cards[0][0] == "done", "the end")
        assert len({each.headers["idempotency-key"] for each in about_tasks(server)}) == 1


def test_what_cannot_be_mended_is_said(chromium: Browser) -> None:
    """A task that fails, or is refused for good, says why, and is not asked for again."""

    async def script(exchange: Exchange) -> None:
        if exchange.target == "/chat/stream":
            await exchange.send(refusal("422 Unprocessable Content", "validation"))
        else:
            failure = sent(2, "error", code="timeout_total", message="it took too long", retryable=False)
            await exchange.send(whole(START, failure))

    with playing(script) as server:
        page = Page(chromium, address(server))
        page.begin("x")
        page.begin("y", kind="Chat")
        refused, failed = page.wait(lambda cards: [card[0] for card in cards] == ["failed"] * 2, "both failures")
        assert (refused[3], failed[3]) == ("not now", "timeout_total: it took too long")
        assert len(about_tasks(server)) == 2


def test_the_token_stays_in_memory(chromium: Browser) -> None:
    """Where a token is asked for the page asks for it, sends it, and keeps it nowhere that outlives the page."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(whole(START, *CHUNKS, COMPLETE))

    with playing(script, token="secret") as server:
        page = Page(chromium, address(server))
        wait_until(lambda: page.says("document.getElementById('access').open") is True, "the token's field")
        chromium.driver.find_element(By.ID, "token").send_keys("secret")
        wait_until(lambda: "2 of 3" in str(page.says("document.querySelector('.pools').innerText")), "the pools")
        page.begin("x")
        page.wait(lambda cards: cards[0][0] == "done", "the end")
        assert page.says("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])") == (
            f'[{{}},{{}},"","{address(server)}"]'
        )
        chromium.driver.refresh()
        assert page.says("document.getElementById('token').value") == ""


@pytest.mark.parametrize(("width_px", "scheme"), [(NARROW_PX, "dark"), (WIDE_PX, "light")])
def test_everybody_can_read_it(chromium: Browser, width_px: int, scheme: str) -> None:
    """Narrow and wide, light and dark: nothing sticks out, every field has its label, and text stands out enough."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(begun(START, *(sent(number, "chunk", text="城市的黎明" * 9) for number in range(2, 9))))
        await exchange.gone()

    with playing(script) as server:
        page = Page(chromium, address(server), width_px=width_px, scheme=scheme)
        page.begin("超长的主题" * 40)
        page.wait(lambda cards: bool(cards[0][1]), "first words")
        assert page.says("document.documentElement.scrollWidth") == width_px
        assert [seen for seen in chromium.seen() if seen.left < 0 or (seen.right > width_px and not seen.scrolls)] == []
        fields = "[...document.querySelectorAll('input, select, textarea')]"
        assert page.says(f"{fields}.every((field) => field.labels.length === 1)") is True
        assert page.says("document.querySelector('.text').ariaLive") == "polite"
        colour = "getComputedStyle(document.documentElement).getPropertyValue"
        pairs = [("--ink", "--paper"), ("--muted", "--paper"), ("--accent", "--paper"), ("--wrong", "--paper")]
        for text, ground in [*pairs, ("--on-accent", "--accent")]:
            shown = [str(page.says(f"{colour}('{name}')")) for name in (text, ground)]
            assert contrast(*shown) >= CONTRAST, (text, ground)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (#rrggbb) by WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour.strip()[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.full
@pytest.mark.local_model
def test_real_text(chromium: Browser, tmp_path: Path) -> None:
    """With the local model the page streams real text: its first words come before its end."""
    with serving(tmp_path, "--provider", "local") as service:
        page = Page(chromium, service.url)
        page.begin("What is tea? Answer in two sentences.", kind="Chat")
        ((state, first_words, _, _),) = page.wait(lambda cards: bool(cards[0][1]), "first words")
        assert state == "running"
        ((_, text, _, _),) = page.wait(lambda cards: cards[0][0] == "done", "the end")
    assert text.startswith(first_words)
    assert len(text) > len(first_words)
    assert "tea" in text.lower()
