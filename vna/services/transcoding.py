"""Files in other transfer syntaxes, for the ways in."""

from vna._core import pixel_syntaxes, transcode_file

__all__ = ["pixel_syntaxes", "transcode_file"]
