"""Under what an answer is kept: sha256 over everything that shapes it, as canonical JSON."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CANONICAL = msgspec.json.Encoder(order="deterministic")


def cache_key(
    *,
    base_url: str,
    model: str,
    messages: Sequence[Mapping[str, object]],
    params: Mapping[str, object],
    version: int,
    iteration: int,
) -> str:
    """Return the key (64 hex digits) of the answer to a request.

    Order in lists matters, order of keys does not, and 1, "1" and true are three values.

    Args:
        base_url: Address of the API; one slash more at its end makes no difference.
        model: The model asked for.
        messages: The chat messages.
        params: Parameters of the request body besides model, messages and stream.
        version: Which sample of the same request.
        iteration: Which repetition of the workload: a repeated measurement is not answered from the one before.
    """
    material = (base_url.rstrip("/"), model, messages, params, version, iteration)
    return hashlib.sha256(_CANONICAL.encode(material)).hexdigest()
