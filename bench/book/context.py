"""Whether a book's requests fit into a model's context, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.book.coherence import SUMMARY_TOKENS
from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.book.records import Coherence
    from bench.records import JsonObject, Task

#: What the words around the texts of the second pass take, and what a chat template puts around messages.
_WORDS_BETWEEN_TOKENS: Final = 160


def check_context(
    tasks: Iterable[Task],
    count: Callable[[tuple[JsonObject, ...]], int],
    *,
    context_tokens: int,
    coherence: Coherence,
) -> None:
    """Refuse prompts that leave no room for their answers.

    The second pass's prompts are not known yet: of them it is what they can be at most.

    Args:
        tasks: The tasks of the first pass.
        count: Returns the tokens that messages are, with all that the model's chat template adds.
        context_tokens: What prompt and answer may be together.
        coherence: Whether there is a second pass.

    Raises:
        ConfigError: A prompt and its answer do not fit; names chapter, tokens and limit.
    """
    for task in tasks:
        prompt = count(task.messages)
        wanted = task.params.get("max_tokens")
        answer = wanted if isinstance(wanted, int) else 1
        more = answer + 2 * SUMMARY_TOKENS + _WORDS_BETWEEN_TOKENS if coherence == "summary" else 0
        if prompt + more + answer > context_tokens:
            raise _too_long(task, prompt, more, context_tokens)


def _too_long(task: Task, prompt: int, more: int, context_tokens: int) -> ConfigError:
    answer = task.params.get("max_tokens") or 1
    second = f", the second pass adds up to {more}" if more else ""
    # With a second pass the answer counts twice: the first text is part of the next prompt.
    rest = context_tokens - prompt - (2 * SUMMARY_TOKENS + _WORDS_BETWEEN_TOKENS if more else 0)
    room = rest // 2 if more else rest
    hint = f"lower --max-tokens to {room} at most" if room > 0 else "shorten the outline"
    return ConfigError(
        f"chapter {task.index + 1} ({task.chapter!r}) does not fit: its prompt has {prompt} tokens{second}, its answer "
        f"may have {answer}, and the model holds {context_tokens} in all",
        f"{hint}, or ask a larger model",
    )
