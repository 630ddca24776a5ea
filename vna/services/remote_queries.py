"""Queries of remote nodes whose answers clients look at one by one, kept in the control database.

The oldest of a tenant go when he has more than `dicom.max_queries`, or their answers take too much
room.
"""

from __future__ import annotations

import sqlite3
import struct
import time
import uuid
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from vna import _core
from vna.errors import NotFound, OutOfRange
from vna.services import remote_find
from vna.services.modalities import Contact
from vna.services.named_tags import DataSet, data_set_of
from vna.services.peer import EXPLICIT_LITTLE
from vna.services.remote_find import Level

if TYPE_CHECKING:
    from vna.services.node import Node

# What the answers of one tenant's queries may take on the disk: four of the largest.
MAX_KEPT_BYTES = 4 * remote_find.MAX_ANSWER_BYTES

Form = Literal["full", "short", "simplify"]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of whom.

    Attributes
    ----------
    contact : Contact
        The remote node, and how it was called.
    level : str
        As the client wrote it.
    keys : DataSet
        What it was asked for, as the client gave it.
    """

    contact: Contact
    level: str
    keys: DataSet
    normalize: bool = True


class Queries:
    """The queries of one node."""

    def __init__(self, node: Node):
        self._node = node

    async def ask(self, query: Query, tenant: int) -> str:
        """Ask the remote node and return the id under which its answers are kept.

        Raises
        ------
        PeerFailed, PeerRefused
            If it gives none.
        """
        modality = query.contact.modality_of(self._node)
        level = remote_find.level_of(query.level)
        identifier = remote_find.fitted(query.keys, level, modality.manufacturer, query.normalize)
        answers = await remote_find.find(self._node, modality, level, identifier, tenant)
        query_id = str(uuid.uuid4())
        most = self._node.archive.settings.dicom.max_queries
        await self._node.control.run(
            lambda connection: keep(connection, query_id, tenant, query, answers, most)
        )
        return query_id

    async def get(self, query_id: str, tenant: int) -> Query:
        """Return what was asked; raises NotFound."""
        return (await self._find(query_id, tenant))[1]

    async def ids(self, tenant: int) -> list[str]:
        """Return the ids of all queries, the oldest first."""
        rows = await self._node.control.run(
            lambda connection: connection.execute(
                "SELECT id FROM remote_query WHERE tenant = ? ORDER BY sequence", (tenant,)
            ).fetchall()
        )
        return [str(row["id"]) for row in rows]

    async def count(self, query_id: str, tenant: int) -> int:
        """Return how many answers there are; raises NotFound."""
        sequence, _ = await self._find(query_id, tenant)
        row = await self._node.control.run(
            lambda connection: connection.execute(
                "SELECT count(*) FROM remote_answer WHERE query = ?", (sequence,)
            ).fetchone()
        )
        return int(row[0])

    async def answer(self, query_id: str, tenant: int, number: int) -> bytes:
        """Return an answer in Explicit VR Little Endian; raises NotFound, OutOfRange."""
        sequence, _ = await self._find(query_id, tenant)
        row = await self._node.control.run(
            lambda connection: connection.execute(
                "SELECT data_set FROM remote_answer WHERE query = ? AND number = ?",
                (sequence, number),
            ).fetchone()
        )
        if row is None:
            raise OutOfRange(f"query {query_id} has no answer {number}", "query.no_answer")
        return bytes(row["data_set"])

    async def answers(self, query_id: str, tenant: int) -> list[bytes]:
        """Return all answers in Explicit VR Little Endian, in their order; raises NotFound."""
        sequence, _ = await self._find(query_id, tenant)
        rows = await self._node.control.run(
            lambda connection: connection.execute(
                "SELECT data_set FROM remote_answer WHERE query = ? ORDER BY number", (sequence,)
            ).fetchall()
        )
        return [bytes(row["data_set"]) for row in rows]

    async def remove(self, query_id: str, tenant: int) -> None:
        """Forget a query; nothing if there is none."""
        await self._node.control.run(
            lambda connection: connection.execute(
                "DELETE FROM remote_query WHERE id = ? AND tenant = ?", (query_id, tenant)
            )
        )

    async def _find(self, query_id: str, tenant: int) -> tuple[int, Query]:
        row = await self._node.control.run(
            lambda connection: connection.execute(
                "SELECT sequence, asked FROM remote_query WHERE id = ? AND tenant = ?",
                (query_id, tenant),
            ).fetchone()
        )
        if row is None:
            raise NotFound(f"there is no query {query_id[:64]}", "not_found.query")
        return int(row["sequence"]), msgspec.json.decode(row["asked"], type=Query)


def keep(
    connection: sqlite3.Connection,
    query_id: str,
    tenant: int,
    query: Query,
    answers: remote_find.Answers,
    most: int,
) -> None:
    """Write a query and its answers, and forget the tenant's oldest above `most`."""
    asked, held = msgspec.json.encode(query).decode(), sum(map(len, answers.data_sets))
    sequence = connection.execute(
        "INSERT INTO remote_query (id, tenant, asked, bytes, created_us) VALUES (?, ?, ?, ?, ?)",
        (query_id, tenant, asked, held, time.time_ns() // 1000),
    ).lastrowid
    connection.executemany(
        "INSERT INTO remote_answer VALUES (?, ?, ?)",
        (
            (sequence, number, in_explicit(data_set, answers.transfer_syntax_uid))
            for number, data_set in enumerate(answers.data_sets)
        ),
    )
    connection.execute(
        "DELETE FROM remote_query WHERE sequence IN (SELECT sequence FROM"
        " (SELECT sequence, row_number() OVER latest AS place, sum(bytes) OVER latest AS held"
        "  FROM remote_query WHERE tenant = ? WINDOW latest AS (ORDER BY sequence DESC))"
        " WHERE place > ? OR held > ?)",
        (tenant, most, MAX_KEPT_BYTES),
    )


def in_explicit(data_set: bytes, transfer_syntax_uid: str) -> bytes:
    """Return a data set in Explicit VR Little Endian."""
    if transfer_syntax_uid == EXPLICIT_LITTLE:
        return data_set
    file = _core.reencode(
        as_file(data_set, transfer_syntax_uid), transfer_syntax_uid=EXPLICIT_LITTLE
    )
    # (0002,0000), the length of the rest of group 2, is its first element (PS3.10 §7.1).
    return file[144 + int.from_bytes(file[140:144], "little") :]


def as_file(data_set: bytes, transfer_syntax_uid: str = EXPLICIT_LITTLE) -> bytes:
    """Return the least PS3.10 file that holds a data set: what reads files can read it then."""
    uid = transfer_syntax_uid.encode()
    uid += bytes(len(uid) % 2)
    element = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", len(uid)) + uid
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(element))
    return bytes(128) + b"DICM" + length + element + data_set


def shown(data_set: bytes, form: Form) -> bytes:
    """Return a data set in Explicit VR Little Endian as JSON for clients of Orthanc."""
    return _core.tags_json(as_file(data_set), form)


def shown_keys(keys: DataSet, form: Form) -> bytes:
    """Return what was asked for in the same form."""
    encoded = remote_find.encoded(keys, EXPLICIT_LITTLE)
    return shown(encoded, form)


def keys_of(tags: Any) -> DataSet:
    """Return the keys that a client wrote by names; raises BadRequest, UnknownTag."""
    return data_set_of(tags)


def parents_of(data_set: bytes, level: Level) -> DataSet:
    """Return the unique keys of an answer down to its level, as far as it has them."""
    answer = remote_find.Answers(EXPLICIT_LITTLE, []).decoded(data_set)
    wanted = [remote_find.UNIQUE_KEYS[each] for each in remote_find.levels_down_to(level)]
    return {tag: answer[tag] for tag in wanted if answer.get(tag, {}).get("Value")}
