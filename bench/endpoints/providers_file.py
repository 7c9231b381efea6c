"""The providers' file: more providers than the presets, and limits and prices of any; names of keys, never keys.

[providers.mine]
base_url = "https://api.example.com/v1"
model = "some-model"
keys = ["MINE_API_KEY", "MINE_API_KEY_2"]
requests_per_min = 60
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.config import MAX_CONCURRENCY, MAX_TIMEOUT_S
from bench.endpoints.address import checked_address, host_of, is_loopback
from bench.errors import ConfigError
from bench.providers import PROVIDERS, Provider, Quota, is_key_variable
from bench.settings import check_range

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where providers are looked for when no file is named; only in the current directory.
DEFAULT_FILE: Final = Path("providers.toml")

#: Names that mean something else: every provider with a key, a bare address, and the client that asks nobody.
ALL: Final = "all"
RESERVED: Final = frozenset({ALL, "custom", "scripted"})

#: A name stands in options, tables and file names.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")

#: What may be repeated of a field that is unknown: anything longer or stranger may be a key.
_HARMLESS: Final = re.compile(r"[a-z_]{1,30}")

#: Fields that people write keys into elsewhere.
_KEY_LIKE: Final = re.compile(r".*(?:key|secret|token|password).*", re.IGNORECASE)

#: A limit above these is a typing error; a price is of a million tokens.
_RANGES: Final[Mapping[str, Mapping[str, float | None]]] = {
    "in_flight": {"at_least": 1, "above": None, "at_most": MAX_CONCURRENCY},
    "requests_per_min": {"at_least": None, "above": 0, "at_most": 60_000_000},
    "tokens_per_min": {"at_least": None, "above": 0, "at_most": 10**12},
    "timeout_s": {"at_least": None, "above": 0, "at_most": MAX_TIMEOUT_S},
    "price_in": {"at_least": 0, "above": None, "at_most": 10**6},
    "price_out": {"at_least": 0, "above": None, "at_most": 10**6},
}


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the file says of one provider; a field that is not there says nothing."""

    base_url: str | None = None
    model: str | None = None
    keys: tuple[str, ...] | None = None
    quota: Quota | None = None
    in_flight: int | None = None
    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    timeout_s: float | None = None
    price_in: float | None = None
    price_out: float | None = None
    currency: str | None = None


def find_providers_file(named: Path | None) -> Path | None:
    """Return the file that is named, else ./providers.toml if it is there, else None."""
    return named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)


def known_providers(file: Path | None, *, insecure: bool = False) -> dict[str, Provider]:
    """Return the presets with what a file says of them, and the providers that it defines; see `read_providers`."""
    return PROVIDERS if file is None else {**PROVIDERS, **read_providers(file, insecure=insecure)}


def read_providers(path: Path, *, insecure: bool = False) -> dict[str, Provider]:
    """Return the providers that a file defines, whole; what it leaves open of a preset is the preset's.

    Args:
        path: The file.
        insecure: Whether plain http may go to another machine than this one.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong; names the file, the provider and the field, and
            repeats nothing that may be a key.
    """
    table = _tables(path)
    providers = {}
    for name, raw in table.items():
        where = f"{path}, [providers.{name}]"
        if not _NAME.fullmatch(name) or name in RESERVED:
            shown = name if name in RESERVED else f"one of {len(name)} characters"
            raise ConfigError(
                f"{path}: a provider needs a name of its own, got {shown}",
                "use up to 40 letters, digits, dots, dashes and underscores, and none of all, custom and scripted",
            )
        entry = _entry(where, raw)
        if name in PROVIDERS and entry.base_url is None:
            providers[name] = _changed(where, PROVIDERS[name], entry)
        else:
            providers[name] = _defined(where, name, entry, insecure=insecure)
    return providers


def _tables(path: Path) -> dict[str, Any]:
    """Return the tables below `providers`, unchecked."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"cannot read the providers' file {path}: {error.strerror}", "name another with --providers"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the providers' file {path} is not UTF-8", "save it as UTF-8") from error
    try:
        read = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = re.search(r"\(at .*\)$", str(error))
        # The rest of the message may repeat what stands there.
        raise ConfigError(f"{path} is not TOML {said[0] if said else '(nested too deeply)'}") from None
    table = read.pop("providers", {})
    if read or not isinstance(table, dict):
        raise ConfigError(
            f"{path} holds something else than tables [providers.NAME]", "write [providers.NAME] above it"
        )
    return table


def _entry(where: str, raw: object) -> _Entry:
    """Return what is said of one provider, each value of its kind and in its range."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{where} is no table", 'write base_url = "..", model = ".." and so on below it')
    for field in raw.keys() - set(_Entry.__struct_fields__):
        raise _unknown(where, field)
    try:
        entry = msgspec.convert(raw, _Entry)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {str(error).replace('$.', '')}") from None
    for name, bounds in _RANGES.items():
        check_range(f"{where}: {name}", bounds, getattr(entry, name))
    for number, name in enumerate(entry.keys or (), 1):
        if not is_key_variable(name):
            # Not repeated, and not kept as what this error came from: it may be a key.
            raise ConfigError(
                f"{where}: keys holds names of variables, and its text {number} is none",
                "names end in _KEY, _TOKEN or _SECRET, with or without a number, like MINE_API_KEY_2; the keys "
                "themselves are set under these names in the environment or the env file",
            )
    return entry


def _unknown(where: str, field: str) -> ConfigError:
    shown = field if _HARMLESS.fullmatch(field) else "a field that may hold a key"
    if _KEY_LIKE.fullmatch(field) or not _HARMLESS.fullmatch(field):
        return ConfigError(
            f"{where} holds {shown}: keys do not stand in this file",
            'write keys = ["MINE_API_KEY"], and set that variable in the environment or the env file',
        )
    close = difflib.get_close_matches(field, _Entry.__struct_fields__, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return ConfigError(f"{where}: unknown field {shown}{meant}", f"fields are {', '.join(_Entry.__struct_fields__)}")


def _changed(where: str, preset: Provider, entry: _Entry) -> Provider:
    """Return a preset with what the file says otherwise, at the preset's address."""
    if preset.is_own and (entry.model or entry.keys):
        raise ConfigError(
            f"{where}: this provider is started by the run, with a model of its own and without a key",
            "give its limits and prices alone, or define a provider of another name",
        )
    given: dict[str, Any] = msgspec.to_builtins(entry)
    if "keys" in given:
        given["keys"] = tuple(given["keys"])
    if entry.model not in {None, preset.model}:
        # Prices are those of a model.
        given = {"price_in": None, "price_out": None, **given}
    return msgspec.structs.replace(preset, **given)


def _defined(where: str, name: str, entry: _Entry, *, insecure: bool) -> Provider:
    """Return a provider with an address of the file's own; a preset's key does not go there unasked."""
    preset = PROVIDERS.get(name)
    if preset is not None and preset.is_own:
        raise ConfigError(f"{where}: {name} has no other address", "define a provider of another name")
    model = entry.model or (preset.model if preset is not None else None)
    if entry.base_url is None or not model:
        missing = "base_url" if entry.base_url is None else "model"
        raise ConfigError(f"{where} has no {missing}", f'write {missing} = ".." below it')
    address = checked_address(entry.base_url, insecure=insecure, name=f"{where}: base_url")
    if not entry.keys and not is_loopback(host_of(address)):
        raise ConfigError(
            f"{where} needs a key, and keys names no variable that holds one",
            'write keys = ["MINE_API_KEY"], and set that variable in the environment or the env file',
        )
    given: dict[str, Any] = msgspec.to_builtins(entry)
    given |= {"base_url": address, "model": model, "keys": entry.keys or ()}
    return Provider(name=name, **given)
