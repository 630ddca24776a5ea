"""The control database: what the archive knows besides images (users, jobs, modalities, worklists).

It is a small SQLite file of its own, and Python's alone: the index belongs to the core. No
transaction spans both, so whatever touches both must be safe to do again.
"""

from vna.control.database import Control, control_file

__all__ = ["Control", "control_file"]
