"""How commands find an archive; programs do so alike, hence it is in `vna.services`."""

from vna.services.running import FILE, announce, find, require_archive

__all__ = ["FILE", "announce", "find", "require_archive"]
