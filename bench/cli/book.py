"""`book`: an outline becomes a book, over as many calls of this command as it takes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shlex
from typing import TYPE_CHECKING, Any

from bench.book.again import places_again
from bench.book.coherence import SECOND_TEXTS, SUMMARIES, SUMMARY_TOKENS, FirstPass
from bench.book.context import check_context
from bench.book.follow import Follower
from bench.book.passes import Asking, Kept, plan_pass
from bench.book.shelf import BOOK, RUNS, Shelf, owned
from bench.cli.book_options import AUTO, book_options
from bench.cli.book_words import say_end, say_plan
from bench.cli.context import FAILED, INTERRUPTED, OK
from bench.cli.messages import warn
from bench.cli.options import PROGRAM, config_from, option_words
from bench.cli.run import settled
from bench.cli.session import Session, TakenUp
from bench.cli.traced import traced
from bench.config import DEFAULT_CONCURRENCY, MAX_CONCURRENCY
from bench.endpoints.local import SLOT_TOKENS
from bench.endpoints.local_tokens import prompt_tokens
from bench.endpoints.resolve import opened, resolve
from bench.errors import ConfigError, JournalError
from bench.observe.summary_table import print_summary
from bench.observe.text import printable
from bench.workload.build import RepeatedWorkload
from bench.workload.outline import OUTLINE, OutlineTasks, read_outline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from bench.book.passes import PassPlan
    from bench.book.records import Answer, Pass
    from bench.cli.context import Context
    from bench.config import ConcurrentConfig
    from bench.endpoints.resolve import ResolvedRoutes
    from bench.providers import Endpoint
    from bench.records import Task


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Write what is missing of a book, and return the exit code."""
    config, resolved = _config(settings, context)
    folder: Path = settings["folder"]
    with owned(folder), contextlib.ExitStack() as servers:
        writing = Writing(
            settings,
            Asking(config=config, routes=resolved.routes),
            lambda: servers.enter_context(opened(resolved)),
        )
        writing.write()
    return writing.exit_code


class Writing:
    """One call of the command: the passes of a book, each a run or what is left of one.

    Args:
        settings: What the options give.
        asking: The settings of the runs, and whom they ask.
        open_endpoints: Returns where requests go, started; called when there is something to send, once.

    Attributes:
        command: The command line that goes on with the book.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        asking: Asking,
        open_endpoints: Callable[[], tuple[Endpoint, ...]],
    ) -> None:
        # To go on is not to begin once more what is written by then.
        self.command = shlex.join(["python", PROGRAM, "book", *option_words(book_options(), {**settings, "again": ()})])
        self._asking = asking
        self._config = config = asking.config
        self._coherence = settings["coherence"]
        self._folder: Path = settings["folder"]
        self._outline = read_outline(settings["outline"])
        self._again = places_again(settings["again"], chapters=len(self._outline.chapters), versions=config.versions)
        self._open_endpoints = open_endpoints
        self._endpoints: tuple[Endpoint, ...] = ()
        self._session = Session()
        self._shelf = Shelf(
            self._folder,
            self._outline,
            versions=config.versions,
            coherence=self._coherence,
            tell=lambda said: warn(printable(said)),
        )
        self._taking: Callable[[str, Answer], None] | None = None

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Writing {self._shelf!r}>"

    @property
    def exit_code(self) -> int:
        """What the command returns."""
        if self._session.interrupted:
            return INTERRUPTED
        return OK if self._shelf.complete else FAILED

    def write(self) -> None:
        """Do every pass as far as it goes, and bring the folder up to it.

        Raises:
            ConfigError: Something is wrong with the settings or the outline; nothing was sent.
            RunError: A file of the book, or a record, cannot be written or read.
        """
        tasks = self._first_tasks()
        try:
            self._pass(OUTLINE, tasks, self._asking, "first")
            if self._coherence == "summary" and self._shelf.texts and not self._stopped:
                self._second_pass({(task.index + 1, task.version): task for task in tasks()})
        except ConfigError:
            raise
        except BaseException:
            # What came before is to be found under its name, whatever went wrong.
            with contextlib.suppress(JournalError):
                self._shelf.finish()
            raise
        self._shelf.finish()
        if not self._config.quiet:
            say_end(self._folder / BOOK, self._shelf, self.command)

    @contextlib.contextmanager
    def watching(self, run: Path) -> Iterator[Follower]:
        """Hand the records of a run on inside the block."""
        taking = self._taking

        def take(answer: Answer) -> None:
            if taking is not None:
                taking(run.name, answer)

        with Follower(run, take, self._shelf.save) as follower:
            yield follower
        if follower.failure is not None:
            # The book's end tries once more, and fails if that does.
            warn(printable(f"chapters could not be written as they came: {follower.failure}"))

    @property
    def _stopped(self) -> bool:
        return self._session.interrupted or any(outcome.error for outcome in self._session.outcomes)

    def _first_tasks(self) -> Callable[[], Iterable[Task]]:
        wanted = {"max_tokens": self._config.max_tokens, "temperature": self._config.temperature}
        params: dict[str, object] = {name: value for name, value in wanted.items() if value is not None}
        source = OutlineTasks(self._outline, params)
        workload = RepeatedWorkload(source, 1, versions=self._config.versions, seed=self._config.seed)
        return lambda: workload

    def _second_pass(self, tasks: dict[tuple[int, int], Task]) -> None:
        first = FirstPass(
            outline=self._outline, tasks=tasks, texts=self._shelf.texts, max_tokens=self._config.max_tokens
        )
        short = dataclasses.replace(self._asking, config=dataclasses.replace(self._config, max_tokens=SUMMARY_TOKENS))
        summaries = self._pass(SUMMARIES, first.summaries, short, None)
        if not self._stopped:
            texts = {
                (index + 1, key[1]): kept.answer.content
                for key, index in summaries.index_of.items()
                if (kept := summaries.answered.get(key)) is not None and kept.answer.content is not None
            }
            self._pass(SECOND_TEXTS, lambda: first.second_texts(texts), self._asking, "second")

    def _pass(self, kind: str, tasks: Callable[[], Iterable[Task]], asking: Asking, of_pass: Pass | None) -> PassPlan:
        """Do what is left of a pass; return it with all its answers."""
        config = asking.config
        # What is made of a text is made anew where that is another.
        again = self._again if kind == OUTLINE else ()
        plan = plan_pass(self._folder / RUNS, kind, tasks, asking, again)
        if not config.quiet:
            say_plan(plan, kind, config.versions)
        self._keep(plan, of_pass)
        if plan.workload is None:
            return plan
        if not self._endpoints:
            self._endpoints = self._open_endpoints()
            self._check_context(plan.workload)
        self._shelf.save()
        self._taking = lambda run, answer: self._take(plan, of_pass, run, answer)
        taken_up = None if plan.taken_up is None else TakenUp(run=plan.taken_up, retry_failed=True)
        outcome = self._session.run(
            config, plan.workload, self._endpoints, details=False, taken_up=taken_up, companion=self
        )
        if not config.quiet:
            print_summary(outcome.summary)
        return plan

    def _keep(self, plan: PassPlan, of_pass: Pass | None) -> None:
        """Put the answers of earlier runs on the shelf."""
        if of_pass is not None:
            for found in (plan.failed, plan.again, plan.answered):
                for key, kept in found.items():
                    self._shelf.put(kept, plan.index_of[key], of_pass, fresh=False)

    def _take(self, plan: PassPlan, of_pass: Pass | None, run: str, answer: Answer) -> None:
        """Take an answer that came just now, or that the run had before."""
        key = (answer.custom_id, answer.version)
        if key not in plan.index_of or key in plan.answered:
            return
        kept = Kept(run=run, answer=answer)
        if answer.status == "ok":
            plan.answered[key] = kept
        if of_pass is not None:
            self._shelf.put(kept, plan.index_of[key], of_pass, fresh=True)

    def _check_context(self, tasks: Iterable[Task]) -> None:
        """Refuse prompts that the local model has no room for; what others hold is not known."""
        for endpoint in self._endpoints:
            if endpoint.provider == "local":
                check_context(
                    tasks,
                    functools.partial(prompt_tokens, endpoint),
                    context_tokens=SLOT_TOKENS,
                    coherence=self._coherence,
                )


def _config(settings: Mapping[str, Any], context: Context) -> tuple[ConcurrentConfig, ResolvedRoutes]:
    """Return the settings of the runs, and whom they ask."""
    own = {"outline": settings["outline"], "results_dir": settings["folder"] / RUNS}
    config = traced(config_from({**settings, **own}), context.environment)
    resolved = resolve(config, context.environment)
    if settings["workers"] != AUTO:
        config = dataclasses.replace(config, concurrency=_workers(settings["workers"]))
    elif config.mode != "serial":
        config = dataclasses.replace(config, concurrency=_room(resolved))
    # Once more, because a local model makes room for the workers.
    resolved = resolve(config, context.environment)
    return settled(config, resolved), resolved


def _workers(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_CONCURRENCY:
        raise ConfigError(f"--workers must be a whole number from 1 to {MAX_CONCURRENCY}, or {AUTO}, got {text!r}")
    return number


def _room(resolved: ResolvedRoutes) -> int:
    """Return how many requests the providers take at once, as far as that is known."""
    known = [route.limits.in_flight for route in resolved.routes if route.limits.in_flight is not None]
    return sum(known) if known else DEFAULT_CONCURRENCY
