"""Every character set of PS3.3 C.12.1.1.2: the standard's own examples, real files, pydicom."""

import json
import os
import warnings
from pathlib import Path

import pydicom
import pydicom.charset
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna import _core
from vna.errors import EncodingError

PACKAGED = Path(pydicom.data.__file__).parent
SHARED = Path(os.environ.get("VNA_SHARED", Path(__file__).parents[3] / "shared")) / "data"
TAGS = {"PatientName": 0x00100010, "StudyDescription": 0x00081030, "InstitutionName": 0x00080080}

# PS3.5 Annexes H, I, J, K: the examples of the standard.
STANDARD = [
    (
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"
        b"=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
        b"=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (
        "ISO_IR 192",
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
        "Wang^XiaoDong=王^小東=",
    ),
    ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    (
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    (
        "ISO_IR 144",
        b"\xbb\xee\xda\xe1\xd5\xdc\xd1\xe3\xe0\xd3",
        "Люкceмбypг".translate(str.maketrans("ceyp", "сеур")),
    ),
    ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
    ("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    ("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
]


@pytest.mark.parametrize(("terms", "value", "text"), STANDARD)
def test_the_examples_of_the_standard_read_as_it_says(terms, value, text):
    assert _core.decode_text(value, terms=terms, vr="PN") == text


@pytest.mark.parametrize(
    ("vr", "value", "text"),
    [
        # A delimiter switches back to the first set, in which bytes above 7F are Latin-1 here.
        ("PN", b"\x1b-F\xc4\xc9^\xc4", "ΔΙ^Ä"),
        ("LO", b"\x1b-F\xc4\xc9\\\xc4", "ΔΙ\\Ä"),
        ("LO", b"\x1b-F\xc4\xc9^\xc4", "ΔΙ^Δ"),  # ^ delimits in PN alone
        ("LT", b"\x1b-F\xc4\xc9\\\xc4\r\n\xc4", "ΔΙ\\Δ\r\nÄ"),
        (
            "LO",
            b"\x1b$B\x42\x40\x1b(B\\x",
            "太\\x",
        ),  # no pair of JIS X 0208 is taken for a backslash
        ("LO", b"\x1b$B%\\\x1b(B", "ボ"),
        ("PN", b"\x1b$B%^\x1b(B", "マ"),
        ("LO", b"\x1b$(D\x22\x6f\x1b(B", "™"),
        ("LO", b"\x1b-?x", "\ufffd-?x"),  # no such set: the escape is marked, the rest stays
        ("LO", b"\x1b", "\ufffd"),
        ("LO", b"\x1b$B\x42", "\ufffd"),  # half a pair
    ],
)
def test_escapes_and_delimiters_follow_the_rules_of_code_extension(vr, value, text):
    terms = "ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 87\\ISO 2022 IR 159"
    assert _core.decode_text(value, terms=terms, vr=vr) == text


@pytest.mark.parametrize(
    "terms",
    ["ISO_IR 100", "ISO-IR 100", "ISO IR 100", "ISO_IR_100", "iso_ir 100 ", "ISO 2022 IR 100"],
)
def test_misspelled_terms_are_understood(terms):
    assert _core.decode_text(b"\xe9", terms=terms, vr="LO") == "é"


@pytest.mark.parametrize("second_byte", [0x5C, 0x7E])
def test_a_backslash_inside_a_gb18030_character_is_no_delimiter(second_byte):
    value = bytes([0x81, second_byte])
    assert _core.decode_text(value, terms="GB18030", vr="LO") == value.decode("gb18030")


def test_bytes_above_7f_without_a_character_set_read_as_latin_1():
    assert _core.decode_text(b"J\xe9", terms="", vr="PN") == "Jé"
    assert _core.decode_text(b"J\xe9", terms="NO SUCH SET", vr="PN") == "Jé"


def test_undefined_bytes_become_the_replacement_character():
    assert _core.decode_text(b"a\xffb", terms="ISO_IR 192", vr="LO") == "a\ufffdb"
    assert _core.decode_text(b"\xa5", terms="ISO_IR 127", vr="LO") == "\ufffd"


SINGLE_BYTE = {
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 127": "iso8859-6",
    "ISO_IR 138": "iso8859-8",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 166": "iso8859-11",
    "ISO_IR 203": "iso8859-15",
}


@pytest.mark.parametrize(("terms", "codec"), SINGLE_BYTE.items())
def test_every_byte_of_the_single_byte_sets_reads_as_pythons_codec_reads_it(terms, codec):
    for byte in range(0xA0, 0x100):
        value = bytes([byte])
        expected = value.decode(codec, errors="replace")
        assert _core.decode_text(value, terms=terms, vr="LO") == expected, hex(byte)


def test_every_character_of_the_double_byte_sets_reads_as_pythons_codec_reads_it():
    """But for those that were added to Python's or the web's tables since; they are few."""
    sets = [
        ("\\ISO 2022 IR 87", b"\x1b$B%b\x1b(B", "iso2022_jp", 0x21),
        ("\\ISO 2022 IR 159", b"\x1b$(D%b\x1b(B", "iso2022_jp_2", 0x21),
        ("\\ISO 2022 IR 149", b"\x1b$)C%b", "euc_kr", 0xA1),
        ("\\ISO 2022 IR 58", b"\x1b$)A%b", "gb2312", 0xA1),
    ]
    for terms, form, codec, first in sets:
        same = different = 0
        for lead in range(first, first + 94):
            for trail in range(first, first + 94):
                pair = bytes([lead, trail])
                encoded = pair if first == 0xA1 else form % pair
                expected = encoded.decode(codec, errors="ignore")
                if len(expected) == 1:
                    ours = _core.decode_text(form % pair, terms=terms, vr="LO")
                    same, different = same + (ours == expected), different + (ours != expected)
        assert same > 6000, terms
        assert different <= 4, terms


def first_texts(path, tags):
    read = _core.read_instance(path.read_bytes())["tags"]
    return {name: read.get(tag, "") for name, tag in tags.items()}


@pytest.mark.skipif(not (SHARED / "derived-charsets").is_dir(), reason="no shared test data")
def test_the_derived_files_hold_their_true_texts():
    folder = SHARED / "derived-charsets"
    expected = json.loads((folder / "expected.json").read_text())
    assert len(expected) >= 23
    for case in expected:
        texts = first_texts(folder / case["file"], TAGS)
        assert texts == {name: case[name] for name in TAGS}, case["file"]


@pytest.mark.parametrize(
    "path", sorted((PACKAGED / "charset_files").glob("*.dcm")), ids=lambda p: p.name
)
def test_pydicoms_charset_files_read_as_pydicom_reads_them(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = str(pydicom.dcmread(path).get("PatientName", ""))
    tags = json.loads(_core.tags_json(path.read_bytes(), "short"))
    # pydicom drops empty groups at the end of a name.
    assert tags.get("0010,0010", "").rstrip("=") == name.rstrip(" =")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\\\0"), max_size=40))
def test_utf_8_comes_through_unchanged(text):
    assert _core.decode_text(text.encode(), terms="ISO_IR 192", vr="LO") == text


@given(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(["", "ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 149", "GBK"]),
        max_size=3,
    ),
    st.sampled_from(["PN", "LO", "LT", "UT", "ZZ"]),
)
def test_any_bytes_give_a_text(value, terms, vr):
    text = _core.decode_text(value, terms="\\".join(terms), vr=vr)
    assert len(text) <= len(value)


def test_a_vr_has_two_letters():
    with pytest.raises(Exception, match="two letters") as caught:
        _core.decode_text(b"", terms="", vr="PNX")
    assert not isinstance(caught.value, EncodingError)
