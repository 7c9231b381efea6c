"""From arguments to a command and its settings."""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

from cyclopts import App, ConsumeMultipleError, CycloptsError, Parameter, Token, UnknownOptionError

from bench.cli.commands import COMMANDS, DEFAULT, Command
from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cyclopts import ArgumentCollection

    from bench.cli.layers import Layers
    from bench.cli.options import Option

#: Options by which people hand over keys elsewhere. Other users of a machine can read what stands in a command line.
_SECRET_OPTIONS: Final = re.compile(
    r"--?[\w-]*(?:api[-_]?key|secret|password|passwd|bearer)[\w-]*(?:=|$)", re.IGNORECASE
)

#: What starts with a dash and may be an option, standard input, or a negative number.
_OPTION_LIKE: Final = re.compile(r"--?[A-Za-z]|-$|-[0-9.]+(?:[eE][-+]?[0-9]+)?$")

#: Classes of the module `types`, where make_dataclass would put them, are not looked into by cyclopts.
_HERE: Final = {"__module__": __name__}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parsed:
    """What the arguments ask for.

    Attributes:
        command: The command.
        words: Its arguments without a dash.
        settings: The value of each of its options.
        given: The options that the arguments give a value; empty for commands without layers.
    """

    command: Command
    words: tuple[str, ...]
    settings: Mapping[str, Any]
    given: frozenset[str] = frozenset()


def parse(argv: Sequence[str], layers: Layers) -> Parsed:
    """Read the arguments; what no option gives comes from the layers.

    Args:
        argv: The arguments, without the program's name.
        layers: The environment and the env file.

    Raises:
        ConfigError: An option is unknown or cannot be read, or an argument has no place.
    """
    _refuse_secrets(argv)
    _refuse_dashes(argv)
    command = COMMANDS.get(argv[0], DEFAULT) if argv else DEFAULT
    options = command.options()
    given: set[str] = set()
    app = App(
        name=command.name,
        help_flags=[],
        version_flags=[],
        result_action="return_value",
        config=[_filler(command, options, layers, given)] if command.layered else [],
    )
    app.default(_receiver(command, options))
    try:
        parsed = app(
            _joined(argv[1:] if argv and argv[0] in COMMANDS else argv), exit_on_error=False, print_error=False
        )
    except ConsumeMultipleError as error:
        name = error.keyword or ""
        raise ConfigError(
            f"{name} needs at least one value", f"a value that starts with a dash is written {name}=-VALUE"
        ) from error
    except UnknownOptionError as error:
        raise _unknown(error.token.keyword or error.token.value, argv, command) from error
    except CycloptsError as error:
        raise ConfigError(str(error), f"all options: {command.name} --help") from error
    if not isinstance(parsed, Parsed):
        raise TypeError(f"the command line gave {parsed!r}")
    if parsed.words and not command.words:
        raise _unexpected(parsed.words[0])
    return dataclasses.replace(parsed, given=frozenset(given))


def _refuse_secrets(argv: Sequence[str]) -> None:
    for argument in argv:
        if argument == "--":
            return
        if _SECRET_OPTIONS.match(argument):
            name = argument.partition("=")[0]
            raise ConfigError(
                f"{name} is refused: other users of this machine can read command lines",
                "set the key in the environment or the env file: BIGMODEL_API_KEY and its like for a provider, "
                "CONCURRENT_API_KEY for --base-url",
            )


def _receiver(command: Command, options: Sequence[Option]) -> Callable[..., Parsed]:
    """Return a function whose signature is what cyclopts reads: words, and a dataclass with the options."""
    fields = [
        (option.field, Annotated[option.hint, _parameter(option)], dataclasses.field(default=option.default))
        for option in options
    ]
    made = dataclasses.make_dataclass("Options", fields, frozen=True, kw_only=True, namespace=_HERE)

    def receive(*words: str, options: object) -> Parsed:
        settings = {name: getattr(options, name) for name, *_ in fields}
        return Parsed(command=command, words=words, settings=settings)

    receive.__annotations__ = {"words": str, "options": Annotated[made, Parameter(name="*")]}
    receive.__kwdefaults__ = {"options": made()}
    return receive


def _parameter(option: Option) -> Parameter:
    return Parameter(
        name=(option.name, option.alias) if option.alias else (option.name,),
        converter=_whole_number(option) if int in {option.hint, *get_args(option.hint)} else None,
        consume_multiple=(1, None) if isinstance(option.default, tuple) else None,
        # Only what can be switched has an option for the contrary; cyclopts would add --empty-topics and its like.
        negative=None if option.is_switch else (),
    )


def _whole_number(option: Option) -> Callable[[object, Sequence[Token]], int | tuple[int, ...] | None]:
    """Return what reads a whole number, or a list of them; cyclopts itself would take 2.5 for 2."""
    nullable = type(None) in get_args(option.hint)

    def read(_hint: object, tokens: Sequence[Token]) -> int | tuple[int, ...] | None:
        if get_origin(option.hint) is tuple:
            return tuple(_integer(token.value) for token in tokens)
        text = tokens[0].value
        return None if nullable and text.lower() == "none" else _integer(text)

    return read


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"a whole number is needed, got {text!r}") from None


def _filler(
    command: Command, options: Sequence[Option], layers: Layers, seen: set[str]
) -> Callable[[App, tuple[str, ...], ArgumentCollection], None]:
    """Return the hook through which cyclopts takes in the layers, after the options and before any value is read.

    Args:
        command: The command.
        options: Its options.
        layers: The environment and the env file.
        seen: Takes in which settings the arguments give.
    """
    fields = {option.name: option.field for option in options}

    def fill(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        by_field = {fields[argument.name]: argument for argument in arguments if argument.name in fields}
        given = {name: [token.value for token in each.tokens] for name, each in by_field.items() if each.tokens}
        seen.update(given)
        for name, each in layers.fill(given, by_field.keys(), real_work=command.real_work).items():
            for index, text in enumerate(each.texts):
                by_field[name].append(Token(keyword=each.variable, value=text, source=each.place, index=index))

    return fill


def _joined(argv: Sequence[str]) -> list[str]:
    """Join a lone `-` (standard input) to the option before it: apart, it would be taken for an option itself."""
    joined: list[str] = []
    for word in argv:
        if word == "-" and joined and joined[-1].startswith("--"):
            joined[-1] += "=-"
        else:
            joined.append(word)
    return joined


def _refuse_dashes(argv: Sequence[str]) -> None:
    """Refuse what would be taken for an option and cannot be one, like the topic -5度."""
    before = ""
    for word in argv:
        if word == "--":
            return
        if word.startswith("-") and not _OPTION_LIKE.match(word):
            raise ConfigError(
                f"{word!r} looks like an option, and cannot be one", _dash_advice(before or "--topics", word)
            )
        if word.startswith("--"):
            before = word.partition("=")[0]


def _dash_advice(option: str, word: str) -> str:
    file = ", or put it into a --topics-file" if option == "--topics" else ""
    return f"if it is meant for {option}, write {option}={word}{file}"


def _unknown(keyword: str, argv: Sequence[str], command: Command) -> ConfigError:
    # Its value may be a secret.
    name = keyword.partition("=")[0]
    options = command.options()
    # By the default cutoff, -abc would be taken for --race.
    close = difflib.get_close_matches(name, [option.name for option in options], n=1, cutoff=0.65)
    meant = f"; did you mean {close[0]}?" if close else ""
    lists = [option.name for option in options if isinstance(option.default, tuple) and option.name in argv]
    advice = f"; {_dash_advice(lists[-1], name)}" if lists and not close else ""
    return ConfigError(f"unknown option {name}{meant}", f"all options: {command.name} --help{advice}")


def _unexpected(word: str) -> ConfigError:
    if word in COMMANDS:
        return ConfigError(f"the command comes first, got {word!r} after something else")
    close = difflib.get_close_matches(word, COMMANDS, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return ConfigError(
        f"unexpected argument {word!r}{meant}",
        f"commands are {', '.join(COMMANDS)}; topics are given as --topics A B, with quotes around blanks",
    )
