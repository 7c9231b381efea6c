"""What `book` says: what is kept and why, what is to be written, and what there is in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.book.coherence import SECOND_TEXTS, SUMMARIES
from bench.cli.messages import fail, note, say, warn
from bench.observe.text import printable
from bench.workload.outline import OUTLINE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.book.passes import PassPlan
    from bench.book.shelf import Shelf

#: What a pass makes, and when something that was made is kept.
_PASSES: Final = {
    OUTLINE: ("chapters", "row and settings are unchanged"),
    SUMMARIES: ("summaries", "the chapter's text is unchanged"),
    SECOND_TEXTS: ("second texts", "the chapter's and its neighbours' texts are unchanged"),
}

#: Chapters without a text that are named one by one.
_NAMED: Final = 10


def say_plan(plan: PassPlan, kind: str, versions: int) -> None:
    """Say what an earlier call has left to do, with the reasons."""
    what, why = _PASSES[kind]
    for said in plan.unread:
        warn(printable(said))
    numbers = {key: index + 1 for key, index in plan.index_of.items()}
    kept = [numbers[key] for key in plan.index_of if key in plan.answered]
    again = [numbers[key] for key in plan.index_of if key in plan.again]
    failed = [numbers[key] for key in plan.index_of if key in plan.failed]
    known = plan.answered.keys() | plan.again.keys() | plan.failed.keys()
    new = [numbers[key] for key in plan.index_of if key not in known]
    if not known:
        note(f"{what}: {len(new)} to write{f', {versions} versions of each' if versions > 1 else ''}")
        return
    parts = [
        f"{len(each)} {said} ({ranges(each)})"
        for each, said in (
            (kept, f"kept, because {why}"),
            (again, "again, because you asked for them"),
            (failed, "again, because they failed"),
            (new, "to write, because there is no answer yet"),
        )
        if each
    ]
    note(f"{what}: {'; '.join(parts)}")
    if plan.taken_up is not None:
        note(f"{what}: going on with run {plan.taken_up.name}")


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers in words, each once, in order: `1-4, 6`."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def say_end(book: Path, shelf: Shelf, command: str) -> None:
    """Say what there is, what is not, and how to go on."""
    entries = shelf.entries
    written = [entry for entry in entries if entry.status == "ok"]
    chapters = {entry.number for entry in entries}
    with_text = {entry.number for entry in written}
    texts = "" if len(entries) == len(chapters) else f" ({len(written)} of {len(entries)} versions)"
    say(f"book:    {printable(str(book))}, {len(with_text)} of {len(chapters)} chapters{texts}")
    cut = [entry.number for entry in written if entry.finish_reason == "length"]
    if cut:
        warn(f"cut at --max-tokens: chapters {ranges(cut)}")
    stayed = [entry.number for entry in written if entry.error is not None]
    if stayed:
        warn(f"no new text, the earlier one stays: chapters {ranges(stayed)}")
    without = [entry for entry in entries if entry.status != "ok"]
    for entry in without[:_NAMED]:
        version = f", version {entry.version}" if len(entries) > len(chapters) else ""
        why = entry.status if entry.error is None else f"{entry.error.type}: {entry.error.message}"
        fail(printable(f"chapter {entry.number} ({entry.title}{version}): {why}"))
    if len(without) > _NAMED:
        fail(f"and {len(without) - _NAMED} more: they are in the manifest")
    if not shelf.complete:
        say(f"go on:   {printable(command)}")
