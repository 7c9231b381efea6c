"""Server-sent events with the chunks of a chat completion, split and read into a Collector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.clients._lean_loose import Loose
from bench.clients._limits import BYTE_ORDER_MARK, MAX_EVENT_BYTES
from bench.clients._read import take_chunk
from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._collect import Collector
    from bench.clients._translate import Translator


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _Details(msgspec.Struct, gc=False):
    reasoning_tokens: Any = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    completion_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


#: Made once: it has no state.
_DECODER: Final = msgspec.json.Decoder(_Chunk)

_FIELD: Final = b"data: "
_FIRST: Final = b"data: {"
_NEXT: Final = b"\n\ndata: {"
_END: Final = b"\n\ndata: [DONE]\n\n"


class Events:
    """The events of one stream; fed with its bytes in whatever pieces they come.

    A chunk of the usual form is decoded straight into its few interesting fields. One of any other form is looked at
    again as the SDK would, and judged by the same code.

    Args:
        collector: Takes the chunks.
        translator: Words what is wrong with them.
    """

    __slots__ = (
        "_begun",
        "_collector",
        "_data",
        "_more",
        "_more_bytes",
        "_partial",
        "_partial_bytes",
        "_translator",
        "done",
    )

    def __init__(self, collector: Collector, translator: Translator) -> None:
        self._collector = collector
        self._translator = translator
        self._begun = False
        #: The beginning of a line whose end has not come.
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        #: The data of an event whose end has not come: its first line, and further ones.
        self._data: bytes | None = None
        self._more: list[bytes] = []
        self._more_bytes = 0
        self.done = False

    def feed(self, reads: list[tuple[int, bytes]]) -> None:
        """Take the next bytes, each piece with the instant of its read; after the event that ends the stream, none.

        Raises:
            CallError: An event is no chunk, or too long.
        """
        if not self._take_usual(reads):
            for now_ns, block in reads:
                self._feed(now_ns, block)

    def finish(self, now_ns: int) -> None:
        """Take the stream's end; an event whose end has not come is dropped, as the format has it.

        Raises:
            CallError: The last event is no chunk.
        """
        if self._partial and self._partial[-1].endswith(b"\r"):
            self._feed(now_ns, b"\n")

    def _feed(self, now_ns: int, block: bytes) -> None:
        if self.done:
            return
        if b"\n" not in block and b"\r" not in block:
            self._hold(block)
            return
        if self._partial:
            block = b"".join((*self._partial, block))
            self._partial.clear()
            self._partial_bytes = 0
        if not self._begun:
            self._begun = True
            block = block.removeprefix(BYTE_ORDER_MARK)
        self._take_lines(now_ns, self._whole_lines(block))

    def _hold(self, part: bytes) -> None:
        self._partial.append(part)
        self._partial_bytes += len(part)
        if self._partial_bytes > MAX_EVENT_BYTES:
            raise CallError("too_large", f"a line of the stream is longer than {MAX_EVENT_BYTES // 1024} KiB")

    def _whole_lines(self, block: bytes) -> list[bytes]:
        """Return the lines that have ended, and hold the beginning of the next one."""
        end = block.rfind(b"\n") + 1
        if b"\r" in block:
            # One that stands last may be the first half of a CRLF.
            end = max(end, block.rfind(b"\r", 0, -1) + 1)
        if end < len(block):
            self._hold(block[end:])
            block = block[:end]
        return block.splitlines()

    def _take_usual(self, reads: list[tuple[int, bytes]]) -> bool:
        """Take reads of whole events of a line each at once, the way nearly all come; return False where one is not.

        JSON holds no raw line end, so that what stands between two chunks can be cut out without looking into them.
        """
        if self._partial or self._data is not None or self.done:
            return False
        block = reads[0][1] if len(reads) == 1 else b"".join([body for _, body in reads])
        if block[:7] != _FIRST or block[-2:] != b"\n\n" or b"\r" in block:
            return False
        ends = block.endswith(_END)
        events = block[6 : -len(_END) if ends else None].split(_NEXT)
        try:
            chunks = _DECODER.decode_lines(b"\n{".join(events))
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return False
        # More chunks than events: a line that is no field of the format would have been taken for one.
        instants = _instants(reads, len(events))
        if not len(chunks) == len(events) == len(instants) or not self._take_chunks(instants, chunks):
            return False
        self._begun = True
        self.done = ends
        return True

    def _take_chunks(self, instants: list[int], chunks: list[_Chunk]) -> bool:
        """Take chunks, each with its instant; none of them, and return False, where one has an error."""
        texts: list[str] = []
        usages: list[_Usage] = []
        content_ns: list[int] = []
        finish_reason = None
        for now_ns, chunk in zip(instants, chunks, strict=True):
            if chunk.error:
                return False
            if choices := chunk.choices:
                choice = choices[0]
                delta = choice.delta
                if text := delta.content:
                    texts.append(text)
                    content_ns.append(now_ns)
                elif delta.reasoning_content or delta.reasoning:
                    content_ns.append(now_ns)
                finish_reason = choice.finish_reason or finish_reason
            if chunk.usage is not None:
                usages.append(chunk.usage)
        self._collector.on_chunks(instants[0], content_ns, texts, finish_reason)
        self._collector.server_model = chunks[-1].model or self._collector.server_model
        for usage in usages:
            self._take_usage(usage)
        return True

    def _take_lines(self, now_ns: int, lines: list[bytes]) -> None:
        for line in lines:
            if line[:5] == b"data:":
                if self._data is None:
                    self._data = line[5:]
                else:
                    self._add(line[5:])
            elif not line and self._data is not None:
                data, self._data = self._data, None
                if self._more:
                    data = b"\n".join((data, *self._more))
                    self._more.clear()
                    self._more_bytes = 0
                self._take_data(now_ns, data)
                if self.done:
                    return

    def _add(self, line: bytes) -> None:
        self._more.append(line)
        self._more_bytes += len(line) + 1
        if self._more_bytes > MAX_EVENT_BYTES:
            raise CallError("too_large", f"an event of the stream is longer than {MAX_EVENT_BYTES // 1024} KiB")

    def _take_data(self, now_ns: int, data: bytes) -> None:
        try:
            chunk = _DECODER.decode(data)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            self._look_again(now_ns, data)
            return
        if chunk.error:
            self._look_again(now_ns, data)
            return
        if chunk.choices:
            choice = chunk.choices[0]
            delta = choice.delta
            reasoning = delta.reasoning_content or delta.reasoning
            self._collector.on_chunk(now_ns, delta.content, reasoning, choice.finish_reason)
        else:
            self._collector.on_chunk(now_ns, None, None, None)
        self._collector.server_model = chunk.model or self._collector.server_model
        if chunk.usage is not None:
            self._take_usage(chunk.usage)

    def _take_usage(self, usage: _Usage) -> None:
        details = usage.completion_tokens_details
        reasoning_tokens = details.reasoning_tokens if details else None
        self._collector.on_usage(usage.prompt_tokens, usage.completion_tokens, reasoning_tokens)

    def _look_again(self, now_ns: int, data: bytes) -> None:
        """Take an event that is the stream's end, an error, or of an unusual form."""
        if data.removeprefix(b" ").startswith(b"[DONE]"):
            self.done = True
            return
        try:
            fields = json.loads(data.decode())
        except (ValueError, RecursionError) as error:
            raise self._translator.undecodable(error, stream=True) from error
        if isinstance(fields, dict) and fields.get("error"):
            raise self._translator.in_200(fields["error"])
        take_chunk(Loose(fields) if isinstance(fields, dict) else fields, self._collector, now_ns)


def _instants(reads: list[tuple[int, bytes]], events: int) -> list[int]:
    """Return of each event in `reads`, `events` in all, when it came; another number where one spans two reads."""
    if len(reads) == 1:
        return [reads[0][0]] * events
    instants: list[int] = []
    for now_ns, body in reads:
        if body[:6] != _FIELD or body[-2:] != b"\n\n":
            return []
        # A text that quotes the format is counted too.
        instants += [now_ns] * body.count(_FIRST)
    return instants
