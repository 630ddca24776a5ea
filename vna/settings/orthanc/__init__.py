"""Orthanc's configuration as ours, so that a site starts this archive with the file that it has.

`files` reads what Orthanc reads, `table` says what each key is here, `site` puts the two together.
"""

from vna.settings.orthanc.site import Note, Site, read

__all__ = ["Note", "Site", "read"]
