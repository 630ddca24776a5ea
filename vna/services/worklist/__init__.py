"""Modality Worklist (PS3.4 Annex K): scheduled procedure steps, their sources, who gets them.

An item is a data set of Explicit VR Little Endian in the control database, whether a client created
it or a worklist file brought it. Beside it stand the keys that queries usually name; SQL narrows by
them, and the core's matching decides.
"""

from vna.services.worklist.items import Item, Status
from vna.services.worklist.worklist import Worklist

__all__ = ["Item", "Status", "Worklist"]
