"""What makes two wishes the same: the key that a client gives, and the wish itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from bench.service.values import Wish

_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode


class Key(msgspec.Struct, frozen=True, gc=False):
    """An idempotency key: whose, and which."""

    user_id: str
    key: str


def key_of(wish: Wish) -> Key | None:
    """Return the key of a wish, if it has one."""
    return None if wish.idempotency_key is None else Key(wish.user_id, wish.idempotency_key)


def digest_of(wish: Wish) -> str:
    """Return what tells one wish from another, in 64 hex digits."""
    return hashlib.sha256(_ENCODE((wish.kind, wish.path, wish.messages, wish.params))).hexdigest()
