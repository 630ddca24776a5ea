"""`vna modify` and `vna anonymize`: files, or what is in the archive, with other attributes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from vna.cli.command import print_json
from vna.cli.exits import DONE, FAILED
from vna.client import Instance, open_settings
from vna.client.resources import Changeable, wanted
from vna.errors import BadRequest, VnaError
from vna.services.changes import recipe_of
from vna.services.rewriting import rewrite_file
from vna.settings import Settings

Verb = Literal["modify", "anonymize"]
DONE_TO = {"modify": "modified", "anonymize": "anonymized"}


def change(
    settings: Settings,
    verb: Verb,
    inputs: Sequence[str],
    *,
    replace: Sequence[str],
    output: Path | None,
    options: dict[str, Any],
    url: str | None,
    tenant: int,
    as_json: bool,
) -> int:
    """Change all of them; returns the exit status.

    A file, and an instance of the archive, becomes a file; all else of the archive a copy in it.
    """
    said = {**options, "replace": dict(map(pair, replace))}
    files = [given for given in inputs if os.path.exists(given)]
    work = Changing(verb, said, output, is_one=len(inputs) == 1)
    results = [work.file(Path(given)) for given in files]
    ids = [given for given in inputs if given not in files]
    if ids:
        with open_settings(settings, url, tenant=tenant) as archive:
            results += [work.resource(archive, each) for each in ids]
    failed = [each for each in results if "error" in each]
    if as_json:
        print_json(results)
    else:
        for each in results:
            if "error" not in each:
                print(f"{each['source']}: {DONE_TO[verb]}: {each['target']}")
    return FAILED if failed else DONE


def pair(text: str) -> tuple[str, str]:
    """Return tag and value of `TAG=VALUE`."""
    tag, sign, value = text.partition("=")
    if not sign:
        raise BadRequest(f"--replace {text!r}: it takes TAG=VALUE")
    return tag, value


class Changing:
    """The sources of one run; all identifiers are made with one key, so references stay closed."""

    def __init__(self, verb: Verb, options: dict[str, Any], output: Path | None, is_one: bool):
        self._verb = verb
        self._options = options
        self._output = output
        self._is_one = is_one
        anonymizes = verb == "anonymize"
        self._recipe = msgspec.json.encode(
            recipe_of(wanted(options), "Instance", anonymizes)
        ).decode()

    def file(self, path: Path) -> dict[str, Any]:
        """Change a file."""
        try:
            changed = rewrite_file(self._recipe, path.read_bytes())
            beside = path.with_name(f"{path.stem}.{DONE_TO[self._verb]}.dcm")
            return self._written(str(path), changed, beside)
        except (VnaError, OSError) as error:
            return failed(str(path), error)

    def resource(self, archive: Any, public_id: str) -> dict[str, Any]:
        """Change what is in the archive."""
        try:
            found = archive.get(public_id)
            if isinstance(found, Instance):
                changed = getattr(found, DONE_TO[self._verb])(**self._options)
                return self._written(public_id, changed, Path(f"{public_id}.dcm"))
            assert isinstance(found, Changeable)
            made = getattr(found, self._verb)(**self._options)
        except (VnaError, OSError) as error:
            return failed(public_id, error)
        return {"source": public_id, "target": made.id, "level": made.level}

    def _written(self, source: str, changed: bytes, usual: Path) -> dict[str, Any]:
        target = usual
        if self._output is not None:
            is_file = self._is_one and not self._output.is_dir()
            target = self._output if is_file else self._output / Path(source).name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:  # never another file
            file.write(changed)
        return {"source": source, "target": str(target)}


def failed(source: str, error: Exception) -> dict[str, Any]:
    """Tell why a source was not changed."""
    print(f"{source}: failed: {error}", file=sys.stderr)
    return {"source": source, "error": str(error)}
