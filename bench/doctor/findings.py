"""What was found, as records: one for each thing that was looked at, and one for each provider and key."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.errors import ErrorType

#: `missing` is what a run needs and would not find.
Level = Literal["ok", "note", "missing"]

KeyState = Literal["set", "not set", "not needed", "unusable"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a run needs.

    Attributes:
        name: What was looked at.
        level: How it is.
        said: What was found.
        advice: What to do, or an empty text.
    """

    name: str
    level: Level
    said: str
    advice: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one tiny request.

    Attributes:
        latency_s: From sending it, a connection made for it included, to the end of its answer or its failure.
        connect_s: The part of it that the connection took; None where there came to be none.
        http_status: Status of the answer; None where there was none.
        error_type: Why it is none; None for an answer.
        error: The same in words.
    """

    latency_s: float
    connect_s: float | None
    http_status: int | None
    error_type: ErrorType | None = None
    error: str | None = None


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """A provider with one of its keys, or without one.

    Attributes:
        provider: Its name.
        model: The model that is asked for.
        key: Which of its keys, from 1; None without one.
        key_state: Whether there is one.
        key_variables: The variables that may hold its keys; never what they hold.
        level: How it is.
        answer: What it answered; None where it was not asked.
        note: What else there is to know, or an empty text.
        price_in: Price of a million tokens of prompts; None where it is not known, as for the next one.
        price_out: Price of a million tokens of answers.
        currency: What both prices are in.
    """

    provider: str
    model: str
    key: int | None
    key_state: KeyState
    key_variables: tuple[str, ...]
    level: Level
    answer: Answer | None
    note: str
    price_in: float | None
    price_out: float | None
    currency: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found.

    Attributes:
        ok: Whether nothing is missing that a run needs.
        machine: What was found out about this machine.
        providers: What was found out about the providers.
    """

    ok: bool
    machine: tuple[Finding, ...]
    providers: tuple[ProviderRow, ...]
