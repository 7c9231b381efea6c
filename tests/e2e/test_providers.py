"""Providers of a file and their keys, in real runs: who is sent which key, and where none shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tests.command import records, the_run
from tests.echoserver import ECHOES, echo_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import StartCommand

FIRST: Final = "sk-kanarie-1-0123456789"
SECOND: Final = "0kanarie2.AbCdEf0123456789"

#: A key of another name than the presets' ones have, which nothing asks for.
OTHER: Final = "hf_kanarie3"

PLAIN: Final = [f"plain {number}" for number in range(6)]


def write_providers(folder: Path, address: str) -> None:
    """Define a provider with two keys."""
    text = f'[providers.mine]\nbase_url = "{address}"\nmodel = "m"\nkeys = ["MINE_API_KEY", "MINE_TOKEN"]\n'
    (folder / "providers.toml").write_text(text, encoding="utf-8")


def test_keys_of_a_file_show_nowhere(tmp_path: Path, start: StartCommand) -> None:
    """Every key of a provider is sent to it alone, and shows in no file of the run, no report and no output, although
    the server repeats it.
    """
    (tmp_path / ".env").write_text(f"MINE_TOKEN={SECOND}\nHF_TOKEN={OTHER}\n", encoding="utf-8")
    (tmp_path / ".env").chmod(0o600)
    with echo_server() as server:
        write_providers(tmp_path, server.base_url)
        command = start(
            *("-p", "mine", "--profile", "prod", "-m", "asyncio", "--client", "lean", "-c", "4", "--no-cache"),
            *("--retries", "0", "--log-level", "debug", "--topics", *PLAIN, *ECHOES),
            cwd=tmp_path,
            env={"MINE_API_KEY": FIRST},
        )
        out, err = command.communicate(timeout=100)
        assert server.keys <= {FIRST, SECOND}
        assert server.keys
    assert "Traceback" not in err, err
    assert "kanarie" not in f"{out}{err}".lower()
    run = the_run(tmp_path / "results")
    assert {record.provider for record in records(run)} == {"mine"}
    files = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"run.json", "tasks.jsonl", "run.log", "report.html"}
    assert [path for path in files if b"kanarie" in path.read_bytes().lower()] == []
    stored = msgspec.json.decode((run / "run.json").read_bytes())
    assert (stored["config"]["provider"], stored["config"]["providers_file"]) == (["mine"], "providers.toml")


def test_a_measurement_uses_the_first_key(tmp_path: Path, start: StartCommand) -> None:
    """In profile bench a provider of the file is asked with its first key alone, and the command that repeats the run
    names the file.
    """
    with echo_server() as server:
        write_providers(tmp_path, server.base_url)
        command = start(
            *("-p", "all", "-m", "serial", "--client", "lean", "--no-report", "--topics", *PLAIN),
            cwd=tmp_path,
            env={"MINE_API_KEY": FIRST, "MINE_TOKEN": SECOND},
        )
        out, err = command.communicate(timeout=60)
        assert command.returncode == 0, err
        assert server.keys == {FIRST}
    assert "--provider mine --providers-file providers.toml" in out


def test_the_doctor_shows_no_key(tmp_path: Path, start: StartCommand) -> None:
    """What is told of each provider names the variable of its key, and holds no part of the key."""
    with echo_server() as server:
        write_providers(tmp_path, server.base_url)
        command = start("doctor", cwd=tmp_path, env={"MINE_API_KEY": FIRST, "MINE_TOKEN": SECOND})
        out, err = command.communicate(timeout=60)
        assert server.keys <= {FIRST, SECOND}
        assert server.keys
    assert "MINE_API_KEY" in out
    assert "kanarie" not in f"{out}{err}".lower()
