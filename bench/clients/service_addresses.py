"""Where the streaming service is asked for texts."""

from __future__ import annotations

from typing import Final

CHAT: Final = "/chat/stream"
GENERATE: Final = "/content/generate/stream"
OPTIMIZE: Final = "/content/optimize/stream"

#: Added to each of them for a task that waits for a slot.
POOLED: Final = "/async"
