"""The providers' file: what it defines and changes, what it refuses, and that it repeats no key."""

from __future__ import annotations

import json
import string
import traceback
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.endpoints.providers_file import find_providers_file, read_providers
from bench.errors import ConfigError
from bench.providers import PROVIDERS, Provider, RouteLimits, is_key_variable

ADDRESS: Final = 'base_url = "https://h.example/v1"\nmodel = "m"\n'
KEYED: Final = f'{ADDRESS}keys = ["MINE_API_KEY"]\n'

#: A canary in it, so that no part of it stands in a message by chance.
KEYS: Final = st.text(string.ascii_letters + string.digits + "-_.", min_size=4, max_size=40).map("kanarie".__add__)

QUICK: Final = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


def written(folder: Path, text: str) -> Path:
    """Write a providers' file."""
    path = folder / "providers.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, **options: bool) -> ConfigError:
    """Return the error with which a file is refused."""
    with pytest.raises(ConfigError) as refused:
        read_providers(written(folder, text), **options)
    return refused.value


def test_a_provider_of_ones_own(tmp_path: Path) -> None:
    """A table defines a provider with all that it says; what it leaves open is not known."""
    path = written(
        tmp_path,
        '[providers.mine]\nbase_url = "https://h.example/v1/"\nmodel = "m"\nkeys = ["MINE_API_KEY", "MINE_TOKEN_2"]\n'
        'quota = "provider"\nin_flight = 4\nrequests_per_min = 60\ntokens_per_min = 1e5\ntimeout_s = 30\n'
        f'price_in = 0.5\nprice_out = 1\ncurrency = "EUR"\n\n[providers."two.2"]\n{KEYED}',
    )
    mine = Provider(
        name="mine",
        base_url="https://h.example/v1",
        model="m",
        keys=("MINE_API_KEY", "MINE_TOKEN_2"),
        quota="provider",
        in_flight=4,
        requests_per_min=60,
        tokens_per_min=1e5,
        timeout_s=30,
        price_in=0.5,
        price_out=1,
        currency="EUR",
    )
    two = Provider(name="two.2", base_url="https://h.example/v1", model="m", keys=("MINE_API_KEY",))
    assert read_providers(path) == {"mine": mine, "two.2": two}
    assert mine.limits == RouteLimits(in_flight=4, requests_per_min=60, tokens_per_min=1e5, quota="mine")
    assert two.limits == RouteLimits()


def test_a_preset_is_changed(tmp_path: Path) -> None:
    """Of a preset only what the file says is another; another model takes the prices away, which were the old one's."""
    path = written(
        tmp_path,
        '[providers.openai]\nrequests_per_min = 500\nquota = "key"\n[providers.gemini]\nmodel = "other"\n'
        "[providers.local]\nin_flight = 2\n",
    )
    openai, gemini, local = read_providers(path).values()
    assert (openai.requests_per_min, openai.limits.quota) == (500, "")
    assert (openai.key_env, openai.base_url, openai.price_in) == ("OPENAI_API_KEY", PROVIDERS["openai"].base_url, 0.15)
    assert (gemini.model, gemini.price_in, gemini.key_env) == ("other", None, "GEMINI_API_KEY")
    assert (local.in_flight, local.is_own) == (2, True)


def test_a_presets_key_does_not_go_to_another_address(tmp_path: Path) -> None:
    """Where a file gives a preset another address, the preset's key is sent there only if the file names it."""
    moved = '[providers.openai]\nbase_url = "http://127.0.0.1:1/v1"\n'
    (openai,) = read_providers(written(tmp_path, moved)).values()
    assert (openai.key_env, openai.keys, openai.model) == ("", (), "gpt-4o-mini")
    (openai,) = read_providers(written(tmp_path, f'{moved}keys = ["OPENAI_API_KEY"]\n')).values()
    assert openai.keys == ("OPENAI_API_KEY",)
    assert "needs a key" in refusal(tmp_path, '[providers.openai]\nbase_url = "https://h.example/v1"\n').message


numbers = st.floats(0.001, 10**6) | st.integers(1, 10**6)
entries = st.fixed_dictionaries(
    {"base_url": st.just("http://127.0.0.1:9/v1"), "model": st.text("abc/:-", min_size=1)},
    optional={
        "keys": st.lists(st.sampled_from(["A_KEY", "B_TOKEN", "C_API_KEY_12"]), min_size=1).map(tuple),
        "quota": st.sampled_from(["key", "provider"]),
        "in_flight": st.integers(1, 100_000),
        "requests_per_min": numbers,
        "tokens_per_min": numbers,
        "timeout_s": st.floats(0.001, 604_800),
        "price_in": numbers,
        "currency": st.sampled_from(["USD", "CNY"]),
    },
)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", fullmatch=True).filter(
    lambda name: name not in {*PROVIDERS, "all", "custom", "scripted"}
)


@QUICK
@given(st.dictionaries(names, entries, max_size=4))
def test_what_is_written_is_read(tmp_path: Path, table: dict[str, dict[str, Any]]) -> None:
    """Every provider comes out of a file as it was written into it, in the file's order."""
    # A text, a number and a list of texts are the same in JSON and TOML.
    text = "".join(
        f"[providers.{json.dumps(name)}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
        for name, entry in table.items()
    )
    read = read_providers(written(tmp_path, text))
    assert read == {name: Provider(name=name, **entry) for name, entry in table.items()}
    assert list(read) == list(table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providers = 1\n", "tables [providers.NAME]"),
        (f"[mine]\n{KEYED}", "tables [providers.NAME]"),
        ("[providers]\nmine = 1\n", "[providers.mine] is no table"),
        ("[providers.mine\n", "is not TOML (at line 1"),
        ("a = " + "[" * 5000, "is not TOML"),
        (f"[providers.all]\n{KEYED}", "got all"),
        (f"[providers.'a b']\n{KEYED}", "a name of its own"),
        ('[providers.mine]\nmodel = "m"\n', "[providers.mine] has no base_url"),
        ('[providers.mine]\nbase_url = "https://h.example/v1"\n', "[providers.mine] has no model"),
        (f"[providers.mine]\n{ADDRESS}", "needs a key"),
        (f"[providers.mine]\n{ADDRESS}keys = []\n", "needs a key"),
        (f"[providers.mine]\n{KEYED}rpm = 1\n", "unknown field rpm"),
        (f"[providers.mine]\n{KEYED}in_fligth = 1\n", "did you mean in_flight?"),
        (f"[providers.mine]\n{KEYED}in_flight = 0\n", "in_flight must be at least 1 and at most 100000, got 0"),
        (f"[providers.mine]\n{KEYED}in_flight = 1.5\n", "in_flight"),
        (f"[providers.mine]\n{KEYED}requests_per_min = nan\n", "requests_per_min must be above 0"),
        (f"[providers.mine]\n{KEYED}tokens_per_min = inf\n", "got inf"),
        (f"[providers.mine]\n{KEYED}timeout_s = -1\n", "timeout_s must be above 0"),
        (f"[providers.mine]\n{KEYED}price_in = -1\n", "price_in must be at least 0"),
        (f'[providers.mine]\n{KEYED}quota = "both"\n', "quota"),
        (f"[providers.mine]\n{KEYED}currency = 1\n", "currency"),
        ('[providers.local]\nmodel = "m"\n', "started by the run"),
        (f"[providers.simulator]\n{KEYED}", "no other address"),
        ('[providers.mine]\nbase_url = "http://h.example/v1"\nmodel = "m"\nkeys = ["A_KEY"]\n', "unencrypted"),
        ('[providers.mine]\nbase_url = "ftp://h.example"\nmodel = "m"\n', "base_url must be an http or https address"),
    ],
)
def test_refusals(tmp_path: Path, text: str, said: str) -> None:
    """What is wrong is refused by file, provider and field, with the value and what to do."""
    error = refusal(tmp_path, text)
    assert said in error.message
    assert str(tmp_path / "providers.toml") in error.message


def test_plain_http_elsewhere_is_a_choice(tmp_path: Path) -> None:
    """An address in the file may be plain http to another machine only where the option allows it."""
    text = '[providers.mine]\nbase_url = "http://h.example/v1"\nmodel = "m"\nkeys = ["A_KEY"]\n'
    (mine,) = read_providers(written(tmp_path, text), insecure=True).values()
    assert mine.base_url == "http://h.example/v1"


@QUICK
@given(KEYS)
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    """Wherever a key is written into the file, the error, its hint and its traceback hold no part of it."""
    for text in (
        f'[providers.mine]\n{ADDRESS}keys = ["{key}"]\n',
        f'[providers.mine]\n{ADDRESS}keys = ["A_KEY", "{key}"]\n',
        f'[providers.mine]\n{ADDRESS}keys = "{key}"\n',
        f'[providers.mine]\n{ADDRESS}api_key = "{key}"\n',
        f'[providers.mine]\n{ADDRESS}"{key}-0" = 1\n',
        f"[providers.mine]\n{ADDRESS}keys = [{key}]\n",
        f'[providers.mine]\nbase_url = "https://{key}@h.example/v1"\nmodel = "m"\n',
        f'[providers.mine]\nbase_url = "https://h.example/v1?key={key}"\nmodel = "m"\n',
        f'[providers.mine]\nkeys = ["A_KEY"]\nin_flight = "{key}"\n',
        f'api_key = "{key}"\n',
        f"{key}\n",
    ):
        error = refusal(tmp_path, text)
        assert "kanarie" not in f"{error} {error.message} {error.hint}", text
        shown = "".join(traceback.format_exception(error)).replace(str(tmp_path), "")
        assert "kanarie" not in shown, text


@given(KEYS)
def test_names_of_variables_are_no_keys(key: str) -> None:
    """What providers give out as a key is never taken for the name of a variable."""
    assert not is_key_variable(key)
    assert not any(map(is_key_variable, ("sk-proj-AbC", "AKIAIOSFODNN7EXAMPLE", "0123ABCD.EFGH", "", "KEY", "A_KEY_")))
    assert all(map(is_key_variable, ("BIGMODEL_API_KEY", "BIGMODEL_API_KEY_2", "HF_TOKEN", "X_SECRET")))


def test_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is named counts, else providers.toml of the current folder; a folder of that name is none."""
    monkeypatch.chdir(tmp_path)
    assert find_providers_file(None) is None
    (tmp_path / "providers.toml").mkdir()
    assert find_providers_file(None) is None
    (tmp_path / "providers.toml").rmdir()
    written(tmp_path, "")
    assert find_providers_file(None) == Path("providers.toml")
    assert find_providers_file(Path("named.toml")) == Path("named.toml")


@pytest.mark.parametrize("data", [b"\xff", None])
def test_unreadable(tmp_path: Path, data: bytes | None) -> None:
    """A file that is not there or is not UTF-8 is an error that names it."""
    path = tmp_path / "providers.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"providers' file .*providers\.toml"):
        read_providers(path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    """A file that an editor of Windows saved is read like any other."""
    assert list(read_providers(written(tmp_path, f"\ufeff[providers.mine]\r\n{KEYED}"))) == ["mine"]
