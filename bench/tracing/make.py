"""From records to spans: the root of an iteration, a task in it, and the calls that were made for the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from bench.clock import utc_us
from bench.policy.trace_ids import attempt_span_id, task_span_id, trace_id
from bench.tracing.span import Span, order_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.manifest import RunManifest
    from bench.records import Attempt, JsonObject, Task, TaskResult

#: What LangSmith's own wrapper calls a call of a chat model.
CALL: Final = "ChatOpenAI"

TASK: Final = "task"
ITERATION: Final = "iteration"

_US_PER_S: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What spans may say.

    Attributes:
        inputs: Prompts, and what they are made from.
        outputs: Answers.
        metadata: What spans may be searched by.
    """

    inputs: bool = True
    outputs: bool = True
    metadata: bool = True


@dataclass(kw_only=True)
class Iteration:
    """What is known of an iteration, in microseconds since 1970.

    Attributes:
        number: Which one, from 0.
        start_us: When its first task was scheduled.
        end_us: When the last of its tasks that have a record ended.
        counts: How many records it has of each status.
    """

    number: int
    start_us: int
    end_us: int
    counts: dict[str, int] = field(default_factory=dict)


class SpanMaker:
    """Makes the spans of one run; the same record gives the same spans.

    Args:
        manifest: What is known of the run.
        shown: What spans may say.
    """

    def __init__(self, manifest: RunManifest, shown: Shown) -> None:
        self._manifest = manifest
        self._shown = shown
        self._origins_us = [_origin_us(segment.origin_utc_us, segment.started_at) for segment in manifest.segments]
        self._models = {
            (route.get("provider"), route.get("key", 0)): route.get("model")
            for route in (manifest.endpoint, *manifest.routes)
        }
        self._traces: dict[int, str] = {}
        self._tags = (manifest.mode, f"N={manifest.concurrency}")
        self._of_run: JsonObject = {
            "run_id": manifest.run_id,
            "mode": manifest.mode,
            "concurrency": manifest.concurrency,
            "profile": manifest.config.get("profile"),
        }

    def at_us(self, segment: int, instant_s: float) -> int:
        """Return an instant of a segment's clock in microseconds since 1970."""
        return self._origins_us[segment] + round(instant_s * _US_PER_S)

    def root(self, iteration: Iteration) -> Span:
        """Return the span of an iteration as far as it is known."""
        span_id = self._trace(iteration.number)
        total = sum(iteration.counts.values())
        not_ok = total - iteration.counts.get("ok", 0)
        return Span(
            id=span_id,
            trace_id=span_id,
            parent_id=None,
            order=order_part(iteration.start_us, span_id),
            name=ITERATION,
            kind="chain",
            start_us=iteration.start_us,
            end_us=iteration.end_us,
            inputs={"run": self._manifest.run_id, "iteration": iteration.number} if self._shown.inputs else None,
            outputs=dict(sorted(iteration.counts.items())) if self._shown.outputs else None,
            error=f"{not_ok} of {total} tasks did not succeed" if not_ok else None,
            metadata=self._metadata(iteration=iteration.number, client=self._manifest.config.get("client")),
            tags=self._tags,
        )

    def of_record(self, record: TaskResult, task: Task | None, root_start_us: int) -> list[Span]:
        """Return the span of a task and those of its calls.

        Args:
            record: What happened to it.
            task: What it was to do; None where that is not known.
            root_start_us: Start of its iteration's span.
        """
        run_id, origin = self._manifest.run_id, record.segment
        root = self._trace(record.iteration)
        span_id = task_span_id(run_id, record.task_id, record.segment, record.started_at)
        start_us = self.at_us(origin, record.scheduled_s)
        parent = Span(
            id=span_id,
            trace_id=root,
            parent_id=root,
            order=f"{order_part(root_start_us, root)}.{order_part(start_us, span_id)}",
            name=TASK,
            kind="chain",
            start_us=start_us,
            end_us=self.at_us(origin, record.ended_s),
            inputs=self._inputs(task),
            outputs=self._answer(record),
            error=None if record.error is None else self._said(record.error.type, record.error.message),
            events=tuple(("retry", self.at_us(origin, each.sent_s)) for each in record.attempts if each.wait_before_s),
            metadata=self._metadata(**self._labels(record)),
            tags=(*self._tags, record.status, *(("cached",) if record.cached else ())),
        )
        return [parent, *(self._call(record, task, parent, number) for number in range(len(record.attempts)))]

    def _trace(self, iteration: int) -> str:
        """Return the id of an iteration's trace, which each of its records asks for."""
        if iteration not in self._traces:
            self._traces[iteration] = trace_id(self._manifest.run_id, iteration)
        return self._traces[iteration]

    def _call(self, record: TaskResult, task: Task | None, parent: Span, number: int) -> Span:
        """Return the span of a record's attempt; only the last one has the answer."""
        attempt = record.attempts[number]
        is_last = number == len(record.attempts) - 1
        span_id = attempt_span_id(self._manifest.run_id, record.task_id, record.segment, record.started_at, number)
        start_us = self.at_us(record.segment, attempt.sent_s)
        first_s = attempt.first_content_s
        usage = _usage(record) if is_last and attempt.status == "ok" else None
        model = self._model(record, attempt)
        return Span(
            id=span_id,
            trace_id=parent.trace_id,
            parent_id=parent.id,
            order=f"{parent.order}.{order_part(start_us, span_id)}",
            name=CALL,
            kind="llm",
            start_us=start_us,
            end_us=self.at_us(record.segment, attempt.end_s),
            inputs=self._inputs(task, model),
            outputs=self._completion(record, model, usage) if is_last else None,
            error=None if attempt.status == "ok" else self._said(attempt.error_type, attempt.error_message),
            events=() if first_s is None else (("new_token", self.at_us(record.segment, first_s)),),
            metadata=self._metadata(**_of_call(record, task, attempt, number, model), **_present(usage_metadata=usage)),
            tags=(*self._tags, attempt.status),
        )

    def _inputs(self, task: Task | None, model: object = None) -> JsonObject | None:
        if task is None or not self._shown.inputs:
            return None
        named = {} if model is None else {"model": model}
        return {"messages": list(task.messages), **named, **task.params}

    def _answer(self, record: TaskResult) -> JsonObject | None:
        if record.content is None or not self._shown.outputs:
            return None
        return {"output": record.content, "finish_reason": record.finish_reason}

    def _completion(self, record: TaskResult, model: object, usage: JsonObject | None) -> JsonObject | None:
        """Return an answer in the form in which LangSmith shows chat models' answers; its counts are no secret."""
        if not self._shown.outputs or record.content is None:
            return None if usage is None else {"usage_metadata": usage}
        message = {"role": "assistant", "content": record.content}
        choice = {"index": 0, "finish_reason": record.finish_reason, "message": message}
        return {"choices": [choice], "model": record.server_model or model, **_present(usage_metadata=usage)}

    def _said(self, error_type: str | None, message: str | None) -> str:
        """Return why something failed; a server's message may repeat the prompt."""
        message = message if self._shown.inputs and self._shown.outputs else None
        return ": ".join(part for part in (error_type or "cancelled", message) if part)

    def _labels(self, record: TaskResult) -> JsonObject:
        """Return what a task may be searched by; its topic and chapter are what its prompt is made from."""
        of_prompt = {"topic": record.topic, "chapter": record.chapter} if self._shown.inputs else {}
        names = ("task_id", "index", "iteration", "version", "custom_id", "segment", "client", "transport", "provider")
        more = ("model", "status", "cached", "queue_s", "ttft_s", "latency_s", "service_s")
        return {
            **of_prompt,
            **{name: getattr(record, name) for name in (*names, *more)},
            "retries": max(0, len(record.attempts) - 1),
            "worker": f"{record.worker.pid}/{record.worker.thread}/{record.worker.slot}",
        }

    def _metadata(self, **more: object) -> JsonObject:
        return _present(**self._of_run, **more) if self._shown.metadata else {}

    def _model(self, record: TaskResult, attempt: Attempt) -> object:
        if attempt.provider == record.provider:
            return record.model
        return self._models.get((attempt.provider, attempt.key))


def _of_call(record: TaskResult, task: Task | None, attempt: Attempt, number: int, model: object) -> JsonObject:
    params: Mapping[str, object] = {} if task is None else task.params
    return {
        "ls_provider": attempt.provider,
        "ls_model_type": "chat",
        "ls_model_name": model,
        "ls_max_tokens": params.get("max_tokens"),
        "ls_temperature": params.get("temperature"),
        "task_id": record.task_id,
        "attempt": number,
        "provider": attempt.provider,
        "key": attempt.key,
        "client": record.client,
        "transport": record.transport,
        "http_status": attempt.http_status,
        "error_type": attempt.error_type,
        "retry_after_s": attempt.retry_after_s,
        "wait_before_s": attempt.wait_before_s,
        "connect_s": attempt.connect_s,
        "first_token_s": None if attempt.first_content_s is None else attempt.first_content_s - attempt.sent_s,
    }


def _usage(record: TaskResult) -> JsonObject | None:
    """Return the tokens in LangSmith's words, None where they were not counted."""
    used, made = record.prompt_tokens, record.completion_tokens
    if used is None and made is None:
        return None
    details = {} if record.reasoning_tokens is None else {"reasoning": record.reasoning_tokens}
    return {
        "input_tokens": used or 0,
        "output_tokens": made or 0,
        "total_tokens": (used or 0) + (made or 0),
        "output_token_details": details,
    }


def _present(**values: object) -> JsonObject:
    """Return the values that there are."""
    return {name: value for name, value in values.items() if value is not None}


def _origin_us(exact_us: int | None, label: str) -> int:
    """Return the zero of a segment's clock; records of earlier versions have it to the millisecond."""
    return exact_us if exact_us is not None else utc_us(datetime.fromisoformat(label))
