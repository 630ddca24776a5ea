"""How a function becomes a command: the settings for its flags, one look for its output."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from vna.cli import complete
from vna.cli.exits import READER_GONE
from vna.cli.flags import COMMON, SET, Flag, Given, settings_of, split
from vna.settings import Settings

Command = Callable[..., int]

# A flag has no value to show in the help.
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="For programs: JSON and nothing else")
]
Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A running archive, else the one of this folder"),
]

Tenant = Annotated[
    int,
    typer.Option(metavar="NUMBER", min=1, help="Whose part of the archive of this folder it is"),
]


def option(flag: Flag) -> Any:
    """Return the type of a parameter that stands for `flag`."""
    declared = typer.Option(
        flag.option,
        metavar=flag.metavar,
        help=flag.help,
        autocompletion=complete.setting if flag == SET else None,
        rich_help_panel="Configuration",
    )
    return Annotated[list[str] if flag.repeats else str | None, declared]


def with_settings(flags: Iterable[Flag] = COMMON) -> Callable[[Command], Command]:
    """Give a function the configuration's flags; it takes `settings`, or `given` if it asks."""
    flags = tuple(flags)

    def decorate(function: Command) -> Command:
        own = inspect.signature(function, eval_str=True).parameters
        wants_given = "given" in own

        def run(**values: Any) -> int:
            given = _given(flags, values)
            if wants_given:
                return function(given=given, **values)
            return function(settings=settings_of(given), **values)

        parameters = [each for name, each in own.items() if name not in {"settings", "given"}]
        for flag in flags:
            kind = inspect.Parameter.KEYWORD_ONLY
            default: Any = [] if flag.repeats else None
            parameters.append(
                inspect.Parameter(flag.name, kind, default=default, annotation=option(flag))
            )
        return plain(_described(run, function, parameters))

    return decorate


def _given(flags: Iterable[Flag], values: dict[str, Any]) -> Given:
    """Take the values of `flags` out of those that were read."""
    given: Given = []
    for flag in flags:
        value = values.pop(flag.name)
        texts = value if flag.repeats else [value]
        given += [(flag, text) for text in texts or () if text is not None]
    # What has a name of its own first: --set is for the keys that have none.
    return sorted(given, key=lambda each: each[0] == SET)


def _described(run: Command, like: Command, parameters: list[inspect.Parameter]) -> Command:
    """Give `run` the name and text of `like`, and the parameters that typer is to see."""
    run.__name__, run.__doc__, run.__module__ = like.__name__, like.__doc__, like.__module__
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def plain(function: Command) -> Command:
    """End a command quietly when the reader of its output goes away."""

    @functools.wraps(function)
    def run(**values: Any) -> int:
        try:
            status = function(**values)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still buffered would be written when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_GONE
        return status

    return run


def print_json(document: Any) -> None:
    """Print one document for a program."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


__all__ = [
    "Command",
    "Json",
    "Settings",
    "Tenant",
    "Url",
    "plain",
    "print_json",
    "split",
    "with_settings",
]
