"""How much of a run was answered by the cache."""

from __future__ import annotations

from dataclasses import dataclass

from bench.summary.figures import CachedCounts


@dataclass
class CachedTally:
    """Answers of the cache, counted one at a time."""

    tasks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, prompt_tokens: int | None, completion_tokens: int | None) -> None:
        """Count an answer in, with the tokens that it took when it was made; None where nobody counted them."""
        self.tasks += 1
        self.prompt_tokens += prompt_tokens or 0
        self.completion_tokens += completion_tokens or 0

    def counts(self) -> CachedCounts | None:
        """Return what was counted, None where nothing was."""
        return CachedCounts(**vars(self)) if self.tasks else None
