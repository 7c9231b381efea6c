"""Verdicts: when an arm is called faster, when two are called equivalent, and when neither may be said."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.paired import paired_ratio
from bench.policy.verdict import Arm, Comparison, Family, Rules, Verdict, judge, judge_all
from bench.policy.verdict_words import metric_words, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

THROUGHPUT: Final = Rules(higher_is_better=True)
LATENCY: Final = Rules(higher_is_better=False)
#: Six blocks whose log-ratios spread by 1 %, with a mean of 0.
QUIET: Final = (0.01, -0.01, 0.01, -0.01, 0.01, -0.01)
#: The same with 20 %.
LOUD: Final = (0.2, -0.2, 0.2, -0.2, 0.2, -0.2)


def arm(name: str, ratio: float = 1.0, noise: Sequence[float] = (0.0,) * 6, **facts: object) -> Arm:
    """Return an arm `ratio` times as fast as 100 a second, in blocks that are all different."""
    values = tuple(100 * (1 + block / 10) * ratio * math.exp(error) for block, error in enumerate(noise))
    return msgspec.convert({"name": name, "values": values, "instrument_error": 0.001, **facts}, Arm)


@pytest.mark.parametrize(
    ("ratio", "noise", "rules", "outcome"),
    [
        (1.3, QUIET, THROUGHPUT, "a_faster"),
        (1 / 1.3, QUIET, THROUGHPUT, "b_faster"),
        (1.3, QUIET, LATENCY, "b_faster"),
        (1 / 1.3, QUIET, LATENCY, "a_faster"),
        (1.0, QUIET, THROUGHPUT, "equivalent"),
        (1.03, QUIET, LATENCY, "equivalent"),
        (1.0, LOUD, THROUGHPUT, "no_verdict"),
        (1.15, LOUD, THROUGHPUT, "no_verdict"),
        (1.045, QUIET, THROUGHPUT, "no_verdict"),
    ],
)
def test_r35_the_four_outcomes(ratio: float, noise: Sequence[float], rules: Rules, outcome: str) -> None:
    """Faster beyond chance and by 5 %, equivalent within 5 %, and otherwise no verdict, with a reason and a number."""
    verdict = judge(arm("a", ratio, noise), arm("b"), rules)
    assert verdict.outcome == outcome
    assert bool(verdict.reasons) is (verdict.blocks_needed is not None) is (outcome == "no_verdict")


def test_r35_what_is_no_verdict_says_how_many_blocks_would_give_one() -> None:
    """The number of blocks named is enough, if blocks go on as they did; fewer than the rules ask are never named."""
    verdict = judge(arm("a", 1.15, LOUD), arm("b"), THROUGHPUT)
    assert verdict.blocks_needed is not None
    assert 12 < verdict.blocks_needed < 60
    noise = LOUD * (verdict.blocks_needed // 6 + 1)
    assert judge(arm("a", 1.15, noise), arm("b", 1.0, [0.0] * len(noise)), THROUGHPUT).outcome == "a_faster"
    few = judge(arm("a", 1.5, QUIET[:4]), arm("b", 1.0, QUIET[:4]), THROUGHPUT)
    assert few.blocks_needed == 6


def test_r35_a_difference_on_the_line_takes_no_number_of_blocks() -> None:
    """Where the effect is all but 5 % no number of blocks that can be run decides, and none is named."""
    verdict = judge(arm("a", 1.0499, LOUD), arm("b"), THROUGHPUT)
    assert (verdict.outcome, verdict.blocks_needed) == ("no_verdict", None)


@pytest.mark.parametrize("blocks", [0, 1, 2, 5])
def test_r36_five_blocks_give_no_verdict(blocks: int) -> None:
    """Below six blocks even a difference that every block shows gets no verdict."""
    verdict = judge(arm("a", 2.0, QUIET[:blocks]), arm("b", 1.0, [0.0] * blocks), THROUGHPUT)
    assert verdict.outcome == "no_verdict"
    assert verdict.reasons == (f"too few blocks: {blocks} have a figure of both, and a verdict takes 6",)
    assert judge(arm("a", 2.0, QUIET), arm("b"), THROUGHPUT).outcome == "a_faster"


def test_r36_blocks_without_a_figure_do_not_count() -> None:
    """A block in which one arm was not measured is none of the six."""
    gap = msgspec.structs.replace(arm("a", 2.0, QUIET), values=(None, *arm("a", 2.0, QUIET).values[1:]))
    verdict = judge(gap, arm("b"), THROUGHPUT)
    assert (verdict.outcome, verdict.ratio.n) == ("no_verdict", 5)
    longer = judge(msgspec.structs.replace(gap, values=(*gap.values, 300.0)), arm("b", 1.0, [0.0] * 7), THROUGHPUT)
    assert (longer.outcome, longer.ratio.n) == ("a_faster", 6)


def test_an_arm_is_not_judged_by_its_good_blocks_alone() -> None:
    """A block in which an arm finished nothing bars the verdict: to leave it out would hide the worst."""
    good = arm("b", 2.0, QUIET)
    verdict = judge(arm("a", 1.0, (0.0,) * 7), msgspec.structs.replace(good, values=(*good.values, 0.0)), THROUGHPUT)
    assert verdict.outcome == "no_verdict"
    assert verdict.reasons == ("b has a figure of 0.0 in block 7, and no ratio can be made of it",)
    assert (verdict.ratio.ratio, verdict.ratio.n, verdict.blocks_needed) == (None, 0, None)


def test_r41_invalid_cells_bar_the_verdict() -> None:
    """An INVALID cell of either arm leaves its comparison without a verdict, and its reason is said."""
    for a, b in (("it lasted 2 s", None), (None, "it lasted 2 s")):
        arms = [arm("a", 1.3, QUIET, invalid=[a] if a else []), arm("b", invalid=[b] if b else [])]
        verdict = judge(arms[0], arms[1], THROUGHPUT)
        assert (verdict.outcome, verdict.blocks_needed) == ("no_verdict", None)
        assert verdict.reasons == (f"{'a' if a else 'b'} is INVALID: it lasted 2 s",)


def test_r31_a_difference_within_the_instruments_error_is_not_one() -> None:
    """A difference has to be larger than the error of either arm's instrument, and that has to be known."""
    for errors in ((0.4, 0.0), (0.0, 0.4)):
        a, b = (arm(name, r, QUIET, instrument_error=e) for name, r, e in zip("ab", (1.3, 1.0), errors, strict=True))
        verdict = judge(a, b, THROUGHPUT)
        assert verdict.outcome == "no_verdict"
        assert verdict.reasons == ("the difference of 30.0% is within the instrument's own error, 40.0%",)
    assert judge(arm("a", 1.3, QUIET, instrument_error=0.2), arm("b"), THROUGHPUT).outcome == "a_faster"
    unknown = judge(arm("a", 1.3, QUIET, instrument_error=None), arm("b"), THROUGHPUT)
    assert unknown.reasons == ("the instrument's own error was not measured",)


def test_r31_the_instruments_error_is_named() -> None:
    """What makes the error is said with it, of the arm that has the larger one; all of a figure may be error."""
    a = arm("a", 1.3, QUIET, instrument_error=0.4, instrument="the client adds 9 ms")
    b = arm("b", instrument_error=0.1, instrument="the client adds 1 ms")
    (reason,) = judge(a, b, THROUGHPUT).reasons
    assert reason == "the difference of 30.0% is within the instrument's own error, 40.0% (the client adds 9 ms)"
    (reason,) = judge(arm("a", 9.0, QUIET, instrument_error=math.inf), b, THROUGHPUT).reasons
    assert reason == "the difference of 800.0% is within the instrument's own error, all of it"


def test_r31_equivalence_takes_an_instrument_finer_than_it() -> None:
    """An instrument that is off by 5 % calls no arms equal within 5 %; one that is off by less may."""
    assert judge(arm("a", 1.001, QUIET, instrument_error=0.04), arm("b"), THROUGHPUT).outcome == "equivalent"
    coarse = judge(arm("a", 1.001, QUIET, instrument_error=0.05), arm("b"), THROUGHPUT)
    assert coarse.outcome == "no_verdict"
    assert coarse.reasons == ("the instrument's own error of 5.0% is no finer than the 5% asked for",)


def test_r25_what_bars_the_experiment_bars_every_verdict() -> None:
    """A fixed order, or whatever else is wrong with the whole, leaves no comparison a verdict."""
    found = judge_all([arm("a", 1.3, QUIET), arm("b"), arm("c", 1.0, QUIET)], THROUGHPUT, bars=["one fixed order"])
    assert [comparison.verdict.outcome for comparison in found] == ["no_verdict"] * 3
    assert all("one fixed order" in comparison.verdict.reasons for comparison in found)


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(1, 1000)), min_size=6, max_size=12), st.booleans())
def test_swapping_the_arms_swaps_the_verdict(data: list[tuple[float, float]], higher: bool) -> None:  # noqa: FBT001
    """Which arm is named first changes no verdict."""
    rules = Rules(higher_is_better=higher)
    a = Arm(name="a", values=tuple(mine for mine, _ in data), instrument_error=0.0)
    b = Arm(name="b", values=tuple(theirs for _, theirs in data), instrument_error=0.0)
    swapped = {"a_faster": "b_faster", "b_faster": "a_faster", "equivalent": "equivalent", "no_verdict": "no_verdict"}
    assert judge(b, a, rules).outcome == swapped[judge(a, b, rules).outcome]


def test_r35_pairs_share_the_risk() -> None:
    """A difference that would do alone does not among as many comparisons as make one likely by chance."""
    noise = (0.16, 0.01, 0.13, 0.02, 0.2, 0.05)
    alone = judge(arm("a", 1.0, noise), arm("b"), THROUGHPUT)
    assert (alone.outcome, alone.comparisons) == ("a_faster", 1)
    # Three more arms, too loud to find anything about.
    others = [arm(name, 1.0, [error * sign for error in LOUD]) for name, sign in (("c", 1), ("d", -1), ("e", 0.7))]
    found = judge_all([arm("a", 1.0, noise), arm("b"), *others], THROUGHPUT)
    shared = next(comparison.verdict for comparison in found if (comparison.a, comparison.b) == ("a", "b"))
    assert (shared.outcome, shared.comparisons) == ("no_verdict", 10)
    assert shared.ratio == alone.ratio
    assert shared.adjusted_p == pytest.approx(10 * (alone.ratio.p_value or 0))
    assert (shared.judged.low or 0) < 1 < (alone.judged.low or 0)


@given(st.lists(st.lists(st.floats(50, 200), min_size=6, max_size=6), min_size=2, max_size=4))
def test_r35_the_interval_shown_and_the_verdict_never_disagree(values: list[list[float]]) -> None:
    """An arm is called faster only with an adjusted p below 5 % and an interval on its side of 1."""
    arms = [Arm(name=str(n), values=tuple(v), instrument_error=0.0) for n, v in enumerate(values)]
    found = judge_all(arms, THROUGHPUT)
    assert len(found) == len(arms) * (len(arms) - 1) // 2
    for comparison in found:
        verdict = comparison.verdict
        if verdict.outcome in {"a_faster", "b_faster"}:
            assert verdict.adjusted_p is not None
            assert verdict.adjusted_p < 0.05
            assert verdict.judged.low is not None
            assert verdict.judged.high is not None
            assert verdict.judged.low > 1 or verdict.judged.high < 1


def test_r26_an_arm_against_itself_is_a_control() -> None:
    """A twin is compared with the arm that it repeats alone; where those two differ, nothing else gets a verdict."""
    arms = [arm("a", 1.3, QUIET), arm("b"), arm("a again", 1.3, QUIET[::-1], twin_of="a")]
    control, real = judge_all(arms, THROUGHPUT)
    assert (control.a, control.b, control.is_control, control.verdict.outcome) == ("a", "a again", True, "equivalent")
    assert (real.a, real.b, real.is_control, real.verdict.outcome) == ("a", "b", False, "a_faster")
    assert real.verdict.comparisons == 1
    arms[2] = arm("a again", 1.6, QUIET[::-1], twin_of="a")
    control, real = judge_all(arms, THROUGHPUT)
    assert (control.verdict.outcome, real.verdict.outcome) == ("b_faster", "no_verdict")
    assert real.verdict.reasons == ("a differs from itself by a ratio of 0.81",)


def test_arms_that_cannot_be_compared_are_refused() -> None:
    """Arms have as many blocks as each other and names of their own, and a twin an arm to repeat."""
    with pytest.raises(ValueError, match="a has 6 blocks and b 5"):
        judge(arm("a"), arm("b", 1.0, QUIET[:5]), THROUGHPUT)
    for arms in ([arm("a"), arm("a")], [arm("a"), arm("b", twin_of="c")]):
        with pytest.raises(ValueError, match="names of their own"):
            judge_all(arms, THROUGHPUT)


def test_r45_the_better_arm_is_named_first() -> None:
    """A verdict is one sentence with the better arm first, one ratio, its interval and its blocks, and no per cents."""
    assert sentence(
        judge(arm("asyncio", 1.32, QUIET), arm("threading"), THROUGHPUT), "asyncio", "threading", "throughput"
    ) == ("asyncio finishes 1.32 times as many tasks a second as threading (95 % interval 1.30 to 1.34, 6 blocks)")
    assert sentence(
        judge(arm("threading"), arm("asyncio", 1.32, QUIET), THROUGHPUT), "threading", "asyncio", "throughput"
    ) == ("asyncio finishes 1.32 times as many tasks a second as threading (95 % interval 1.30 to 1.34, 6 blocks)")
    assert sentence(judge(arm("a", 1.32, QUIET), arm("b"), LATENCY), "a", "b", "latency_p95") == (
        "the p95 latency of b is 0.76 times that of a (95 % interval 0.75 to 0.77, 6 blocks)"
    )


def test_r31_a_verdict_of_a_limited_client_says_what_it_is_about() -> None:
    """Where a client was the limit the verdict stands, and says that it is about clients and not about the server."""
    verdict = judge(arm("a", 1.32, QUIET), arm("b"), THROUGHPUT)
    assert sentence(verdict, "a", "b", "throughput", client_limited=("b",)).endswith(
        "6 blocks); b is client-limited: this ranks clients, not the server"
    )
    both = sentence(judge(arm("a"), arm("b"), THROUGHPUT), "a", "b", "throughput", client_limited=("a", "b"))
    assert both.endswith("; a and b are client-limited: this ranks clients, not the server")


def test_r35_equivalence_and_the_lack_of_a_verdict_are_said_as_such() -> None:
    """Equivalent arms are called so; where there is no verdict, why, what was seen and the blocks are said."""
    assert sentence(judge(arm("a", 1.01, QUIET), arm("b"), THROUGHPUT), "a", "b", "throughput") == (
        "a and b are equivalent in tasks a second: the ratio is 1.01 (95 % interval 0.998 to 1.02, 6 blocks)"
    )
    verdict = judge(arm("a", 1.1, LOUD), arm("b"), THROUGHPUT, family=Family(comparisons=3, confidence=0.98))
    words = sentence(verdict, "a", "b", "throughput")
    assert words.startswith(
        "no verdict between a and b on tasks a second: the interval 0.81 to 1.49 holds 1 and reaches"
    )
    assert "the ratio is 1.10 (95 % interval over 3 comparisons 0.81 to 1.49, 6 blocks)" in words
    assert words.endswith(f". About {verdict.blocks_needed} blocks would give one")
    empty = sentence(judge(arm("a", noise=[]), arm("b", noise=[]), THROUGHPUT), "a", "b", "throughput")
    assert empty == (
        "no verdict between a and b on tasks a second: too few blocks: 0 have a figure of both, and a verdict takes 6. "
        "About 6 blocks would give one"
    )


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("throughput", "tasks a second"),
        ("ttft_p95", "p95 time to first token"),
        ("latency", "latency"),
        ("cpu_us_per_task", "CPU time a task"),
        ("peak_pss_mb", "peak memory"),
        ("cold", "time from start to last result"),
        ("something_p50", "something_p50"),
    ],
)
def test_metrics_have_names(metric: str, words: str) -> None:
    """A metric is called what a reader calls it, and an unknown one by its own name."""
    assert metric_words(metric) == words


def test_a_verdict_survives_the_file() -> None:
    """What is read back from JSON is what was written, a comparison without any figure included."""
    arms = [arm("a", 1.3, QUIET), arm("b"), arm("c", noise=(), values=[None] * 6)]
    for comparison in judge_all(arms, THROUGHPUT):
        assert msgspec.json.decode(msgspec.json.encode(comparison), type=Comparison) == comparison
    assert isinstance(judge(arms[0], arms[1], THROUGHPUT), Verdict)


def test_two_intervals_that_overlap_hide_what_the_paired_one_shows() -> None:
    """Arms whose own figures spread over blocks far more than they differ are told apart by their pairs."""
    spread = (0.3, -0.3, 0.1, -0.2, 0.25, -0.15)
    a, b = arm("a", 1.1, [x + y for x, y in zip(spread, QUIET, strict=True)]), arm("b", 1.0, spread)
    own = [paired_ratio([v or 0 for v in one.values], [1.0] * 6) for one in (a, b)]
    assert all((x.low or 0) < (y.high or 0) for x, y in itertools.permutations(own, 2))
    assert judge(a, b, THROUGHPUT).outcome == "a_faster"
