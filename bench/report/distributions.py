"""The charts of how long tasks took: all of them, not their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from bench.report.chart import PANELS_AT_MOST, Chart, left_out
from bench.report.curves import Curve, draw_shares
from bench.report.numbers import count
from bench.report.series import numbered
from bench.report.topics import Lane, draw_topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bench.report.fonts import ChartFonts
    from bench.report.series import ShownRun

_TOPICS_AT_MOST: Final = 10

#: Lanes of more runs than this can no longer be followed from topic to topic.
_RUNS_BY_TOPIC: Final = 5


def latency(shown: Sequence[ShownRun]) -> Chart:
    """Return the chart of latencies of successes."""
    return _distribution(
        [(item, item.run.successes["latency_s"].to_numpy()) for item in shown],
        name="latency",
        title="Latency",
        caption="Which share of the successful tasks was done within how long, from a slot asking for the task to its "
        "answer (retries and waits included). Steeper and further left is better; failures are not in it.",
        empty="No call succeeded: there is no latency to show. Failures have their own row in the tables.",
    )


def first_token(shown: Sequence[ShownRun]) -> Chart:
    """Return the chart of times to first token."""
    streamed = any(item.run.manifest.config.get("stream") is not False for item in shown)
    return _distribution(
        [(item, item.run.first_tokens_s) for item in shown],
        name="ttft",
        title="Time to first token",
        caption="Which share of the successful streamed tasks had its first token within how long, from the send "
        "of the last attempt.",
        empty="No call succeeded with a token: there is no time to first token to show."
        if streamed
        else "The answers were not streamed (--no-stream): the time to the first token was not measured.",
    )


def _distribution(
    values: Sequence[tuple[ShownRun, NDArray[np.float64]]], *, name: str, title: str, caption: str, empty: str
) -> Chart:
    kept = [(item, found) for item, found in values if len(found)]
    if not kept:
        return Chart(name=name, title=title, caption=empty, draw=None)
    panels = _panels(kept)
    without = [item.name for item, found in values if not len(found)]
    if without:
        caption += f" Nothing to show for {'; '.join(without)}."
    return Chart(
        name=name,
        title=title,
        caption=caption + left_out(len(panels), PANELS_AT_MOST, "panel"),
        draw=lambda paper: draw_shares(paper, panels[:PANELS_AT_MOST], title.lower()),
    )


def _panels(kept: Sequence[tuple[ShownRun, NDArray[np.float64]]]) -> list[tuple[str, list[Curve]]]:
    """Put the runs of one N into one panel; where there is one series only, all its N into one."""
    places = sorted({item.concurrency for item, _ in kept})
    if len(places) > 1 and len({item.mark for item, _ in kept}) == 1:
        marks = {n: numbered(index, f"N={n}") for index, n in enumerate(places)}
        return [("", [Curve(mark=marks[item.concurrency], values_s=found) for item, found in kept])]
    return [
        (
            f"N={n}" if len(places) > 1 else "",
            [Curve(mark=item.mark, values_s=found) for item, found in kept if item.concurrency == n],
        )
        for n in places
    ]


def by_topic(shown: Sequence[ShownRun], fonts: ChartFonts) -> Chart | None:
    """Return the chart of latency by topic; None where tasks have no topics, or there is but one."""
    name, title = "topics", "Latency by topic"
    topics = list(dict.fromkeys(topic for item in shown for topic in item.run.successes["topic"].cat.categories))
    if len(topics) <= 1:
        return None
    if len(shown) > _RUNS_BY_TOPIC:
        caption = f"Shown for up to {_RUNS_BY_TOPIC} runs at once; this report has {len(shown)}."
        return Chart(name=name, title=title, caption=caption, draw=None)
    drawn = topics[:_TOPICS_AT_MOST]
    groups = [dict(iter(item.run.successes.groupby("topic", observed=True)["latency_s"])) for item in shown]
    lanes = [
        (
            fonts.drawable(topic),
            [
                Lane(mark=item.mark, values_s=group[topic].to_numpy() if topic in group else np.empty(0))
                for item, group in zip(shown, groups, strict=True)
            ],
        )
        for topic in drawn
    ]
    caption = (
        "Each point is a successful task; where there are more than 40 in a row, the line is all of them, "
        "the bar their middle half, the point the median."
    )
    if len(topics) > len(drawn):
        caption += f" The first {len(drawn)} of {count(len(topics))} topics."
    return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_topics(paper, lanes))
