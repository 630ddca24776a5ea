"""The rules of the archive, the same for every way in."""
