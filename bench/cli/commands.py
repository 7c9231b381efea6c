"""The commands, what each is for, and which options it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.cli.book_options import book_options
from bench.cli.compare_options import compare_options
from bench.cli.options import REAL_WORK, Option, report_options, resumable_options, run_options, simulator_options
from bench.cli.plan_options import plan_options
from bench.cli.serve_options import serve_options
from bench.cli.traces_options import traces_options
from bench.cli.tune_options import tune_options
from bench.cli.upkeep_options import cache_options, doctor_options
from bench.config import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What decides whom the demo and its like ask, and what for: not theirs to choose.
_SOURCES: Final = frozenset(SOURCES) - {"topics"}
_TRACES: Final = frozenset({"trace", "trace_sample", "trace_to"})
_WHOM: Final = frozenset({"provider", "providers_file", "base_url", "model"})


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command.

    Attributes:
        name: Its name; its code is the module of that name in `bench.cli`.
        summary: What it does, in a line.
        details: What else there is to know, for its own help page.
        options: Returns its options.
        words: What its arguments without a dash are, or an empty string if it takes none.
        layered: Whether environment and env file may set its options too.
        real_work: Whether it does real work whatever the profile: the WRITER_ variables set its options too.
    """

    name: str
    summary: str
    details: str = ""
    options: Callable[[], tuple[Option, ...]]
    words: str = ""
    layered: bool = True
    real_work: bool = False


def _demo_options() -> tuple[Option, ...]:
    # 24 tasks of 270 ms: serial takes 6.5 s, eight at once 0.8 s, and all modes with the report stay under 30 s.
    return run_options(
        without=_SOURCES | _WHOM | REAL_WORK | _TRACES | {"mode", "scheduler", "env_file", "output", "log_file"},
        iterations=8,
        simulator=("ttft=0.2", "itl=0.01", "tokens=8"),
    )


def _performance_options() -> tuple[Option, ...]:
    return compare_options(budget="10m")


def _quick_options() -> tuple[Option, ...]:
    return run_options(without=_SOURCES, report=False)


_COMMANDS: Final = (
    Command(
        name="run",
        summary="run a workload; the default command",
        details="Without a source of tasks it asks for an analysis of three topics. RUN is a directory of a run, or "
        "its id below --results-dir.",
        options=resumable_options,
    ),
    Command(
        name="report",
        summary="draw the report of one run, of several together, or of an experiment",
        details="RUN is a directory of a run or an experiment, or its id below --results-dir.",
        options=report_options,
        words="RUN...",
    ),
    Command(
        name="compare",
        summary="compare modes, numbers in flight and clients, interleaved, with a verdict or the reason why not",
        details="Every cell is a fresh process. It asks the simulator unless --provider or --base-url say otherwise.",
        options=compare_options,
    ),
    Command(
        name="simulate",
        summary="serve an OpenAI-compatible API with chosen latencies, limits and faults",
        details="It prints its address on standard error, and its statistics as JSON on standard output when Ctrl+C or "
        "SIGTERM ends it.",
        options=simulator_options,
        layered=False,
    ),
    Command(
        name="tune",
        summary="find the fewest requests in flight and the cheapest mode that do, with few requests",
        details="It probes with more and more in flight, each time in a fresh process, without retries, and says the "
        "command to run. Exit codes: 0 found, 3 out of reach or not shown.",
        options=tune_options,
    ),
    Command(
        name="demo",
        summary="run every mode on the simulator, compare them, and draw the report",
        details="It needs no key and takes less than half a minute. Environment and env file do not count.",
        options=_demo_options,
        layered=False,
    ),
    Command(
        name="book",
        summary="write a book from an outline: a Markdown file a chapter, the whole book, and a manifest",
        details="The outline is a spreadsheet or .csv file with a chapter a row and the columns 课程模块 课程主题 "
        "课程大纲 内容说明 (module, topic, outline, description). The same command "
        "again writes only what is missing or failed.",
        options=book_options,
        real_work=True,
    ),
    Command(
        name="serve",
        summary="serve texts over HTTP as they are written: direct or through a bounded queue, with a page at /",
        details="It answers programs of this machine; for others set SERVICE_TOKEN in the environment or the env file. "
        "The first Ctrl+C or SIGTERM lets tasks end for --drain-grace seconds, the second cancels them. Records are "
        "kept in service/ below --results-dir.",
        options=serve_options,
        real_work=True,
    ),
    Command(
        name="quick",
        summary="ask the configured provider once, and say what is wrong if it does not answer",
        options=_quick_options,
    ),
    Command(
        name="doctor",
        summary="say whether a run would find what it needs: keys, providers that answer, limits, disk, fonts",
        details="It asks each provider that has a key for one token, and tells how long that takes. Exit codes: 0 all "
        "is well, 1 something is missing, 2 wrong usage.",
        options=doctor_options,
    ),
    Command(
        name="cache",
        summary="say what the cache of answers holds (stats), or empty it (clear)",
        details="Runs under way go on: what they ask from then on is asked anew.",
        options=cache_options,
        words="stats|clear",
    ),
    Command(
        name="traces",
        summary="send what LangSmith does not have yet of a run's traces (push), or show where time went (review)",
        details="RUN is a directory of a run, or its id below --results-dir. Where LangSmith is: LANGSMITH_API_KEY, "
        "LANGSMITH_PROJECT and LANGSMITH_ENDPOINT, from environment or env file. What was taken is noted with the run, "
        "and is not sent again. A review is made of the records alone where there is no key.",
        options=traces_options,
        words="push|review RUN",
    ),
    Command(
        name="plan",
        summary="say from a measurement what to run for many tasks: mode, N, machines, duration, money, what binds",
        details="RUN is a directory of a run or an experiment, or its id below --results-dir. Nothing is sent: the "
        "work is simulated. Where the measurement does not tell, it says which run would. Exit codes: 0 something is "
        "recommended, 2 wrong usage, 3 nothing will do.",
        options=plan_options,
        words="RUN...",
    ),
    Command(
        name="performance",
        summary="compare every mode with 1, 8 and 64 in flight and both clients, within ten minutes",
        details="It is `compare` with a budget: it says first how long it will take, and what it leaves out.",
        options=_performance_options,
    ),
)

#: The commands by name; the first is meant where none is named.
COMMANDS: Final[Mapping[str, Command]] = {command.name: command for command in _COMMANDS}

DEFAULT: Final = _COMMANDS[0]
