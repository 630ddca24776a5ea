"""Pictures, arrays and frames of stored images."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from vna import _core

if TYPE_CHECKING:
    from vna.services.archive import Archive, StoredFile
    from vna.services.caller import Caller

# Of files of this machine, without an archive.
render_file = _core.render_file
count_frames = _core.count_frames

Mode = Literal["preview", "rendered", "uint8", "uint16", "int16"]
Form = Literal["png", "jpeg", "jp2", "gif", "pam"]
DocumentForm = Literal["html", "text", "xml"]
Colours = Literal["own", "srgb", "adobergb", "rommrgb"]


class PictureRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which picture of an instance is wanted.

    Parameters
    ----------
    frame : int
        Counted from 0.
    mode : str
        preview stretches the values of the frame to black and white, rendered shows it as its
        header wants it displayed; uint8, uint16 and int16 are its values, cut off at the ends of
        the type.
    window_center, window_width : float, optional
        In place of those of the header; for rendered.
    window_function : str, optional
        What is between black and white: linear, linear-exact or sigmoid.
    region : tuple of int, optional
        The part to show: column and row of its first pixel, columns and rows. Negative ones show it
        mirrored or upside down, 0 is up to the edge.
    annotation : list of str
        Lines of text that are written into a corner of the picture.
    width, height : int
        Most columns and rows; the aspect ratio is kept. 0: as the frame, or the region, has.
    smooth : bool
        Whether another size is interpolated.
    overlays : bool
        Whether overlays are shown.
    own_values : bool
        Whether black and white are the lowest and the highest value of the frame where its header
        says nothing; if not, they are the lowest and the highest that there could be.
    form : str
        png, jpeg, jp2 (without loss), gif or pam.
    quality : int
        Of JPEG, 1 to 100.
    colours : str, optional
        The colours that it is in, and has a profile of where its form can hold one: own, which are
        those of the image, srgb, adobergb or rommrgb. If not said there is no profile.
    """

    frame: int = 0
    mode: Mode = "rendered"
    window_center: float | None = None
    window_width: float | None = None
    window_function: Literal["linear", "linear-exact", "sigmoid"] | None = None
    region: tuple[int, int, int, int] | None = None
    annotation: list[str] = []
    width: int = 0
    height: int = 0
    smooth: bool = True
    overlays: bool = False
    own_values: bool = False
    form: Form = "png"
    quality: int = 90
    colours: Colours | None = None

    def to_json(self) -> bytes:
        """Return the request as the core reads it."""
        return msgspec.json.encode(self)


class ArrayRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which array of an instance or series is wanted.

    Parameters
    ----------
    frame : int, optional
        Counted from 0; all frames if not said.
    rescale : bool
        Whether gray values are those after the modality LUT.
    form : str
        npy, npz (compressed), or matlab, which is text.
    """

    frame: int | None = None
    rescale: bool = False
    form: Literal["npy", "npz", "matlab"] = "npy"

    def to_json(self) -> bytes:
        """Return the request as the core reads it."""
        return msgspec.json.encode(self)


class Picture:
    """A finished picture; of a long one the memory is accounted for as long as it is read."""

    def __init__(self, whole: bytes, picture: _core.Picture):
        self.whole = whole
        self.size = len(whole) or picture.length
        self._picture = picture

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        return self._picture.read(offset, length)


async def picture(
    archive: Archive, file: StoredFile, request: PictureRequest, state: StoredFile | None = None
) -> Picture:
    """Return the picture of a frame, with a presentation state applied to it if there is one.

    Raises UnsupportedImage with the reason if there is none, NotFound if there is no such frame,
    Busy if others hold the memory that it takes.
    """
    state_file = None if state is None else state.core
    begun = archive.core.picture(file.core, request.to_json(), state_file)
    return Picture(cast(bytes, await archive.result(begun.make())), begun)


async def thumbnail(
    archive: Archive, file: StoredFile, size: int, form: Literal["png", "jpeg"]
) -> bytes:
    """Return a small picture of an instance; raises as `picture`."""
    request = msgspec.json.encode({"size": size, "form": form})
    return cast(bytes, await archive.result(archive.core.thumbnail(file.core, request)))


async def icon(word: str, side: int, form: Form, quality: int) -> bytes:
    """Return a small picture that stands for what is no image: a sheet with a word on it."""
    asked = {"word": word, "side": side, "form": form, "quality": quality}
    return await asyncio.to_thread(_core.icon, msgspec.json.encode(asked))


class MadeFile:
    """Bytes that are made while they are read, from their beginning to their end."""

    def __init__(self, archive: Archive, stream: _core.Stream, length: int | None):
        self._archive = archive
        self._stream = stream
        self.length = length

    async def read(self, length: int) -> bytes:
        """Read on; fewer bytes than `length` only at the end."""
        return cast(bytes, await self._archive.result(self._stream.read(length)))


async def _opened(archive: Archive, stream: _core.Stream) -> MadeFile:
    found = json.loads(cast(bytes, await archive.result(stream.open())))
    return MadeFile(archive, stream, found["length"])


async def report(archive: Archive, file: StoredFile, form: DocumentForm, root_url: str) -> bytes:
    """Return a structured report as a document; links to images go below `root_url`.

    Raises UnsupportedImage if it is none, or longer than those that are shown.
    """
    request = msgspec.json.encode({"form": form, "root_url": root_url})
    return cast(bytes, await archive.result(archive.core.report(file.core, request)))


async def animation(
    archive: Archive,
    file: StoredFile,
    request: PictureRequest,
    frames: list[int] | None = None,
    state: StoredFile | None = None,
) -> MadeFile:
    """Return frames of an instance, counted from 0, or all of them, as an animated GIF.

    Raises as `picture`; UnsupportedImage also if there are more frames or pixels than one may have.
    """
    state_file = None if state is None else state.core
    stream = archive.core.animation(file.core, request.to_json(), frames, state_file)
    return await _opened(archive, stream)


async def array(archive: Archive, file: StoredFile, request: ArrayRequest) -> MadeFile:
    """Return frames of an instance as an array; raises as `picture`."""
    return await _opened(archive, archive.core.array(file.core, request.to_json()))


async def series_array(
    archive: Archive, public_id: str, request: ArrayRequest, caller: Caller
) -> MadeFile:
    """Return all frames of a series as an array, in the order of `ordered_slices`.

    Raises as `picture`; UnsupportedImage also if they differ in size or kind.
    """
    stream = archive.core.series_array(caller.tenant, public_id, request.to_json())
    return await _opened(archive, stream)


class StoredFrame:
    """A frame as it is stored: native samples in little endian, or its codestream."""

    def __init__(self, archive: Archive, file: StoredFile, frame: int, found: _core.Frame):
        self._archive = archive
        self._frame = found
        self.size = 0
        self.digest = f"{file.digest}-frame-{frame}"

    @classmethod
    async def open(cls, archive: Archive, file: StoredFile, frame: int) -> StoredFrame:
        """Find a frame; raises as `picture`."""
        opened = cls(archive, file, frame, archive.core.stored_frame(file.core, frame))
        found = json.loads(cast(bytes, await archive.result(opened._frame.open())))
        opened.size = found["length"]
        return opened

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        return cast(bytes, await self._archive.result(self._frame.read(offset, length)))

    async def gzip(self) -> MadeFile:
        """Return the frame compressed."""
        return await _opened(self._archive, self._frame.gzip())


async def ordered_slices(archive: Archive, public_id: str, caller: Caller) -> bytes:
    """Return the order of the instances of a series, as JSON."""
    begun = archive.core.ordered_slices(caller.tenant, public_id)
    return cast(bytes, await archive.result(begun))


async def representative(archive: Archive, level: str, public_id: str, caller: Caller) -> str:
    """Return the id of the instance whose picture stands for a resource.

    Raises NotFound if there is no such resource, UnsupportedImage if nothing in it is an image.
    """
    begun = archive.core.representative(caller.tenant, level, public_id)
    return cast(bytes, await archive.result(begun)).decode()
