"""Prompts from a JSONL file: plain lines, and lines in the form of OpenAI's batch files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import WorkloadError
from bench.records import JsonObject, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.workload.lines import LinesFile

#: The only endpoint whose requests can be sent, at whatever version of the API.
_URL_END: Final = "/chat/completions"

#: Names of one thing in a body: if one is there, the run's --max-tokens is not added.
_TOKEN_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens"})


_FORMS: Final = (
    'a line is {"prompt": ".."} or {"custom_id": "..", "method": "POST", "url": "/v1/chat/completions", '
    '"body": {"messages": [..]}}'
)


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line in either form, before it is known which."""

    custom_id: str | None = None
    prompt: str | None = None
    system: str | None = None
    topic: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    method: str | None = None
    url: str | None = None
    body: JsonObject | None = None


class Prompts:
    """Tasks from a JSONL file.

    A line is either `{"prompt": ".."}`, with `system`, `custom_id`, `topic`, `model`, `max_tokens` and `temperature`
    if wanted, or `{"custom_id": "..", "method": "POST", "url": "/v1/chat/completions", "body": {..}}`, whose body is
    sent as it is. What a line says goes before the run's settings.

    Args:
        lines: The file.
        params: Parameters of a request that does not say otherwise.
    """

    def __init__(self, lines: LinesFile, params: JsonObject) -> None:
        self.kind = "prompts"
        self.name = lines.name
        self._lines = lines
        self._params = params
        self._decoder = msgspec.json.Decoder(_Line)

    def located(self) -> Iterator[tuple[str, Task]]:
        """Yield a task for each line that is not blank.

        Raises:
            WorkloadError: A line is not of one of the forms, or cannot be read; the message names it.
        """
        for index, (number, text) in enumerate(self._lines):
            place = f"{self.name}, line {number}"
            try:
                task = self._task(index, self._decoder.decode(text))
            except (msgspec.MsgspecError, UnicodeError, RecursionError, _WrongLineError) as error:
                raise WorkloadError(f"{place}: {_reason(error)}", _FORMS) from error
            yield place, task

    def _task(self, index: int, line: _Line) -> Task:
        if line.body is None:
            return self._plain(index, line)
        plain = [
            name
            for name in ("prompt", "system", "topic", "model", "max_tokens", "temperature")
            if getattr(line, name) is not None
        ]
        if plain:
            raise _WrongLineError(
                f"{plain[0]} does not go together with body; a request in the batch form has all in its body"
            )
        return self._batch(index, line, line.body)

    def _plain(self, index: int, line: _Line) -> Task:
        if line.prompt is None:
            raise _WrongLineError("neither prompt nor body")
        if line.method is not None or line.url is not None:
            raise _WrongLineError("method and url belong to the batch form, which has a body")
        if not line.prompt.strip():
            raise _WrongLineError("the prompt is blank")
        own: JsonObject = {
            name: value for name in ("max_tokens", "temperature") if (value := getattr(line, name)) is not None
        }
        messages: list[JsonObject] = [] if line.system is None else [{"role": "system", "content": line.system}]
        messages.append({"role": "user", "content": line.prompt})
        return Task(
            index=index,
            messages=tuple(messages),
            params=self._params | own,
            model=line.model,
            topic=line.topic,
            custom_id=line.custom_id,
        )

    def _batch(self, index: int, line: _Line, body: JsonObject) -> Task:
        if line.method not in {None, "POST"}:
            raise _WrongLineError(f"method must be POST, got {line.method!r}")
        if line.url is not None and not line.url.endswith(_URL_END):
            raise _WrongLineError(f"url must be /v1{_URL_END}, got {line.url!r}")
        messages, model = _checked(body)
        own = {name: value for name, value in body.items() if name not in {"messages", "model", "n"}}
        default = {
            name: value
            for name, value in self._params.items()
            if not (name in _TOKEN_LIMITS and _TOKEN_LIMITS & own.keys())
        }
        return Task(index=index, messages=messages, params=default | own, model=model, custom_id=line.custom_id)


class _WrongLineError(ValueError):
    """What is wrong with a line, before its place is known."""


def _reason(error: Exception) -> str:
    """Say what is wrong with a line that could not be read."""
    if isinstance(error, msgspec.ValidationError | _WrongLineError):
        return str(error)
    return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"


def _checked(body: JsonObject) -> tuple[tuple[JsonObject, ...], str | None]:
    """Return a body's messages and model, or refuse what would not be one answer to one request."""
    if not (body.get("n") is None or body["n"] == 1):
        raise _WrongLineError(
            f"a task has one answer, got n = {body['n']!r}; leave n out, and use --iterations for more"
        )
    for name in ("stream", "stream_options"):
        if name in body:
            raise _WrongLineError(f"{name} is not a line's to say; leave it out, and use --stream or --no-stream")
    model = body.get("model")
    if model is not None and not (isinstance(model, str) and model):
        raise _WrongLineError(f"body.model must be a name, got {model!r}")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _WrongLineError("body.messages must be a list of at least one message")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _WrongLineError(f"message {number} of body.messages must be an object with a role")
    return tuple(messages), model
