"""Between records, the cache and the pool of routes: what each knows of an answer, in the words of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.cache import CachedAnswer
from bench.clients._base import Reply
from bench.policy.pool import Outcome

if TYPE_CHECKING:
    from bench.records import Attempt, Task, TaskResult

#: A token is rarely less than so many characters of English, and rarely more than one of Chinese.
_CHARACTERS_PER_TOKEN: Final = 3

#: What an answer is taken to need where nobody bounds it.
_UNBOUNDED_TOKENS: Final = 1024


def outcome_of(attempt: Attempt, result: TaskResult | None, *, retried: bool, beaten: bool) -> Outcome:
    """Return what a call tells about its route.

    Args:
        attempt: The call.
        result: The record that it decided, if it did.
        retried: Whether it followed a refusal of the same task.
        beaten: Whether it was the first of a race that another one won.
    """
    tokens = None
    if result is not None and result.completion_tokens is not None:
        tokens = result.completion_tokens + (result.prompt_tokens or 0)
    first_s = attempt.first_content_s
    return Outcome(
        status=attempt.status,
        latency_s=attempt.end_s - attempt.sent_s,
        error_type=attempt.error_type,
        retry_after_s=attempt.retry_after_s,
        ttft_s=None if first_s is None else first_s - attempt.sent_s,
        tokens=tokens,
        retried=retried,
        beaten=beaten,
        said=attempt.rate_limits or None,
    )


def answer_of(result: TaskResult) -> CachedAnswer | None:
    """Return what is worth keeping of a record: a whole answer, or nothing."""
    if result.status != "ok" or result.content is None or result.finish_reason is None:
        return None
    # The fields of all three have the same names.
    answer = msgspec.convert(result, CachedAnswer, from_attributes=True)
    return answer if answer.storable else None


def reply_of(answer: CachedAnswer, now_ns: int) -> Reply:
    """Return a kept answer as if it had come just now."""
    return msgspec.convert({**msgspec.structs.asdict(answer), "sent_ns": now_ns, "end_ns": now_ns}, Reply)


def estimated_tokens(task: Task) -> int:
    """Return how many tokens prompt and answer may come to, before anybody has counted."""
    characters = sum(len(str(message.get("content", ""))) for message in task.messages)
    bound = next((task.params[name] for name in ("max_completion_tokens", "max_tokens") if name in task.params), None)
    return characters // _CHARACTERS_PER_TOKEN + (bound if isinstance(bound, int) else _UNBOUNDED_TOKENS)
