"""Write the tables of de-identification from what packages on PyPI hold of the standard.

    python ext/profile_table.py core-rs/dicom/src/edit/profile

e1_1.tsv is Table E.1-1 of PS3.15, types.tsv what IODs of PS3.3 require of the attributes for which
that table leaves a choice of actions.

Nobody publishes the history of the table in a form for machines. Known are:

- edition 2013: the actions of the Basic Profile, in dicom-anonymizer 1.0.1 (BSD);
- edition 2020b: all columns, in dicom-standard 0.1.0 (MIT);
- editions 2023, 2024b and 2026c: the actions, in dicom-anonymizer 2.1.0 (BSD).

Rows come and stay: none has gone since 2020, and three since 2013 that name no person. So a row is
given the first edition that has it, of those that clients can name. Which rows came between 2013
and 2017c, and between 2020b and 2021b, was seen from outside: they are what an Orthanc removes for
the one and not for the other; so was the list of 2008, which was another one. The cells of the
options of rows younger than 2020 are below, as the table has them; those of eight rows of 2026c
have not been seen, so no option keeps them.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("dicom-anonymizer==1.0.1", "dicom-standard==0.1.0", "dicom-anonymizer==2.1.0")

# Column of the table as dicom-standard names it; the order is that of the table.
OPTIONS = (
    "rtnSafePrivOpt",
    "rtnUIDsOpt",
    "rtnDevIdOpt",
    "rtnInstIdOpt",
    "rtnPatCharsOpt",
    "rtnLongFullDatesOpt",
    "rtnLongModifDatesOpt",
    "cleanDescOpt",
    "cleanStructContOpt",
    "cleanGraphOpt",
)
DATES = {"rtnLongFullDatesOpt": "K", "rtnLongModifDatesOpt": "C"}
COLUMNS = (
    "private",
    "uids",
    "device",
    "institution",
    "patient",
    "full dates",
    "modified dates",
    "descriptors",
    "structured content",
    "graphics",
)

LIST_OF_2008 = """
00080014 00080018 00080050 00080080 00080081 00080090 00080092 00080094 00081010 00081030 0008103e
00081040 00081048 00081050 00081060 00081070 00081080 00081155 00082111 00100010 00100020 00100030
00100032 00100040 00101000 00101001 00101010 00101020 00101030 00101040 00101090 00102000 00102154
00102160 00102180 001021b0 00104000 00181000 00181030 0020000d 0020000e 00200010 00200052 00200200
00204000 00321032 00400275 0040a124 0040a730 00880140 30060024 300600c2
"""
NEW_IN_2017C = """
00080015 0008009c 0008009d 00101100 00102155 00182042 00189516 00189517 00401104 00402011 00404005
00404010 00404011 00404050 00404051 00404052 0040a171 0040a172 0040a192 0040a193 0040a307 0040a352
0040a353 0040a354 0040a358 0040a402 00620021 00701101 00701102 30080105 300c0113
"""
NEW_IN_2021B = """
001811bb 00185011 00189937 003a0310 003a0314 00400009 00400310 04000551 04000552 30060002 30060004
30060006 30060008 30060009 30060026 30060028 30060038 30060085 30060088 300600a6 300a0700 300a0734
300a0736 300a073a 300a0741 300a0742 300a0760 300a0783
"""

# Cells of the options of rows younger than 2020.
YOUNGER = {
    "rtnUIDsOpt=K": "00080017 00080019 003a0310 00640003 006a0003 300a0054 300a0700 300a0785",
    "rtnDevIdOpt=C": "00080054 00080055 00081000 0072005e 00741234 00741236 21000070 21000140",
    "rtnDevIdOpt=K": """
        0014407c 0014407e 00181200 00181201 00181202 00181203 00181204 00181205 00185011 0018700c
        0018700e 04000563 300c0127""",
    "rtnInstIdOpt=K": "04000564",
    "rtnPatCharsOpt=C": "00100042",
    "rtnPatCharsOpt=K": "00100043 00100046 00100047 00102161 00102162 0072005f",
    "cleanDescOpt=C": """
        00081088 00081301 00081302 00081303 00081304 00100016 00100042 00100045 001811bb 00189937
        00200027 003a0329 003a032b 00400310 0040b03b 0040b03f 006a0005 006a0006 00720066 00720068
        0072006c 0072006e 00720070 04000565 30020121 30020123 30060002 30060004 30060006 30060026
        30060028 30060038 30060085 30060088 300a000b 300a0734 300a0742 300a0783 300a078e 300a0792
        300a0794 300a079a""",
    "rtnLongFullDatesOpt=K rtnLongModifDatesOpt=C": """
        00080012 00080013 00080106 00080107 00120086 00120087 0014407c 0014407e 00180027 00180035
        00181012 00181014 00181042 00181043 00181072 00181073 00181078 00181079 00181200 00181201
        00181202 00181203 00181204 00181205 0018700c 0018700e 00189074 00189151 00189623 00189701
        00189804 00189919 0018a002 00203403 00203405 00320032 00320033 00320034 00320035 00321000
        00321001 00321010 00321011 00321040 00321041 00321050 00321051 0038001a 0038001b 0038001c
        0038001d 00380030 00380032 003a0314 00402004 00402005 0040a023 0040a024 0040a030 0040a032
        0040a033 0040a034 0040a035 0040a082 0040a110 0040a112 0040a120 0040a121 0040a122 0040a13a
        0040b034 0040b036 0040db06 0040db07 0040e004 00440004 0044000b 00440010 00440104 00440105
        00686226 00686270 00700082 00700083 0072000a 00720061 00720063 0072006b 01000420 04000105
        04000310 04000562 21000040 21000050 30060008 30060009 3006002d 3006002e 30080024 30080025
        30080162 30080164 30080166 30080168 300a022c 300a022e 300a0736 300a073a 300a0741 300a0760
        300c0127 300e0004 300e0005 30100085 40080100 40080101 40080108 40080109 40080112
        40080113""",
}
# Cells of rows that were there in 2020, and have changed since.
CHANGED = {
    ("00203401", "rtnDevIdOpt"): "K",
    ("00081120", "rtnUIDsOpt"): "K",
    ("00400001", "rtnDevIdOpt"): "C",
    ("00400241", "rtnDevIdOpt"): "C",
    ("00321021", "rtnDevIdOpt"): "C",
}

STORAGE = "1.2.840.10008.5.1.4.1.1."

HEAD = """\
# Table E.1-1 of PS3.15, written by ext/profile_table.py; do not edit. `x` is any digit.
# edition: the first that has the row, of those that clients name. profile: the action of the Basic
# Profile in 2026c.
# Then the cells of the options, `-` where the table has none.
"""


HEAD_OF_TYPES = f"""\
# Written by ext/profile_table.py from PS3.3 of 2020; do not edit. For an attribute of the outermost
# data set, where Table E.1-1 leaves a choice or removes: the SOP classes, less the prefix
# {STORAGE}, whose IOD has it as type 1, 1C, 2 or 2C. In all others of those that
# are listed first it is of type 3, or not there."""


def download(folder: Path) -> dict[str, Path]:
    """Unpack the packages, each below its name and version; return the folders by name."""
    unpacked = {}
    for package in PACKAGES:
        wheels, into = folder / "wheels" / package, folder / package
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            wheels,
            package,
        ]
        subprocess.run(command, check=True)
        for wheel in wheels.iterdir():
            zipfile.ZipFile(wheel).extractall(into)
        unpacked[package] = into
    return unpacked


def actions(module: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read a module of dicom-anonymizer: action and name of each tag, `x` for free digits."""
    rows: dict[str, str] = {}
    names: dict[str, str] = {}
    for action, body in re.findall(r"^(\w+)_TAGS = \[\n(.*?)^\]", module.read_text(), re.M | re.S):
        for numbers, name in re.findall(r"\(([^)]+)\),\s*# (.*)", body):
            parts = [int(number, 16) for number in numbers.replace(",", " ").split()]
            group, element, *mask = (f"{number:04x}" for number in parts)
            free = zip(group + element, "".join(mask) or 8 * "f", strict=True)
            tag = "".join(digit if fixed == "f" else "x" for digit, fixed in free)
            rows[tag] = action.replace("_STAR", "*").replace("_", "/")
            names[tag] = name.strip()
    return rows, names


def edition(
    tag: str,
    of_2013: Collection[str],
    of_2020: Collection[str],
    of_2023: Collection[str],
    of_2024b: Collection[str],
) -> str:
    """Return the first edition that has a row, of those that clients can name."""
    if tag in LIST_OF_2008.split():
        return "2008"
    if tag in of_2013 or tag in NEW_IN_2017C.split():
        return "2017c"
    if tag in of_2020 or tag in NEW_IN_2021B.split():
        return "2021b"
    return "2023b" if tag in of_2023 else "2024b" if tag in of_2024b else "2026c"


def table(unpacked: Mapping[str, Path]) -> Iterator[str]:
    """Give the lines of Table E.1-1."""
    oldest, standard, newest = (unpacked[package] for package in PACKAGES)
    [path] = standard.rglob("confidentiality_profile_attributes.json")
    of_2020 = {row["id"]: row for row in json.loads(path.read_text())}
    of_2013, _ = actions(oldest / "dicomanonymizer/dicomfields.py")
    databases = newest / "dicomanonymizer/dicom_anonymization_databases"
    of_2023, _ = actions(databases / "dicomfields_2023.py")
    of_2024b, _ = actions(databases / "dicomfields_2024b.py")
    of_2026c, names = actions(databases / "dicomfields_2026c.py")

    gone = set(of_2020) - set(of_2026c) - {"ggggeeee-where-gggg-is-odd"}
    assert not gone, f"rows of 2020 that are no more: {gone}"
    for tag, row in of_2020.items():
        differs = of_2026c.get(tag, "X") != row["basicProfile"].strip()
        assert not differs or tag in {"00100020", "30080105", "300a00b2", "30100077"}, tag

    cells = {
        tag: {option: row[option].strip() for option in OPTIONS if row.get(option, "").strip()}
        for tag, row in of_2020.items()
    }
    for options, tags in YOUNGER.items():
        for tag in tags.split():
            assert tag in set(of_2026c) - set(of_2020), tag
            pairs = (cell.partition("=") for cell in options.split())
            cells.setdefault(tag, {}).update((option, value) for option, _, value in pairs)
    for (tag, option), cell in CHANGED.items():
        cells[tag][option] = cell

    yield HEAD + "\t".join(("# tag", "edition", "profile", *COLUMNS, "name"))
    for tag in sorted(of_2026c):
        since = edition(tag, of_2013, of_2020, of_2023, of_2024b)
        kept = (cells.get(tag, {}).get(option, "-") for option in OPTIONS)
        yield "\t".join((tag, since, of_2026c[tag], *kept, names[tag]))


def types(unpacked: Mapping[str, Path], tags: Collection[str]) -> Iterator[str]:
    """Give the lines of what IODs require of some attributes of their outermost data set.

    Of several modules of an IOD the strictest counts, but what it need not have is conditional.
    """
    _, standard, _ = (unpacked[package] for package in PACKAGES)

    def read(name: str) -> Any:
        [path] = standard.rglob(f"{name}.json")
        return json.loads(path.read_text())

    required: dict[str, dict[str, str]] = {}
    for attribute in read("module_to_attributes"):
        module, *path = attribute["path"].split(":")
        if len(path) == 1 and path[0] in tags and attribute["type"]:
            required.setdefault(module, {})[path[0]] = attribute["type"]
    ciods = {ciod["id"]: ciod["name"] for ciod in read("ciods")}
    by_ciod: dict[str, dict[str, str]] = {}
    for use in read("ciod_to_modules"):
        held = by_ciod.setdefault(ciods[use["ciodId"]], {})
        for tag, kind in required.get(use["moduleId"], {}).items():
            if use["usage"] != "M" and kind != "3":
                kind = f"{kind[0]}C"
            held[tag] = min(kind, held.get(tag, "3"))
    classes = {sop["id"].removeprefix(STORAGE): sop["ciod"] for sop in read("sops")}
    classes = {uid: ciod for uid, ciod in classes.items() if ciod in by_ciod}

    yield HEAD_OF_TYPES
    yield "\t".join(("all", "-", *sorted(classes)))
    for tag in sorted(tags):
        for kind in ("1", "1C", "2", "2C"):
            uids = sorted(uid for uid, ciod in classes.items() if by_ciod[ciod].get(tag) == kind)
            if uids:
                yield "\t".join((tag, kind, *uids))


def main(folder: str) -> None:
    """Write both tables."""
    with tempfile.TemporaryDirectory() as downloads:
        unpacked = download(Path(downloads))
        rows = list(table(unpacked))
        decided = ("D", "U", "X/Z/U*")
        tags = {row[:8] for row in rows[1:] if row.split("\t")[2] not in decided}
        tags = {tag for tag in tags if "x" not in tag}
        for name, lines in (("e1_1", rows), ("types", types(unpacked, tags))):
            (Path(folder) / f"{name}.tsv").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main(sys.argv[1])
