"""The worklist of a node: items created, listed, changed, deleted, and answered to modalities."""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, cast

from vna.control import Control
from vna.errors import BadRequest, Conflict, NotFound, OutOfStorage
from vna.services import uids
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.services.named_tags import DataSet, data_set_of, text, values
from vna.services.worklist import items
from vna.services.worklist.encoding import decoded, encoded
from vna.services.worklist.folder import WorklistFolder
from vna.services.worklist.items import STATUSES, Item, Status
from vna.services.worklist.keys import (
    STATION_AE_TITLE,
    STEPS,
    STUDY_INSTANCE_UID,
    Condition,
    conditions,
    keys_of,
    single,
)
from vna.services.worklist.writing import write

# Items that are compared, and listed, at a time: some hundred KiB.
PAGE = 250


class Worklist:
    """Scheduled procedure steps.

    Parameters
    ----------
    archive : Archive
        Whose core compares data sets, and whose settings name the folder of worklist files.
    control : Control
        Where the items are.
    """

    def __init__(self, archive: Archive, control: Control):
        self._archive = archive
        self._control = control
        self._settings = archive.settings.worklist
        self._folder: WorklistFolder | None = None
        if self._settings.folder:
            self._folder = WorklistFolder(self._settings.folder, control)

    async def create(self, tags: Any, tenant: int) -> str:
        """Add an item of these names of tags, and return its id.

        It gets a Study Instance UID if it has none. Raises BadRequest if it is no item.
        """
        item = new_item(str(uuid.uuid4()), item_of(tags))
        await self._control.run(lambda connection: write(connection, tenant, [item]))
        return item.id

    async def get(self, item_id: str, tenant: int) -> Item:
        """Return an item; raises NotFound."""
        await self.refresh()
        found = await self._control.run(lambda connection: items.find(connection, tenant, item_id))
        if found is None:
            raise NotFound(f"{item_id} is none of the worklist items", "not_found.worklist_item")
        return found

    async def all(self, tenant: int, since: int = 0, limit: int = 0) -> AsyncIterator[Item]:
        """Yield items, whatever their status, in the order of creation; a `limit` of 0: all."""
        await self.refresh()
        after, skip, left = 0, since, limit
        while True:
            most = min(left, PAGE) if limit else PAGE
            listed = partial(items.listed, tenant=tenant, after=after, skip=skip, limit=most)
            page = await self._control.run(listed)
            for item in page:
                yield item
            left -= len(page)
            if len(page) < PAGE or (limit and not left):
                return
            after, skip = page[-1].sequence, 0

    async def change(self, item_id: str, tags: Any, status: Any, tenant: int) -> None:
        """Give an item other tags, another status, or both; None leaves what it has.

        Raises NotFound, BadRequest, and Conflict if a worklist file says what its tags are.
        """
        found = await self.get(item_id, tenant)
        if status is not None and status not in STATUSES:
            raise BadRequest(f"Status is {status!r}; it takes {', '.join(STATUSES)}")
        item = None
        if tags is not None:
            if found.file is not None:
                raise Conflict(f"the item is what its worklist file says; change {found.file}")
            item = new_item(item_id, item_of(tags, decoded(found.data_set)))

        def both(connection: items.Connection) -> None:
            if item is not None:
                items.write(connection, tenant, [item])
            if status is not None:
                items.set_status(connection, tenant, item_id, cast(Status, status))

        await self._control.run(both)

    async def delete(self, item_id: str, tenant: int) -> None:
        """Remove an item, and the worklist file that it came from; raises NotFound."""
        found = await self.get(item_id, tenant)
        if found.file is not None and self._folder is not None:
            try:
                await asyncio.to_thread(self._folder.remove, found.file)
            except OSError as error:
                raise OutOfStorage(f"{found.file} cannot be removed: {error}") from None
            await self.refresh()
        await self._control.run(lambda connection: items.delete(connection, tenant, [item_id]))

    async def find(
        self, identifier: bytes, asked: DataSet, transfer_syntax_uid: str, caller: Caller
    ) -> AsyncIterator[bytes]:
        """Yield the answers to a query, encoded as it is (PS3.4 §K.2.2, §K.4.1).

        Steps that are completed or discontinued are not answered: there is nothing to do.

        Parameters
        ----------
        identifier : bytes
            The query in `transfer_syntax_uid`.
        asked : DataSet
            The same in DICOM JSON.
        """
        await self.refresh()
        wanted = conditions(asked)
        if self._settings.own_station_only and not asks_for_station(asked):
            own = caller.calling_ae_title.strip().casefold()
            wanted.append(Condition.equal("station_ae_title", own))
        async for page in self._candidates(wanted, caller.tenant):
            data_sets = [item.data_set for item in page]
            begun = self._archive.core.match_data_sets(
                identifier, transfer_syntax_uid, data_sets, transfer_syntax_uid
            )
            for answer in answers(cast(bytes, await self._archive.result(begun))):
                yield answer

    async def _candidates(self, wanted: list[Condition], tenant: int) -> AsyncIterator[list[Item]]:
        """Yield pages of the items that may match; each is a look at the database of its own."""
        after = 0
        while True:
            page = await self._control.run(
                partial(items.candidates, tenant=tenant, conditions=wanted, after=after, limit=PAGE)
            )
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1].sequence

    async def refresh(self) -> None:
        """Read what changed in the folder of worklist files."""
        if self._folder is not None:
            await self._folder.refresh()


def item_of(tags: Any, former: DataSet | None = None) -> DataSet:
    """Return the item that names of tags stand for; raises BadRequest.

    A change that gives no Study Instance UID keeps that of `former`.
    """
    item = data_set_of(tags)
    steps = values(item, STEPS)
    if len(steps) != 1:
        raise BadRequest(
            f"ScheduledProcedureStepSequence has {len(steps)} items; a worklist item is one "
            "scheduled procedure step (PS3.4 K.6.1.2.2)"
        )
    if not text(item, STUDY_INSTANCE_UID):
        uid = text(former, STUDY_INSTANCE_UID) if former else ""
        item[STUDY_INSTANCE_UID] = {"vr": "UI", "Value": [uid or uids.generate()]}
    return dict(sorted(item.items()))


def new_item(item_id: str, item: DataSet) -> items.New:
    """Return an item as it is written."""
    data_set = encoded(item)
    return items.New(item_id, keys_of(decoded(data_set)), data_set)


def asks_for_station(identifier: DataSet) -> bool:
    """Whether a query names stations itself."""
    steps = values(identifier, STEPS)
    return bool(steps) and single(steps[0], STATION_AE_TITLE) is not None


def answers(packed: bytes) -> Iterator[bytes]:
    """Yield the data sets of the core's answer: (index, length) as u32, then the bytes."""
    at = 0
    while at < len(packed):
        _, length = struct.unpack_from("<II", packed, at)
        at += 8
        yield packed[at : at + length]
        at += length
