"""The simulator's answers from a plain framework: aiohttp.web on uvloop, written as one writes an application with it.

`simulator_ceiling.py` starts it as a process, with the settings as JSON for its argument. It says its port on standard
output and serves until standard input ends.
"""

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.simulator.chat import ChatRequest, read_chat
from bench.simulator.scripts import DIGEST_HOLE, IDENTITY, Piece, Scripts
from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import Lateness

_NS_PER_S: Final = 1_000_000_000
#: One chunk of HTTP around one event.
_FRAME: Final = re.compile(rb"[0-9a-f]+\r\n(data: .*\n\n)\r\n")


class Framework:
    """Answers chat completions with the simulator's texts and times; the usage at the end is left out."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._scripts = Scripts(seed=settings.seed, tokens=settings.tokens)
        self._made: dict[str, list[Piece]] = {}
        self._lateness = Lateness()
        self._seq = 0

    def application(self) -> web.Application:
        """Return the routes: answers, and the lateness since the last time somebody asked."""
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._chat), web.post("/stats/reset", self._reset)])
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        received_ns = time.perf_counter_ns()
        chat = read_chat(await request.read())
        self._seq += 1
        stamp = IDENTITY % (self._seq, int(time.time()))
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        response.enable_chunked_encoding()
        for token, piece in enumerate(self._events(chat)):
            due_ns = received_ns + round(self._due_s(token) * _NS_PER_S)
            if (wait_ns := due_ns - time.perf_counter_ns()) > 0:
                await asyncio.sleep(wait_ns / _NS_PER_S)
            if token == 0:
                await response.prepare(request)
            self._lateness.add(max(0, time.perf_counter_ns() - due_ns))
            await response.write(stamp.join(piece).replace(DIGEST_HOLE, chat.digest.encode(), 1))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _events(self, chat: ChatRequest) -> list[Piece]:
        """Return the chunks without the frames of HTTP, which the framework adds itself; made once for each text."""
        events = self._made.get(chat.digest)
        if events is None:
            script = self._scripts.script(chat)
            framed = (b"\x00".join(piece) for piece in (*script.tokens, script.finish))
            events = [_FRAME.sub(rb"\1", piece).split(b"\x00") for piece in framed]
            self._made[chat.digest] = events
        return events

    def _due_s(self, token: int) -> float:
        return self._settings.ttft_s + min(token, self._settings.tokens - 1) * self._settings.itl_s

    async def _reset(self, request: web.Request) -> web.Response:
        del request
        shown = {"p50": self._lateness.quantile_s(0.5), "p99": self._lateness.quantile_s(0.99)}
        self._lateness.clear()
        return web.json_response(shown)


def _serve(settings: SimulatorSettings) -> None:
    async def main() -> None:
        runner = web.AppRunner(Framework(settings).application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    uvloop.run(main())


if __name__ == "__main__":
    _serve(msgspec.json.decode(sys.argv[1], type=SimulatorSettings))
