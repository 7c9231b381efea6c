"""What a report says of a run that was resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.journal import MANIFEST, read_manifest
from bench.report.cautions import cautions
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.segments import segments
from bench.report.series import arrange
from tests.report_cases import HOSTILE
from tests.report_runs import Plan, make_run
from tests.samples import make_segment

if TYPE_CHECKING:
    from pathlib import Path


def test_starts_are_listed(tmp_path: Path) -> None:
    """Each start of a resumed run has its row with when, where and what changed; a run with one start has none."""
    fonts = ChartFonts()
    plain = make_run(tmp_path, Plan())
    assert segments(arrange([load(plain)], fonts)) == ()
    changed = {"mode": "threading", "topics_file": HOSTILE}
    starts = (make_segment(), make_segment(ended_at="2026-11-22T04:00:00.000Z", tasks=7, changed=changed))
    resumed = make_run(tmp_path, Plan(seed=1))
    manifest = msgspec.structs.replace(read_manifest(resumed), segments=starts)
    (resumed / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    shown = arrange([load(plain), load(resumed)], fonts)
    (table,) = segments(shown)
    first, second = ([cell.text for cell in row] for row in table.rows)
    assert first[1:] == ["0", "n/a", "2026-11-22 03:05:06 UTC", "not told", "bench-host", "42", "none"]
    assert second[1:5] == ["1", "7", "2026-11-22 03:05:06 UTC", "2026-11-22 04:00:00 UTC"]
    assert second[7].startswith("mode threading, topics_file <img")
    assert "\x1b" not in second[7]
    (caution,) = (found for found in cautions(shown, fonts) if found.kind == "resumed")
    assert caution.where.endswith("2 starts")
