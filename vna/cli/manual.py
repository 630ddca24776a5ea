"""The reference of all commands as Markdown: `python -m vna.cli.manual > docs/commands.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from vna.cli.app import app
from vna.cli.exits import MEANINGS
from vna.cli.flags import COMMON

HEAD = """# Commands

Written from the commands themselves by `python -m vna.cli.manual`; do not edit. `vna COMMAND
--help` says the same.

What a command is asked for goes to standard output, all else (progress, complaints) to standard
error. With `--json` standard output is one JSON document. Without a terminal there are no colours,
no bars and no questions; `NO_COLOR` and `COLUMNS` are heeded. `vna --install-completion` teaches
bash, zsh and fish the commands, their options and the keys of the configuration."""
COMMON_TEXT = (
    "Every command that works with an archive takes these; `docs/configuration.md` has the keys."
)


def to_markdown() -> str:
    """Return the whole reference."""
    return "\n\n".join([HEAD, exit_statuses(), common(), *commands()])


def exit_statuses() -> str:
    """Return what a script may rely on."""
    rows = [f"| {status} | {text} |" for status, text in MEANINGS.items()]
    return "\n".join(["## Exit status", "", "| status | means |", "|---|---|", *rows])


def common() -> str:
    """Return the options that every command has which works with an archive."""
    rows = [row(flag.option, flag.metavar, flag.help) for flag in COMMON]
    return "\n".join(["## Configuration", "", COMMON_TEXT, "", *head(), *rows])


def commands() -> Iterator[str]:
    """Yield the part of each command."""
    known = {flag.option for flag in COMMON}
    for name, command in flat(typer.main.get_command(app)):
        own = [each for each in command.params if not known & set(each.opts)]
        arguments = [each for each in own if not is_option(each)]
        options = [each for each in own if is_option(each)]
        usage = " ".join(["vna", name, "[OPTIONS]", *(usage_of(each) for each in arguments)])
        lines = [f"## vna {name}", "", f"    {usage}", "", cleaned(command.help)]
        rows = [
            row(label(each), shown_metavar(each), described(each)) for each in arguments + options
        ]
        if rows:
            lines += ["", *head(), *rows]
        yield "\n".join(lines)


def flat(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield commands by name; those of a group with the group's before it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from flat(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def is_option(parameter: Any) -> bool:
    """Whether a parameter is named rather than placed."""
    return any(name.startswith("-") for name in parameter.opts)


def usage_of(argument: Any) -> str:
    """Return how an argument stands in the usage."""
    text = shown_metavar(argument) or argument.name.upper()
    text += "..." if argument.nargs != 1 else ""
    return text if argument.required else f"[{text}]"


def label(parameter: Any) -> str:
    """Return what is typed for a parameter, its value left out."""
    if is_option(parameter):
        return ", ".join(parameter.opts + parameter.secondary_opts)
    return shown_metavar(parameter) or str(parameter.name).upper()


def shown_metavar(parameter: Any) -> str:
    """Return the name of a parameter's value; none for a flag."""
    if getattr(parameter, "is_flag", False):
        return ""
    return parameter.metavar or str(parameter.name).upper()


def described(parameter: Any) -> str:
    """Return a parameter's help with its default."""
    text = cleaned(parameter.help)
    default = parameter.default
    is_said = isinstance(default, int | str) and not isinstance(default, bool) and default != ""
    return f"{text} (default: {default})" if is_said else text


def cleaned(text: str | None) -> str:
    """Return a help text in one line, as Markdown takes it."""
    plain = re.sub(r"\s+", " ", text or "").strip()
    return plain.replace("|", "\\|").replace("<", "&lt;")


def head() -> list[str]:
    """Return the first lines of a table of parameters."""
    return ["| option | value | meaning |", "|---|---|---|"]


def row(option: str, value: str, meaning: str) -> str:
    """Return a line of a table of parameters."""
    name = code(option)
    return f"| {name} | {code(value) if value and value != option else ''} | {meaning} |"


def code(text: str) -> str:
    """Return something that is typed, in a cell of a table."""
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    print(to_markdown())
