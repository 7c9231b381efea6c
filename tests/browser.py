"""A headless Chromium for tests, and what can be asked of a page in it."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Nothing of it may reach beyond this machine, and nothing of an earlier start may be left.
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

#: Returns kind, text and box of what a reader sees: blocks, table cells, chart texts; nothing that is folded away.
SEEN: Final = """
const found = [];
const add = (kind, node, box) => {
  if (box.width > 0 && box.height > 0 && node.checkVisibility({visibilityProperty: true})) {
    const scrolls = node.closest('.scroll, pre') !== null;
    const text = node.textContent.trim().slice(0, 60);
    found.push([kind, text, box.left, box.top + scrollY, box.right, box.bottom + scrollY, scrolls]);
  }
};
for (const node of document.querySelectorAll('h1,h2,h3,p,li,dt,dd,figcaption,svg,.scroll,pre,.nothing'))
  add('block', node, node.getBoundingClientRect());
for (const node of document.querySelectorAll('th,td')) {
  const range = document.createRange();
  range.selectNodeContents(node);
  add('cell', node, range.getBoundingClientRect());
}
document.querySelectorAll('svg').forEach((svg, number) => {
  for (const node of svg.querySelectorAll('text')) add('chart ' + number, node, node.getBoundingClientRect());
});
return found;
"""


class Seen(NamedTuple):
    """Something on a page, with its box in pixels of the page."""

    kind: str
    text: str
    left: float
    top: float
    right: float
    bottom: float
    scrolls: bool

    def overlap(self, other: Seen) -> tuple[float, float]:
        """Return how far two boxes lie over each other, across and along; below 0 where they do not."""
        across = min(self.right, other.right) - max(self.left, other.left)
        along = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across, along


class Browser:
    """A Chromium with a page open."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path | str, *, width_px: int, scheme: str = "light") -> None:
        """Open a page (a file, or an address) in a window of this width, for a reader who prefers `light` or `dark`."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        preference = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
        self.driver.get(page if isinstance(page, str) else page.as_uri())

    def run(self, script: str) -> object:
        """Return what a script says about the page."""
        return self.driver.execute_script(script)

    def seen(self) -> list[Seen]:
        """Return what a reader sees."""
        found = self.run(SEEN)
        assert isinstance(found, list)
        return [Seen(*item) for item in found]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Return what the browser's console said since the last call: blocked loads and styles among it."""
        return [entry["message"] for entry in self._log("browser")]

    def _log(self, name: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.driver.get_log(name)  # type: ignore[no-untyped-call] # selenium has no type for it
        return found

    def fonts_of(self, selector: str) -> dict[str, bool]:
        """Return the fonts that the first match is drawn with, and whether each came with the page."""
        document = self.driver.execute_cdp_cmd("DOM.getDocument", {})
        node = self.driver.execute_cdp_cmd(
            "DOM.querySelector", {"nodeId": document["root"]["nodeId"], "selector": selector}
        )
        self.driver.execute_cdp_cmd("CSS.enable", {})
        used = self.driver.execute_cdp_cmd("CSS.getPlatformFontsForNode", {"nodeId": node["nodeId"]})
        return {font["familyName"]: font["isCustomFont"] for font in used["fonts"]}


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a Chromium with an empty profile and end it."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or ""))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
