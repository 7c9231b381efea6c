"""The process of the local model: llama.cpp's own server, as long as standard input is open.

It is started as a file and needs nothing of the rest: `python local_server.py SETTINGS`, where SETTINGS is a JSON
object of `weights` (path), `name`, `slots`, `slot_tokens` and `threads`. It writes one line of JSON (`port`, `pid`) to
standard output when it answers, and ends at once when standard input does, so that it never outlives its parent,
however that one ends. What goes wrong goes to standard error.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import signal
import sys
import threading
from typing import Any, Final

HOST: Final = "127.0.0.1"

#: The one that measures goes first where the two want the same core.
NICENESS: Final = 5

#: Warnings and errors; one step more would write five lines a request.
VERBOSITY: Final = 2

_HEALTH_TIMEOUT_S: Final = 10.0


def main(settings: dict[str, Any]) -> None:
    """Serve until standard input ends; does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    server = serve(settings)
    port = int(server.listening_address.rsplit(":", 1)[1])
    _check_health(port)
    sys.stdout.write(json.dumps({"port": port, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def serve(settings: dict[str, Any]) -> Any:  # noqa: ANN401 - the library has no types
    """Load the model and listen; returns the server, which works in threads of its own.

    Raises:
        RuntimeError: The model cannot be loaded.
    """
    # By name, because only this process needs it, and it may not be installed where types are checked.
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = settings["weights"]
    params.model_alias = {settings["name"]}  # answers name the model by it instead of by the path
    params.hostnames = [HOST]
    params.port = 0
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["slots"] * settings["slot_tokens"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    _set_sampling(params.sampling, settings["slot_tokens"])
    # No answer is to be quicker for the ones before it.
    params.cache_prompt = False
    params.cache_idle_slots = False
    params.cache_ram_mib = 0
    # A page in a browser on this machine has no business here.
    params.cors_origins = f"http://{HOST}"
    params.cors_credentials = False
    params.ui = False
    params.verbosity = VERBOSITY
    return xllamacpp.Server(params)


def _set_sampling(sampling: Any, slot_tokens: int) -> None:  # noqa: ANN401 - the library has no types
    """Set how a token is chosen where a request does not say: else a model this small soon writes one line for ever."""
    # What its makers advise.
    sampling.temp = 0.2
    sampling.top_p = 0.9
    # Words of the last paragraph or two, and what would go on with a sequence as before, are made less likely.
    sampling.penalty_repeat = 1.1
    sampling.penalty_last_n = 256
    sampling.dry_multiplier = 0.8
    sampling.dry_allowed_length = 3
    sampling.dry_penalty_last_n = slot_tokens


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # The server's own end would wait for the answers under way, half a minute and more.
    os._exit(0)


def _check_health(port: int) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=_HEALTH_TIMEOUT_S)
    connection.request("GET", "/health")
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"the server answers {answer.status} to /health: {said[:200]!r}")


if __name__ == "__main__":
    sys.tracebacklimit = 0  # the server's own words, before the error, say more than the way to it
    main(json.loads(sys.argv[1]))
