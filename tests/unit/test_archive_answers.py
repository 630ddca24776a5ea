"""Archives as answers: by servers that let the core write them, and by others."""

import pytest

from vna.errors import OutOfRange
from vna.rest.archives import ArchiveResponse
from vna.rest.server import STREAM
from vna.services.archives import ArchiveRequest


class Pieces:
    """Stands for an archive in the making."""

    def __init__(self, *pieces):
        self.pieces = [*pieces, b""]
        self.is_closed = False

    async def read(self):
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self):
        self.is_closed = True


async def sent(stream, scope):
    messages = []

    async def send(message):
        messages.append(message)

    async def receive():
        return {"type": "http.disconnect"}

    response = ArchiveResponse(stream, {"Content-Disposition": 'filename="a.zip"'})
    await response({"type": "http", "asgi": {"spec_version": "2.4"}, **scope}, receive, send)
    return messages


async def test_a_server_that_lets_the_core_write_is_handed_the_archive():
    stream = Pieces(b"PK")
    head, body = await sent(stream, {"extensions": {STREAM: {}}})
    assert (b"content-type", b"application/zip") in head["headers"]
    assert body == {"type": STREAM, "stream": stream}
    assert stream.is_closed


async def test_any_other_server_gets_it_in_pieces():
    stream = Pieces(b"PK", b"more")
    messages = await sent(stream, {})
    assert b"".join(message.get("body", b"") for message in messages) == b"PKmore"
    assert not messages[-1].get("more_body")
    assert stream.is_closed


async def test_an_archive_that_fails_does_not_look_whole():
    stream = Pieces(b"PK", OutOfRange("gone"))
    with pytest.raises(OutOfRange):
        await sent(stream, {})
    assert stream.is_closed


@pytest.mark.parametrize(
    "wanted",
    [{"transcode": "1.2.3"}, {"transcode": ""}, {"lossy_quality": 0}, {"lossy_quality": 101}],
)
def test_transfer_syntaxes_and_qualities_that_there_are_not_are_refused(wanted):
    with pytest.raises(OutOfRange):
        ArchiveRequest(resources=[], **wanted).check()
