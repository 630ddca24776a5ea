"""The command line: `vna serve` and the commands that work on an archive's folder."""
