"""Environment and env file: which goes before which, and what is said about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.cli.arguments import parse
from bench.cli.envfile import find_env_file, read_env_file
from bench.cli.layers import Layers, origin_hint
from bench.cli.options import config_from
from bench.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A current directory, in a directory with an env file of its own."""
    (tmp_path / ".env").write_text("CONCURRENT_SEED=666\n", encoding="utf-8")
    (tmp_path / "inner").mkdir()
    return tmp_path / "inner"


def settings_of(folder: Path, *argv: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the settings that arguments, environment and the files of a folder give."""
    return dict(parse(argv, Layers(env or {}, folder)).settings)


def refusal(folder: Path, *argv: str, env: dict[str, str] | None = None) -> tuple[ConfigError, str]:
    """Return the error with which they are refused, and where its settings come from."""
    layers = Layers(env or {}, folder)
    with pytest.raises(ConfigError) as refused:
        config_from(parse(argv, layers).settings)
    return refused.value, origin_hint(refused.value.message, layers.origins)


def test_precedence(folder: Path) -> None:
    """An option goes before the environment, the environment before the env file, and that before the default."""
    assert settings_of(folder)["seed"] == 0
    (folder / ".env").write_text("CONCURRENT_SEED=1\n", encoding="utf-8")
    assert settings_of(folder)["seed"] == 1
    assert settings_of(folder, env={"CONCURRENT_SEED": "2"})["seed"] == 2
    assert settings_of(folder, "--seed", "3", env={"CONCURRENT_SEED": "2"})["seed"] == 3


def test_one_file(folder: Path) -> None:
    """Of the env files one is read: the one that is named, else concurrent_config.env, else .env; no parent's ever."""
    assert find_env_file(folder) is None
    for name, seed in ((".env", 1), ("concurrent_config.env", 2), ("named.env", 3), ("other.env", 4)):
        (folder / name).write_text(f"CONCURRENT_SEED={seed}\nCONCURRENT_RETRIES={seed}\n", encoding="utf-8")
    (folder / "concurrent_config.env").write_text("CONCURRENT_SEED=2\n", encoding="utf-8")
    assert (settings_of(folder)["seed"], settings_of(folder)["retries"]) == (2, 3)
    assert settings_of(folder, "--env-file", str(folder / "named.env"))["seed"] == 3
    env = {"CONCURRENT_ENV_FILE": str(folder / "other.env")}
    assert settings_of(folder, env=env)["seed"] == 4
    assert settings_of(folder, "--env-file", str(folder / "named.env"), env=env)["seed"] == 3


def test_empty_values_count_for_nothing(folder: Path) -> None:
    """An empty variable neither sets an option nor hides what a file says."""
    (folder / ".env").write_text("CONCURRENT_SEED=1\nCONCURRENT_MODE=\n", encoding="utf-8")
    assert settings_of(folder, env={"CONCURRENT_SEED": ""})["seed"] == 1
    assert settings_of(folder)["mode"] == "asyncio"


def test_keys_come_from_both(folder: Path) -> None:
    """Keys are those of the environment over those of the file, and the environment stays as it is."""
    (folder / ".env").write_text("BIGMODEL_API_KEY=file\nOPENAI_API_KEY=file\n", encoding="utf-8")
    env = {"OPENAI_API_KEY": "environment", "ARK_API_KEY": ""}
    layers = Layers(env, folder)
    parse([], layers)
    assert layers.values == {"BIGMODEL_API_KEY": "file", "OPENAI_API_KEY": "environment"}
    assert env == {"OPENAI_API_KEY": "environment", "ARK_API_KEY": ""}


def test_lists_are_json(folder: Path) -> None:
    """A list in a variable is a JSON array, so that a topic may hold blanks and begin with a dash."""
    topics = ["AI 技术", "-5度", 'quote"']
    assert settings_of(folder, env={"CONCURRENT_TOPICS": json.dumps(topics)})["topics"] == tuple(topics)


@pytest.mark.parametrize("value", ["ark openai", " ark  openai ", '["ark", "openai"]'])
def test_names_of_providers_are_words(folder: Path, value: str) -> None:
    """A name holds no blank, so that a variable may give several as words, or one alone, as well as in JSON."""
    assert settings_of(folder, env={"CONCURRENT_PROVIDER": value})["provider"] == ("ark", "openai")
    assert settings_of(folder, env={"CONCURRENT_PROVIDER": "ark"})["provider"] == ("ark",)


@pytest.mark.parametrize("value", ["A B", "A,B", '"A"', '{"A": 1}', "[1]", '["A"', "[null]"])
def test_other_lists_are_refused(folder: Path, value: str) -> None:
    """A list in any other form is refused by the variable's name, with an example, instead of being split somewhere."""
    error, _ = refusal(folder, env={"CONCURRENT_TOPICS": value})
    assert "CONCURRENT_TOPICS in the environment must be a JSON array" in error.message
    assert '["A", "B"]' in error.message


@pytest.mark.parametrize(
    ("argv", "env", "changed"),
    [
        (["--prompts", "f"], {"CONCURRENT_TOPICS": '["A"]', "CONCURRENT_TOPICS_FILE": "g"}, {"prompts": Path("f")}),
        (["--base-url", "http://127.0.0.1/v1"], {"CONCURRENT_PROVIDER": "openai"}, {"base_url": "http://127.0.0.1/v1"}),
        (["-p", "local"], {"CONCURRENT_BASE_URL": "x"}, {"provider": ("local",)}),
        (["-p", "local"], {"CONCURRENT_SIMULATOR": '["ttft=1"]'}, {"provider": ("local",)}),
        (["-p", "simulator"], {"CONCURRENT_SIMULATOR": '["a=1"]'}, {"provider": ("simulator",), "simulator": ("a=1",)}),
        (["-m", "serial"], {"CONCURRENT_CONCURRENCY": "64"}, {"mode": "serial"}),
        (["-p", "local", "ark"], {"CONCURRENT_MODEL": "m"}, {"provider": ("local", "ark")}),
        (["-p", "ark"], {"CONCURRENT_MODEL": "m"}, {"provider": ("ark",), "model": "m"}),
        (["--profile", "bench"], {"CONCURRENT_RACE": "true", "CONCURRENT_CACHE": "true"}, {"profile": "bench"}),
        (["-m", "threading"], {"CONCURRENT_CONCURRENCY": "64"}, {"mode": "threading", "concurrency": 64}),
    ],
)
def test_an_option_silences_what_contradicts_it(
    folder: Path, argv: list[str], env: dict[str, str], changed: dict[str, Any]
) -> None:
    """A standing setting that excludes what an option asks for steps back instead of failing the command."""
    assert settings_of(folder, *argv, env=env) == {**settings_of(folder), **changed}


def test_contradictions_in_one_layer_are_told(folder: Path) -> None:
    """Two settings of one place that exclude each other are refused, and the places are named."""
    error, origin = refusal(folder, env={"CONCURRENT_MODE": "serial", "CONCURRENT_CONCURRENCY": "2"})
    assert "--mode serial" in error.message
    assert "CONCURRENT_MODE in the environment" in origin
    assert "CONCURRENT_CONCURRENCY in the environment" in origin


def test_origin_of_a_wrong_value(folder: Path) -> None:
    """A wrong value names the variable that holds it, and the file where it stands in one."""
    path = folder / ".env"
    path.write_text("CONCURRENT_CONCURRENCY=0\n", encoding="utf-8")
    error, origin = refusal(folder)
    assert "--concurrency must be at least 1" in error.message
    assert origin == f"set by CONCURRENT_CONCURRENCY in {path}"
    error, _ = refusal(folder, env={"CONCURRENT_CONCURRENCY": "many"})
    assert "CONCURRENT_CONCURRENCY" in error.message
    error, _ = refusal(folder, "-c", "1", env={"CONCURRENT_MODE": "bogus"})
    assert "CONCURRENT_MODE" in error.message


@pytest.mark.parametrize("command", ["simulate", "demo"])
def test_some_commands_read_no_layer(folder: Path, command: str) -> None:
    """A setting of runs does not leak into a command that has another of its name."""
    assert settings_of(folder, command, env={"CONCURRENT_SEED": "5"})["seed"] == 0


def test_a_report_takes_its_folder_from_the_layers(folder: Path) -> None:
    """A report looks for runs where runs are kept, and is not held up by settings of runs that are wrong."""
    env = {"CONCURRENT_RESULTS_DIR": "kept", "CONCURRENT_MODE": "bogus"}
    assert settings_of(folder, "report", "x", env=env)["results_dir"] == Path("kept")


def warnings_of(folder: Path, text: str | bytes = "", *, env: dict[str, str] | None = None, mode: int = 0o600) -> str:
    """Return the warnings about an env file and an environment, one a line."""
    path = folder / ".env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    layers = Layers(env or {}, folder)
    parse([], layers)
    return "\n".join(layers.warnings)


def test_f51_unknown_names_are_told(folder: Path) -> None:
    """A name that nothing reads is told, by name only, from the file and, with our prefix, from the environment."""
    said = warnings_of(
        folder,
        "CONCURRENT_MAX_TOKEN=canary\nBIGMODEL_APIKEY=canary\nLANGSMITH_TRACING=true\nWRITER_MAX_PARALLEL_REQUESTS=3\n",
        env={"CONCURRENT_CONCURENCY": "canary", "HOME": "/", "CONCURRENT_API_KEY": "canary"},
    )
    assert "CONCURRENT_MAX_TOKEN, BIGMODEL_APIKEY" in said
    assert "the environment: unknown names, ignored: CONCURRENT_CONCURENCY" in said
    assert not any(name in said for name in ("canary", "LANGSMITH", "WRITER", "HOME", "API_KEY"))


def test_further_keys_are_known(folder: Path) -> None:
    """A provider's second key is no unknown name; any other key's name is one unless a providers' file may name it."""
    text = "BIGMODEL_API_KEY_2=canary\nMINE_TOKEN=canary\n"
    assert "unknown names, ignored: MINE_TOKEN" in warnings_of(folder, text)
    assert warnings_of(folder, text, env={"CONCURRENT_PROVIDERS_FILE": "f"}) == ""
    assert warnings_of(folder, f"{text}CONCURRENT_PROVIDERS_FILE=f\n") == ""
    (folder / "providers.toml").write_text("", encoding="utf-8")
    assert warnings_of(folder, text) == ""
    assert "unknown names, ignored: MINE_TOKE" in warnings_of(folder, "MINE_TOKE=canary\n")
    assert "chmod 600" in warnings_of(folder, text, mode=0o644)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CONCURRENT_SEED=1\nfoo bar\n", "line 2: not KEY=VALUE"),
        ("CONCURRENT_MODEL='canary\nCONCURRENT_SEED=1\n", "line 1: not KEY=VALUE"),
        ('CONCURRENT_MODEL="canary\nCONCURRENT_SEED=1\nCONCURRENT_RETRIES="1"\n', "lines 1 to 3"),
        ("\n\nCONCURRENT_MODEL='can\nary'\n", "line 3: the value of CONCURRENT_MODEL goes on"),
        ("CONCURRENT_SEED=1\nCONCURRENT_SEED=2\n", "more than once, the last one counts: CONCURRENT_SEED"),
        ("CONCURRENT_MODEL=\n", "empty, ignored: CONCURRENT_MODEL"),
        ("# fine\n\nsk-canary\n", "line 3: no = in it"),
    ],
)
def test_f51_odd_lines_are_told(folder: Path, text: str, said: str) -> None:
    """What a file loses or holds twice is told by line number and name, never by content."""
    told = warnings_of(folder, text)
    assert said in told
    assert "canary" not in told


def test_a_clean_file_is_not_talked_about(folder: Path) -> None:
    """A file in order gives no warning; comments, quotes, export, CRLF and a byte order mark are in order."""
    data = "\ufeff# comment\r\nexport CONCURRENT_SEED='1'\r\n\r\nCONCURRENT_MODEL=a#b # rest\r\n".encode()
    assert warnings_of(folder, data) == ""
    assert settings_of(folder)["model"] == "a#b"


@pytest.mark.parametrize("value", ["$HOME", "${HOME}", "'${HOME}'", '"${HOME}"'])
def test_f51_nothing_is_replaced(folder: Path, value: str) -> None:
    """A dollar in a value, such as a key, stands for itself."""
    (folder / ".env").write_text(f"CONCURRENT_MODEL={value}\n", encoding="utf-8")
    assert settings_of(folder, env={"HOME": "/home"})["model"] == value.strip("'\"")


@pytest.mark.parametrize(
    ("mode", "text", "told"),
    [
        (0o644, "OPENAI_API_KEY=canary\n", True),
        (0o640, "OPENAI_API_KEY=canary\n", True),
        (0o600, "OPENAI_API_KEY=canary\n", False),
        (0o644, "OPENAI_API_KEY=\nCONCURRENT_SEED=1\n", False),
    ],
)
def test_f51_a_file_that_others_may_read(folder: Path, mode: int, text: str, told: bool) -> None:  # noqa: FBT001 - a parameter
    """A file that holds a key and that other users may read is told, with what to do."""
    said = warnings_of(folder, text, mode=mode)
    assert (f"chmod 600 {folder / '.env'}" in said) == told
    assert "canary" not in said


def test_f51_not_utf8(folder: Path) -> None:
    """A file in another encoding is refused by line instead of being read as something else."""
    (folder / ".env").write_bytes(b"CONCURRENT_SEED=1\nCONCURRENT_MODEL=\xe9\n")
    error, _ = refusal(folder)
    assert "not UTF-8 in line 2" in error.message


def test_unreadable(folder: Path) -> None:
    """A file that was named and cannot be read is an error, with the reason."""
    for path in (folder / "absent.env", folder):
        error, _ = refusal(folder, "--env-file", str(path))
        assert f"cannot read the env file {path}: " in error.message


def test_a_folder_of_that_name_is_no_file(folder: Path) -> None:
    """A virtual environment that is called .env is not taken for an env file."""
    (folder / ".env").mkdir()
    assert settings_of(folder)["seed"] == 0
    with pytest.raises(ConfigError, match="cannot read"):
        read_env_file(folder / ".env", lambda _name: True)
