"""Keys are sent to whom they are for, and show nowhere else: not in files, output, pictures or the process list."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import psutil
import pytest

from tests.command import records, start, the_run
from tests.echoserver import ECHOES, HELD, echo_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.records import Mode
    from tests.command import StartCommand

#: Keys as providers give them, each holding a word that stands nowhere else.
OPENAI_LIKE: Final = "sk-proj-kanarie0123456789ABCDEFabcdef"
ZHIPU_LIKE: Final = "0kanarie123456789abcdef0123456789.AbCdEf0123456789"
ODD: Final = "kanarie+/=:&<key>%41~with,odd;characters"

#: A topic that the server answers as it should.
PLAIN: Final = "nowhere"

#: Keys of providers that the run does not ask.
OTHERS: Final = {
    "BIGMODEL_API_KEY": "other-kanarie-1",
    "OPENAI_API_KEY": "sk-other-kanarie-2",
    "LANGSMITH_API_KEY": "lsv2-other-kanarie-3",
}

#: Settings of libraries that would make them tell everything that they send.
TALKATIVE: Final = {"OPENAI_LOG": "debug", "PYTHONASYNCIODEBUG": "1", "HTTPX_LOG_LEVEL": "trace"}


def hits(data: bytes) -> list[str]:
    """Return where a canary shows in these bytes, with what is around it."""
    found = []
    at = data.lower().find(b"kanarie")
    while at >= 0:
        found.append(data[max(0, at - 60) : at + 60].decode(errors="replace"))
        at = data.lower().find(b"kanarie", at + 1)
    return found


def chunks(png: bytes) -> Iterator[str]:
    """Yield the kinds of a picture's chunks; words stand in tEXt, zTXt and iTXt."""
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8].decode()
        at += 12 + length


@pytest.mark.parametrize(
    ("mode", "client", "key", "source"),
    [
        ("asyncio", "lean", ODD, "environment"),
        ("multiprocessing", "lean", ZHIPU_LIKE, "file"),
        pytest.param("threading", "openai", ODD, "file", marks=pytest.mark.full),
        pytest.param("asyncio", "openai", OPENAI_LIKE, "environment", marks=pytest.mark.full),
        pytest.param("hybrid", "openai", ZHIPU_LIKE, "environment", marks=pytest.mark.full),
        pytest.param("threading", "lean", OPENAI_LIKE, "environment", marks=pytest.mark.full),
    ],
)
def test_f50_a_key_that_the_server_repeats_shows_nowhere(
    mode: Mode, client: str, key: str, source: str, tmp_path: Path, start: StartCommand
) -> None:
    """Whatever a server echoes, records, logs at debug, report, pictures and both outputs hold no part of any key."""
    settings = tmp_path / "keys.env"
    settings.write_text(f"CONCURRENT_API_KEY='{key}'\n" if source == "file" else "", encoding="utf-8")
    settings.chmod(0o600)
    env = {**OTHERS, **TALKATIVE} | ({"CONCURRENT_API_KEY": key} if source == "environment" else {})
    work = tmp_path / "work"
    work.mkdir()
    with echo_server() as server:
        command = start(
            *("-m", mode, "--client", client, "--base-url", server.base_url, "--model", "m", "-c", "4"),
            *("--retries", "1", "--retry-delay", "0", "--log-level", "debug", "--env-file", str(settings)),
            *("--output", str(work / "all.json"), "--topics", *ECHOES, PLAIN),
            cwd=work,
            env=env,
        )
        out, err = command.communicate(timeout=100)
        assert server.keys == {key}
    assert command.returncode == 1, err
    assert hits(f"{out}\n{err}".encode()) == []
    run = the_run(work / "results")
    kept = records(run)
    assert {record.topic: record.status for record in kept} == {
        PLAIN: "ok",
        **dict.fromkeys(ECHOES, "failed"),
    }
    # What stands in the key's place shows that it was quoted.
    assert sum("****" in (record.error.message if record.error else "") for record in kept) >= 5
    files = [path for path in work.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"run.json", "tasks.jsonl", "run.log", "report.html", "all.json"}
    for path in files:
        data = path.read_bytes()
        assert hits(data) == [], path
        if path.suffix == ".png":
            assert set(chunks(data)) <= {"IHDR", "pHYs", "IDAT", "IEND", "PLTE", "tRNS"}, path
    assert not any(quote(key, safe="").encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize("mode", ["multiprocessing", "hybrid", "distributed"])
def test_f50_the_process_list_holds_no_key(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """No command line holds a key, and no process that the run starts has one in its environment."""
    with echo_server() as server:
        command = start(
            *("-m", mode, "--client", "lean", "--base-url", server.base_url, "--model", "m", "-c", "2", "--canary"),
            *("--no-report", "--topics", HELD, HELD),
            cwd=tmp_path,
            env={**OTHERS, "CONCURRENT_API_KEY": OPENAI_LIKE},
        )
        assert server.waiting.wait(60)
        family = psutil.Process(command.pid).children(recursive=True)
        # Fork server, its tracker, the canary's server, and the workers, or nodes and their host.
        assert len(family) >= 5
        lines = [" ".join(each.cmdline()) for each in (*family, psutil.Process(command.pid))]
        environments = [f"{each.environ()}" for each in family]
        server.let_go.set()
        _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert hits("\n".join(lines).encode()) == []
    assert [hits(each.encode()) for each in environments] == [[]] * len(environments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--api-key", OPENAI_LIKE),
        (f"--api-key={OPENAI_LIKE}",),
        ("--bigmodel-api-key", ZHIPU_LIKE),
        ("--base-url", f"https://{OPENAI_LIKE}@h.example/v1", "--model", "m"),
        ("--base-url", f"https://h.example/v1?key={OPENAI_LIKE}", "--model", "m"),
        ("--simulator", f"api_key={OPENAI_LIKE}", "-p", "simulator"),
    ],
)
def test_f50_a_key_in_the_arguments_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A key among the arguments ends the command with 2, is not repeated, and nothing is written."""
    with start(*arguments, "--topics", "甲", cwd=tmp_path) as command:
        out, err = command.communicate(timeout=30)
    assert command.returncode == 2, err
    assert hits(f"{out}\n{err}".encode()) == []
    assert list(tmp_path.iterdir()) == []


def test_f50_plain_http_to_another_machine_is_refused(tmp_path: Path) -> None:
    """Without being asked for, a key does not go over plain http to another machine, and the option is named."""
    arguments = ("--base-url", "http://192.0.2.1/v1", "--model", "m", "--topics", "甲")
    with start(*arguments, cwd=tmp_path, env={"CONCURRENT_API_KEY": OPENAI_LIKE}) as command:
        _, err = command.communicate(timeout=30)
    assert command.returncode == 2
    assert "--allow-insecure-http" in err
    assert hits(err.encode()) == []
