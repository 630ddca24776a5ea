"""Write the names of transfer syntaxes and storage SOP classes (PS3.6 Table A-1), from pydicom's.

    python ext/uid_names.py vna/services/uid_names.tsv

UIDs that are younger than that pydicom stay without a name.
"""

import sys
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from vna import _core

YOUNGER = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
}


def main() -> None:
    """Write the file that the command line names."""
    names = YOUNGER | {uid: entry[0] for uid, entry in UID_dictionary.items()}
    known = [*_core.transfer_syntaxes(), *_core.storage_sop_classes()]
    rows = sorted(f"{uid}\t{names[uid]}\n" for uid in known if uid in names)
    Path(sys.argv[1]).write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
