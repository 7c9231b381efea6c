"""The numbers of a run, derived from its journal and nothing else, so that each can be recomputed."""

from bench.summary.figures import Summary
from bench.summary.tally import summarise

__all__ = ["Summary", "summarise"]
