"""QIDO-RS of both servers with the same files: dicomweb-client asks, and finds the same."""

from pathlib import Path

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.data import get_testdata_file
from pydicom.datadict import keyword_for_tag
from support import Server, make_instance
from support_orthanc import Orthanc, dicomweb_plugin, program

STUDY = "1.2.3"
FILES = ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "SC_rgb_jpeg_gdcm.dcm"]
# Where they are, each says in its own words; texts are in UTF-8 in both, of which only Orthanc
# says in which set they were stored.
OWN = {"RetrieveURL", "InstanceAvailability", "SpecificCharacterSet", "RetrieveAETitle"}
UIDS = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}


def made(number, series, **attributes):
    return make_instance(
        study=STUDY,
        series=f"{STUDY}.{series}",
        patient="WEB1",
        number=number,
        SOPInstanceUID=f"{STUDY}.{series}.{number}",
        PatientName="Web^Search",
        StudyDate="20240115",
        StudyTime="101500",
        AccessionNumber="A-7",
        StudyDescription="Knee, left",
        **attributes,
    )


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """Return clients of our server and of the peer, loaded alike."""
    executable = program()
    theirs = Orthanc(executable, tmp_path_factory.mktemp("orthanc"), **dicomweb_plugin(executable))
    ours = Server(tmp_path_factory.mktemp("ours") / "data")
    files = [get_testdata_file(name, read=False) for name in FILES]
    data = [Path(file).read_bytes() for file in files]
    data += [made(number, 1) for number in range(1, 5)]
    data += [made(1, 2, Modality="MR", SeriesDescription="localizer")]
    try:
        both = ours.start(), theirs.start()
        for server in both:
            for one in data:
                assert server.http.post("/instances", content=one).is_success
        yield tuple(DICOMwebClient(f"{server.url}/dicom-web") for server in both)
    finally:
        theirs.stop()
        if ours.process is not None and ours.process.poll() is None:
            ours.stop()


# Without wildcards: its plugin finds nothing by those of small letters.
SEARCHES = [
    ("studies", {}),
    ("studies", {"search_filters": {"PatientID": "WEB1"}}),
    ("studies", {"search_filters": {"00100020": "WEB1"}, "fields": ["StudyDescription"]}),
    ("studies", {"search_filters": {"StudyDate": "20240101-20241231"}}),
    ("studies", {"search_filters": {"StudyDate": "-20041231"}}),
    ("studies", {"search_filters": {"ModalitiesInStudy": "MR"}}),
    ("studies", {"search_filters": {"AccessionNumber": "A-7"}}),
    ("studies", {"search_filters": {"StudyInstanceUID": STUDY}}),
    ("studies", {"search_filters": {"PatientID": "nobody"}}),
    ("series", {}),
    ("series", {"study_instance_uid": STUDY}),
    ("series", {"study_instance_uid": STUDY, "search_filters": {"Modality": "MR"}}),
    ("instances", {}),
    ("instances", {"study_instance_uid": STUDY}),
    ("instances", {"study_instance_uid": STUDY, "series_instance_uid": f"{STUDY}.1"}),
    ("instances", {"search_filters": {"SOPInstanceUID": f"{STUDY}.1.2"}}),
    ("instances", {"study_instance_uid": STUDY, "search_filters": {"InstanceNumber": "3"}}),
]


def by_uid(client, level, options):
    found = getattr(client, f"search_for_{level}")(**options)
    return {one[UIDS[level]]["Value"][0]: one for one in found}


@pytest.mark.parametrize(("level", "options"), SEARCHES, ids=str)
def test_both_find_the_same_and_say_the_same_of_it(clients, level, options):
    ours, theirs = (by_uid(client, level, options) for client in clients)
    assert set(ours) == set(theirs)
    for uid, one in ours.items():
        other = theirs[uid]
        for tag in one.keys() & other.keys():
            if keyword_for_tag(tag) not in OWN:
                assert said(one[tag]) == said(other[tag]), (uid, keyword_for_tag(tag))
        missing = {keyword_for_tag(tag) for tag in other.keys() - one.keys() if said(other[tag])}
        assert missing <= OWN, (uid, missing)


def said(element):
    """Return the values of an element as texts: 1 and 1.0 are the same to both."""
    values = element.get("Value", [])
    return [str(float(one)) if isinstance(one, (int, float)) else one for one in values]


def test_pages_join_to_the_whole(clients):
    whole = [by_uid(client, "instances", {}) for client in clients]
    for client, expected in zip(clients, whole, strict=True):
        pages = [
            by_uid(client, "instances", {"limit": 4, "offset": offset}) for offset in (0, 4, 8, 12)
        ]
        joined = {uid for page in pages for uid in page}
        assert joined == set(expected)
        assert sum(map(len, pages)) == len(expected)
    ours = clients[0].search_for_instances(get_remaining=True, limit=4)
    assert len(ours) == len(whole[0])
