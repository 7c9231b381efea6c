"""The options of each command, as one table made from the settings that they set: nothing is listed twice."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin, get_type_hints

from bench.config import ConcurrentConfig
from bench.config.service import ServiceConfig
from bench.settings import option_name
from bench.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: How the command is called, as far as it is the same for everybody.
PROGRAM: Final = "concurrent_bigmodel.py"

#: What stands before an option's name in the environment variable that sets it.
ENVIRONMENT_PREFIX: Final = "CONCURRENT_"

#: Every setting of a run by name.
SETTINGS: Final[Mapping[str, dataclasses.Field[Any]]] = {
    each.name: each for each in dataclasses.fields(ConcurrentConfig)
}

#: Every setting of the service besides those of whom it asks, by name.
SERVICE_SETTINGS: Final[Mapping[str, dataclasses.Field[Any]]] = {
    each.name: each for each in dataclasses.fields(ServiceConfig)
}

#: The settings of profile prod, which are nothing for commands that measure.
REAL_WORK: Final = frozenset(name for name, each in SETTINGS.items() if each.metadata["group"] == "Real work")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a command.

    Attributes:
        field: The setting's name in Python.
        name: The option, with its dashes.
        hint: The kind of its value, as an annotation.
        default: Its value where it is not given.
        help: What it sets.
        group: Its place in the help page.
        alias: Its short name, or an empty string.
        metavar: What stands for its value in the help page, or an empty string.
    """

    field: str
    name: str
    hint: Any
    default: object
    help: str
    group: str = "Options"
    alias: str = ""
    metavar: str = ""

    @property
    def is_switch(self) -> bool:
        """Whether it is switched on and off, instead of being given a value."""
        return bool in {self.hint, *get_args(self.hint)}

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that are possible, where they are few."""
        for hint in (self.hint, *get_args(self.hint)):
            if get_origin(hint) is Literal:
                return get_args(hint)
        return ()


def run_options(*, without: frozenset[str] = frozenset(), **defaults: object) -> tuple[Option, ...]:
    """Return the options of a run.

    Args:
        without: Settings that are no options of this command.
        defaults: Defaults that are not those of ConcurrentConfig.
    """
    return tuple(
        dataclasses.replace(option, default=defaults.get(option.field, option.default))
        for option in _declared(ConcurrentConfig)
        if option.field not in without
    )


def service_options() -> tuple[Option, ...]:
    """Return the options of the service besides those of whom it asks."""
    return _declared(ServiceConfig)


def _declared(config: type[ConcurrentConfig | ServiceConfig]) -> tuple[Option, ...]:
    """Return an option for each setting of a configuration."""
    hints = get_type_hints(config)
    return tuple(
        Option(
            field=setting.name,
            name=option_name(setting.name),
            hint=hints[setting.name],
            default=setting.default,
            **{key: setting.metadata[key] for key in ("help", "group", "alias", "metavar")},
        )
        for setting in dataclasses.fields(config)
    )


def resumable_options() -> tuple[Option, ...]:
    """Return the options of `run`: those of a run, and those that take one up again."""
    group = "What to run"
    resume = Option(
        field="resume",
        name="--resume",
        hint=str | None,
        default=None,
        help="go on with a run that was ended: do the tasks that have no answer, with the settings that it had; "
        "those given anew may not shape the answers",
        group=group,
        metavar="RUN",
    )
    retry_failed = Option(
        field="retry_failed",
        name="--retry-failed",
        hint=bool,
        default=False,
        help="with --resume: do the tasks that failed again, too",
        group=group,
    )
    return (*run_options(), resume, retry_failed)


def report_options() -> tuple[Option, ...]:
    """Return the options of `report`."""
    out = Option(
        field="out",
        name="--out",
        hint=Path | None,
        default=None,
        help="where the report is written (default: the run's directory; of several runs, a new one in --results-dir)",
        metavar="DIR",
    )
    markdown = Option(
        field="markdown",
        name="--markdown",
        hint=bool,
        default=False,
        help="write it as Markdown to standard output instead, for a pull request",
    )
    kept = next(option for option in run_options() if option.field == "results_dir")
    return (out, markdown, dataclasses.replace(kept, group=out.group))


def simulator_options() -> tuple[Option, ...]:
    """Return the options of `simulate`: the simulator's settings, described by their docstring."""
    hints = get_type_hints(SimulatorSettings)
    documentation = inspect.getdoc(SimulatorSettings) or ""
    options = []
    for name, default in zip(SimulatorSettings.__struct_fields__, SimulatorSettings.__struct_defaults__, strict=True):
        # An attribute's text goes on as long as its lines are indented deeper.
        said = re.search(rf"^    {name}: (.+(?:\n      .+)*)", documentation, re.MULTILINE)
        text = " ".join(said[1].split()).removesuffix(".") if said else ""
        options.append(
            Option(
                field=name,
                name=option_name(name.removesuffix("_s")),
                hint=hints[name],
                default=default,
                help=text[:1].lower() + text[1:],
                metavar="SECONDS" if name.endswith("_s") else "",
            )
        )
    return tuple(options)


def config_from(options: Mapping[str, Any], **fixed: object) -> ConcurrentConfig:
    """Return the configuration that options ask for, with some settings fixed; a command's own options do not count.

    Raises:
        ConfigError: A value is out of its range, or options exclude each other.
    """
    settings = {name: value for name, value in options.items() if name in SETTINGS}
    return ConcurrentConfig(**{**settings, **fixed})


def command_line(config: ConcurrentConfig) -> str:
    """Return the command that runs a configuration again, fit for a shell; settings at their default are left out."""
    return shlex.join(["python", PROGRAM, *command_words(config)])


def command_words(config: ConcurrentConfig) -> list[str]:
    """Return the arguments that give a configuration; settings at their default are left out."""
    return option_words(run_options(), {name: getattr(config, name) for name in SETTINGS})


def option_words(options: Iterable[Option], settings: Mapping[str, object]) -> list[str]:
    """Return the arguments that give settings; those at their default are left out.

    Args:
        options: The options of the command.
        settings: What they set, by field.
    """
    words: list[str] = []
    for option in options:
        value = settings[option.field]
        if value != option.default:
            words += _words(option.name, value)
    return words


def negative(name: str) -> str:
    """Return the option that switches off what `name` switches on."""
    return name.replace("--", "--no-", 1)


def _words(name: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return [name if value else negative(name)]
    values = [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
    if any(text.startswith("-") and text != "-" for text in values):
        # Apart from its option, such a value would be taken for one.
        return [f"{name}={text}" for text in values]
    return [name, *values]
