"""The review of a run in a real browser, wide and narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.report.review.build import build_review
from bench.report.review.load import review
from bench.report.review.remote import Remote
from tests.browser import browser
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.browser
def test_five_hundred_tasks(tmp_path: Path) -> None:
    """A waterfall of 500 tasks fits a wide and a narrow window, asks nobody for anything, and breaks no rule."""
    run = make_run(
        tmp_path,
        Plan(
            tasks=500,
            topics=tuple(f"新能源 {number}" for number in range(500)),
            concurrency=32,
            error_rate=0.1,
            retries=1,
        ),
    )
    page = build_review(review(run, slowest=10), Remote())
    with browser(tmp_path / "profile") as chromium:
        for width_px, scheme in ((1280, "light"), (390, "dark")):
            chromium.requests()
            chromium.open(page, width_px=width_px, scheme=scheme)
            assert chromium.run("return document.documentElement.scrollWidth") == width_px
            assert chromium.complaints() == []
            assert [url for url in chromium.requests() if url.startswith(("http", "ws"))] == []
            shown = chromium.run(
                "return [...document.querySelectorAll('svg')].map(each => each.getBoundingClientRect().height)"
            )
            assert isinstance(shown, list)
            (height_px,) = (each for each in shown if each)
            assert 500 < height_px < 1500
