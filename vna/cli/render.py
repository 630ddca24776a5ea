"""`vna render`: frames of a file, or of an instance of the archive, as picture files."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vna.cli.command import print_json
from vna.cli.exits import DONE
from vna.cli.get import named
from vna.client import open_settings
from vna.errors import BadRequest, NotFound
from vna.services.pictures import Form, PictureRequest, count_frames, render_file
from vna.settings import Settings

FORMS: dict[str, Form] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".pam": "pam"}
STANDARD_OUTPUT = Path("-")


class Wanted(NamedTuple):
    """What the flags of the command say of the pictures."""

    frame: int
    all_frames: bool
    window: str | None
    size: str | None
    preview: bool
    overlays: bool
    presentation_state: str | None
    form: str | None
    quality: int


class Place(NamedTuple):
    """Where objects are that are no files of this machine."""

    settings: Settings
    url: str | None
    tenant: int


def render(source: str, output: Path, wanted: Wanted, place: Place, as_json: bool) -> int:
    """Write pictures; returns the exit status."""
    request = request_of(wanted, output)
    if wanted.all_frames and output == STANDARD_OUTPUT:
        raise BadRequest("--all-frames writes files; -o - is for one picture")
    with local_file(source, place) as path, state_file(wanted.presentation_state, place) as state:
        frames = range(count_frames(path)) if wanted.all_frames else [wanted.frame]
        written = []
        for frame in frames:
            picture = render_file(path, request(frame).to_json(), state)
            target = numbered(output, frame, len(frames)) if wanted.all_frames else output
            write(target, picture)
            written.append(str(target))
    if as_json:
        print_json({"Written": written})
    elif wanted.all_frames:
        print(f"{len(written):,} pictures, {written[0]} to {written[-1]}")
    return DONE


class Requests:
    """The request for each frame."""

    def __init__(self, common: PictureRequest):
        self._common = common

    def __call__(self, frame: int) -> PictureRequest:
        """Return the request for a frame."""
        common = {name: getattr(self._common, name) for name in self._common.__struct_fields__}
        return PictureRequest(**{**common, "frame": frame})


def request_of(wanted: Wanted, output: Path) -> Requests:
    """Return what is asked for of each frame; raises BadRequest for flags that say nothing."""
    center, width = window(wanted.window)
    columns, rows = size(wanted.size)
    return Requests(
        PictureRequest(
            mode="preview" if wanted.preview else "rendered",
            window_center=center,
            window_width=width,
            width=columns,
            height=rows,
            overlays=wanted.overlays,
            own_values=True,
            form=form_of(wanted.form, output),
            quality=wanted.quality,
        )
    )


def window(text: str | None) -> tuple[float | None, float | None]:
    """Return center and width of a window."""
    if text is None:
        return None, None
    number = r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
    found = re.fullmatch(f"{number},{number}", text)
    if found is None or float(found[2]) <= 0:
        raise BadRequest(f"--window {text!r}: it takes center and width, 40,400; the width above 0")
    return float(found[1]), float(found[2])


def size(text: str | None) -> tuple[int, int]:
    """Return most columns and rows; 0 if not said."""
    if text is None:
        return 0, 0
    found = re.fullmatch(r"(\d{1,5})?x(\d{1,5})?", text)
    columns, rows = (int(number or 0) for number in found.groups()) if found else (0, 0)
    if not columns and not rows:
        raise BadRequest(f"--size {text!r}: it takes most columns and rows, 512x512, 512x or x512")
    return columns, rows


def form_of(named: str | None, output: Path) -> Form:
    """Return the form of the pictures: the one that is named, else that of the file's name."""
    known = ", ".join(dict.fromkeys(FORMS.values()))
    if named is not None:
        if named not in FORMS.values() and f".{named}" not in FORMS:
            raise BadRequest(f"--format {named!r}: it takes {known}")
        return FORMS.get(f".{named}", "png")
    suffix = output.suffix.lower()
    if output == STANDARD_OUTPUT:
        return "png"
    if suffix not in FORMS:
        raise BadRequest(f"-o {output}: the name tells no form; --format takes {known}")
    return FORMS[suffix]


def numbered(output: Path, frame: int, frames: int) -> Path:
    """Return the file for a frame: its number stands before the suffix."""
    digits = len(str(max(frames - 1, 0)))
    return output.with_name(f"{output.stem}-{frame:0{digits}}{output.suffix}")


def write(path: Path, picture: bytes) -> None:
    """Write a picture; nothing is left at `path` if that fails."""
    if path == STANDARD_OUTPUT:
        sys.stdout.buffer.write(picture)
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(picture)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def local_file(source: str, place: Place) -> Iterator[str]:
    """Give a file of this machine: the one of this name, else that of an instance for a time.

    Raises NotFound if it is neither, BadRequest if it names several instances.
    """
    if os.path.exists(source):
        with open(source, "rb"):  # what may not be read says so itself
            yield source
        return
    try:
        with open_settings(place.settings, place.url, tenant=place.tenant) as archive:
            instances = list(named(archive, [source]))
            if len(instances) != 1:
                raise BadRequest(f"{source} has {len(instances):,} instances; name one of them")
            with tempfile.TemporaryDirectory(prefix="vna-render-") as folder:
                path = os.path.join(folder, "instance.dcm")
                instances[0].save(path)
                yield path
    except NotFound as error:
        raise NotFound(f"{source} is no file, and the archive does not know it: {error}") from None


@contextmanager
def state_file(source: str | None, place: Place) -> Iterator[str | None]:
    """Give the file of a presentation state, if one is named."""
    if source is None:
        yield None
        return
    with local_file(source, place) as path:
        yield path
