"""Where traces go, from LangSmith's own variables."""

from __future__ import annotations

import pytest

from bench.errors import ConfigError
from bench.tracing.destination import destination, sample_wanted, tracing_wanted
from bench.tracing.make import Shown

KEY = {"LANGSMITH_API_KEY": "lsv2-key"}


def test_defaults() -> None:
    """With a key alone, traces go to LangSmith's own address and default project, with everything in them."""
    to = destination(KEY)
    assert to is not None
    assert (to.name, to.shown) == ("https://api.smith.langchain.com default", Shown())
    assert "lsv2" not in repr(to)


def test_without_key() -> None:
    """Without a key there is nowhere to go, but on this machine."""
    assert destination({}) is None
    here = destination({"LANGSMITH_ENDPOINT": "http://127.0.0.1:1984/"})
    assert here is not None
    assert (here.endpoint, here.key) == ("http://127.0.0.1:1984", None)


def test_names() -> None:
    """Names with LANGSMITH_ go before those with LANGCHAIN_, which count where the first are not set."""
    both = {"LANGSMITH_PROJECT": "new", "LANGCHAIN_PROJECT": "old", "LANGCHAIN_API_KEY": "k" * 9}
    to = destination({**both, "LANGSMITH_HIDE_INPUTS": "true", "LANGCHAIN_HIDE_OUTPUTS": "true"})
    assert to is not None
    assert (to.project, to.shown) == ("new", Shown(inputs=False, outputs=False))


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"LANGSMITH_TRACING": "true"}, True),
        ({"LANGSMITH_TRACING": "True"}, True),
        ({"LANGCHAIN_TRACING_V2": "true"}, True),
        ({"LANGSMITH_TRACING": "1"}, False),
        ({"LANGSMITH_TRACING": "false"}, False),
    ],
)
def test_wanted(environ: dict[str, str], wanted: bool) -> None:  # noqa: FBT001 - a table
    """Only `true` asks for traces, as LangSmith has it."""
    assert tracing_wanted(environ) is wanted


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("ftp://example.org", "must be an address"),
        ("nonsense", "must be an address"),
        ("http://example.org", "plain http"),
        ("https://user:kanarie@example.org", "a user or a password"),
    ],
)
def test_refused(endpoint: str, said: str) -> None:
    """An endpoint that is none, is plain http elsewhere, or holds a password is refused without repeating it."""
    with pytest.raises(ConfigError, match=said) as refused:
        destination({**KEY, "LANGSMITH_ENDPOINT": endpoint})
    assert "kanarie" not in str(refused.value)


def test_sample() -> None:
    """A share is from 0 to 1."""
    assert sample_wanted({}) is None
    assert sample_wanted({"LANGSMITH_TRACING_SAMPLING_RATE": "0.25"}) == 0.25
    for text in ("2", "-0.1", "nan", "many"):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            sample_wanted({"LANGSMITH_TRACING_SAMPLING_RATE": text})
