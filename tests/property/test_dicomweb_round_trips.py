"""What comes by STOW-RS in any form goes out by WADO-RS in each, and QIDO-RS finds it.

Against a server that fills up meanwhile; what must come out is told by the model that the files
were written from, and by pydicom.
"""

import io
import os
import zipfile
from decimal import Decimal
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from oracle import is_universal, matches
from pydicom.datadict import keyword_for_tag
from support import Server
from support_store import Module
from support_target import DICOM, JSON, OCTETS, XML, Target, multipart, parts, related
from web_files import long, noisy, own, pictures, read
from web_models import differences, dumped, of_json, of_xml, said, to_json, to_xml, uris

from vna.testing.model import EXPLICIT_VR_LITTLE_ENDIAN, PIXEL_DATA, UNCOMPRESSED, DataSet
from vna.testing.pydicoms import from_pydicom, to_pydicom

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
EXAMPLES = settings(
    max_examples=int(os.environ.get("VNA_WEB_EXAMPLES", "8")),
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    # What fails is made small in the long form: each step of it is a dozen requests.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
AS_STORED = 'transfer-syntax="*"'
FILE_FORM = {JSON: (to_json, dumped), XML: (to_xml, lambda document: document)}
# What a key of a search may be; the other VRs are not matched.
MATCHED = {"AE", "AS", "CS", "DA", "DS", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST"}
MATCHED |= {"TM", "UC", "UI", "UL", "UR", "US", "UT"}
# What names the instance already, what is never matched (PS3.4 §C.2.2.2), and what each archive
# says of its own.
UNSAID = {"SOPInstanceUID", "SpecificCharacterSet", "RetrieveAETitle", "RetrieveURL"}
UNSAID |= {"InstanceAvailability", "ModalitiesInStudy", "SOPClassesInStudy"}


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("web") / "data").start()
    yield Target(f"{server.url}/dicom-web")
    assert server.stop() == 0


def path_of(made, level="instance"):
    """Return the path of a resource."""
    path = f"/studies/{made.study}"
    if level != "study":
        path += f"/series/{made.series}"
    return path + f"/instances/{made.instance}" if level == "instance" else path


def store(web, made, form, choices):
    """Store a file in a form; assert that it is told to be there."""
    if form == DICOM:
        headers, body = related(DICOM, [made.data])
    else:
        headers, body = split(made, form, choices)
    answer = web.post("/studies", body, headers)
    module = Module(answer)
    assert (module.status, module.stored_uids) == (200, [made.instance]), module.elements
    assert module.url.endswith(path_of(made, "study"))


def split(made, form, choices):
    """Return a request with the metadata of a file and its bulk data beside it."""
    bulk = {}

    def moved(value):
        if not choices.draw(st.booleans(), label="as bulk data"):
            return None
        uri = f"bulk/{len(bulk)}"
        bulk[uri] = value
        return uri

    write, whole = FILE_FORM[form]
    metadata = whole(write(made.model, moved, "pixels"))
    kinds = [form] + [OCTETS] * len(bulk)
    frames = frames_to_send(made)
    kinds += [f"{OCTETS}; transfer-syntax={sent_syntax(made)}"] * len(frames)
    bodies = [metadata, *bulk.values(), *frames.values()]
    locations = [None, *bulk, *frames]
    return related(form, bodies, locations=locations, types=kinds)


def sent_syntax(made):
    return EXPLICIT_VR_LITTLE_ENDIAN if made.syntax in UNCOMPRESSED else made.syntax


def frames_to_send(made):
    """Return the parts of pixel data: of what is compressed each frame has its own."""
    if not made.frames:
        return {}
    if made.syntax in UNCOMPRESSED:
        return {"pixels": made.model[PIXEL_DATA].value}
    return {f"pixels/frames/{number}": frame for number, frame in enumerate(made.frames, 1)}


def fetcher(web):
    """Return what gets the value of a BulkDataURI."""

    def fetch(uri):
        return web.ok(uri, OCTETS).content

    return fetch


def check_metadata(web, made, expected):
    fetch = fetcher(web)
    for level in ("instance", "series", "study"):
        answer = web.ok(f"{path_of(made, level)}/metadata", JSON)
        (found,) = answer.json(parse_float=Decimal)
        assert not differences(of_json(found, fetch), expected)
        assert (f"{PIXEL_DATA:08X}" in found) == bool(made.frames)
    (part,) = parts(web.ok(f"{path_of(made)}/metadata", multipart(XML)))
    assert not differences(of_xml(part.body, fetch), expected)


def check_files(web, made, form, expected):
    path = path_of(made)
    (part,) = parts(web.ok(path, multipart(DICOM, AS_STORED)))
    single = web.ok(path, f"{DICOM}; {AS_STORED}")
    assert single.content == part.body
    answers = [part.body, *(web.ok(path_of(made, level), "application/zip") for level in LEVELS)]
    for number, answer in enumerate(answers[1:], 1):
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            (name,) = archive.namelist()
            answers[number] = archive.read(name)
    assert answers == [part.body] * 4
    if form == DICOM:
        assert part.body == made.data
    else:
        assert not differences(told(read_by_pydicom(part.body)), told(expected))
    return part.body


LEVELS = ("instance", "series", "study")


def read_by_pydicom(data):
    """Return what pydicom reads of a file that has its texts in UTF-8 or ASCII."""
    dataset = read(data)
    dataset.decode()
    return said(from_pydicom(dataset))


def told(found):
    """The same, whatever private elements without a value were: pydicom does not always say."""
    plain = {}
    for tag, (vr, values) in found.items():
        if tag >> 16 & 1 and not values:
            vr, values = "UN", b""
        elif vr == "SQ":
            values = tuple(told(item) for item in values)
        plain[tag] = vr, values
    return plain


def check_frames(web, made):
    path = f"{path_of(made)}/frames"
    if not made.frames:
        assert web.get(f"{path}/1").status_code == 404
        return
    numbers = list(range(1, len(made.frames) + 1))
    listed = ",".join(map(str, numbers))
    answer = web.get(f"{path}/{listed}", multipart(OCTETS, AS_STORED))
    if is_noise(made) and answer.status_code == 400:
        # Nothing tells the frames apart: then none is given rather than a wrong one.
        assert answer.json()["Code"].startswith("frames."), answer.text
        return
    assert [part.body for part in parts(answer)] == made.frames
    backwards = ",".join(map(str, numbers[::-1]))
    found = parts(web.ok(f"{path}/{backwards}", multipart(OCTETS, AS_STORED)))
    assert [part.body for part in found] == made.frames[::-1]
    (part,) = parts(web.ok(f"{path}/{numbers[-1]}", multipart(OCTETS, AS_STORED)))
    assert part.body == made.frames[-1]
    assert web.get(f"{path}/{numbers[-1] + 1}").status_code == 404
    if made.decoded:
        found = parts(web.ok(f"{path}/{listed}", multipart(OCTETS)))
        assert [part.body for part in found] == made.decoded


def is_noise(made):
    """Whether its compressed frames are none."""
    return made.decoded is None and made.syntax not in UNCOMPRESSED


def check_plain(web, made, stored):
    """Assert that the file in Explicit VR Little Endian says the same."""
    (part,) = parts(web.ok(path_of(made), multipart(DICOM)))
    assert part.parameters.get("transfer-syntax") == EXPLICIT_VR_LITTLE_ENDIAN
    plain = read(part.body)
    if "no_meta" not in made.file.oddities:  # what is stored in it is given as it came
        assert plain.file_meta.TransferSyntaxUID == EXPLICIT_VR_LITTLE_ENDIAN
    assert not differences(told(read_by_pydicom(part.body)), told(read_by_pydicom(stored)))
    if made.decoded:
        pixels = b"".join(made.decoded)
        assert plain.PixelData == pixels + b"\0" * (len(pixels) % 2)


def check_bulk_data(web, made):
    """Assert that all bulk data at once is what the metadata refers to."""
    metadata = web.ok(f"{path_of(made)}/metadata", JSON).json()
    referred = set(uris(metadata))
    answer = web.get(f"{path_of(made)}/bulkdata", multipart(OCTETS, AS_STORED))
    if not referred:
        assert answer.status_code == 404, answer.text
        return
    if is_noise(made) and answer.status_code == 400:
        assert answer.json()["Code"].startswith("frames."), answer.text
        return
    found = parts(answer)
    locations = {unquote(part.headers["content-location"]) for part in found}
    pixels = {uri for uri in referred if uri.lower().endswith("7fe00010")}
    assert locations >= {unquote(uri) for uri in referred - pixels}
    for part in found:
        if part.headers["content-location"] in referred - pixels:
            assert part.body == fetcher(web)(part.headers["content-location"])


def check_found(web, made, expected, choices):
    """Assert that keys of what it says find it, and keys of what it does not say do not."""
    for path, element in choices.draw(st.permutations(list(keys(made.readable))))[:4]:
        key = choices.draw(key_of(element.vr, element.value), label=path)
        params = {"SOPInstanceUID": made.instance, path: key}
        found = web.search("/instances", params)
        one = to_pydicom(DataSet((element,)))
        should = is_universal(key) or matches(one[element.tag], key, folded=False)
        assert len(found) == should, (path, key, element.value)


def keys(data_set, path=()):
    """Return the attributes by which a data set can be found, with their paths."""
    for element in data_set:
        keyword = keyword_for_tag(element.tag)
        is_own = keyword in UNSAID or ("Related" in keyword and keyword.startswith("NumberOf"))
        if not keyword or element.tag >> 16 & 1 or is_own:
            continue
        names = (*path, keyword)
        if element.vr == "SQ":
            if len(element.items) == 1:
                yield from keys(element.items[0], names)
        elif element.vr in MATCHED and element.value and len(str(element.value)) < 1000:
            yield ".".join(names), element


@st.composite
def key_of(draw, vr, values):
    value = str(draw(st.sampled_from(values)))
    if vr in ("DA", "TM"):
        return draw(st.sampled_from(["{}", "-{}", "{}-"])).format(value)
    if vr in ("UI", "AS", "IS", "DS", "FL", "FD", "US", "UL", "SS", "SL", "UR"):
        return value
    at = draw(st.integers(0, len(value)))
    form = draw(st.sampled_from(["{0}", "{1}*", "*{2}", "{1}?{3}", "X{0}"]))
    return form.format(value, value[:at], value[at:], value[at + 1 :]).strip() or "*"


def check(web, made, form, choices):
    note(f"{path_of(made)} by {form}: {made.file.transfer_syntax_uid} {set(made.file.oddities)}")
    note(f"{made.model!r}")
    store(web, made, form, choices)
    expected = said(made.readable if form == DICOM else made.model)
    check_metadata(web, made, expected)
    stored = check_files(web, made, form, expected)
    check_frames(web, made)
    if not is_noise(made):
        check_plain(web, made, stored)
    check_bulk_data(web, made)
    check_found(web, made, expected, choices)


FORMS = st.sampled_from([DICOM, JSON, XML])


@EXAMPLES
@given(made=own(noisy()), form=FORMS, choices=st.data())
def test_any_data_set_comes_out_in_each_form_as_it_came_in(web, made, form, choices):
    check(web, made, form, choices)


@EXAMPLES
@given(made=own(long()), form=FORMS, choices=st.data())
def test_long_values_come_out_as_they_came_in(web, made, form, choices):
    check(web, made, form, choices)


@EXAMPLES
@given(made=own(pictures()), form=FORMS, choices=st.data())
def test_frames_come_out_as_they_came_in(web, made, form, choices):
    check(web, made, form, choices)
