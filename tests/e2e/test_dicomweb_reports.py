"""Structured reports as documents that people read (PS3.18 §8.7.4)."""

import io
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, generate_uid
from support import make_instance

FILES = ("test-SR.dcm", "reportsi.dcm")
XHTML = "{http://www.w3.org/1999/xhtml}"


def as_bytes(data_set):
    file = io.BytesIO()
    data_set.save_as(file, enforce_file_format=True)
    return file.getvalue()


def code(meaning, value="1", scheme="99TEST"):
    found = Dataset()
    found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning = value, scheme, meaning
    return found


def item(kind, name, **values):
    found = Dataset()
    found.RelationshipType, found.ValueType = "CONTAINS", kind
    found.ConceptNameCodeSequence = [code(name)]
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def make_report(image, *items, title="A report"):
    """Return a report with these content items, whose evidence is an image."""
    report = pydicom.dcmread(io.BytesIO(make_instance()))
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        report.pop(keyword, None)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.SpecificCharacterSet = "ISO_IR 192"
    report.PatientName = "Müller^Änne"
    report.ValueType, report.ConceptNameCodeSequence = "CONTAINER", [code(title)]
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = image.SOPClassUID
    instance.ReferencedSOPInstanceUID = image.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = image.SeriesInstanceUID, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = image.StudyInstanceUID, [series]
    report.CurrentRequestedProcedureEvidenceSequence = [study]
    report.ContentSequence = list(items)
    return report


ATTACK = "</p><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;"


@pytest.fixture(scope="module")
def web(start_server):
    server = start_server()
    server.reports = {}
    for name in FILES:
        report = pydicom.dcmread(get_testdata_file(name, read=False))
        # Some have an identifier of a study that is none.
        report.StudyInstanceUID, report.SeriesInstanceUID = generate_uid(), generate_uid()
        server.reports[name] = report
        server.upload(as_bytes(report))
    server.image = pydicom.dcmread(io.BytesIO(make_instance(size=64)))
    server.upload(as_bytes(server.image))
    reference = Dataset()
    reference.ReferencedSOPClassUID = server.image.SOPClassUID
    reference.ReferencedSOPInstanceUID = server.image.SOPInstanceUID
    link = item("IMAGE", "Source image", ReferencedSOPSequence=[reference])
    server.own = make_report(
        server.image, item("TEXT", ATTACK, TextValue=f"Größe\r\n{ATTACK}"), link, title=ATTACK
    )
    server.upload(as_bytes(server.own))
    return server


def rendered(web, report, accept, status=200, **headers):
    path = (
        f"/dicom-web/studies/{report.StudyInstanceUID}/series/{report.SeriesInstanceUID}"
        f"/instances/{report.SOPInstanceUID}/rendered"
    )
    answer = web.http.get(path, headers={"Accept": accept, **headers})
    assert answer.status_code == status, answer.text
    return answer


class Read(HTMLParser):
    """What a browser sees of a document: its elements and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.links = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.words += data


def words(text):
    return re.sub(r"\s+", " ", text)


def texts_of(content):
    """Yield what content items say in words: texts, and the meanings of names and codes."""
    for element in content:
        if element.keyword in ("TextValue", "CodeMeaning") and element.value:
            yield words(str(element.value))
        # Units are written as symbols.
        if element.VR == "SQ" and element.keyword != "MeasurementUnitsCodeSequence":
            for each in element.value:
                yield from texts_of(each)


@pytest.mark.parametrize("name", FILES)
def test_everything_that_a_real_report_says_is_in_its_document(web, name):
    report = web.reports[name]
    html = rendered(web, report, "text/html")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    plain = rendered(web, report, "text/plain")
    for said in (words(Read(html.text).words), words(plain.text)):
        content = pydicom.Dataset()
        content.ContentSequence = report.ContentSequence
        for text in texts_of(content):
            assert text in said, text
    tree = ElementTree.fromstring(rendered(web, report, "text/xml").content)
    assert tree.tag == f"{XHTML}html"
    assert words("".join(tree.itertext())) == words(Read(html.text).words)


@pytest.mark.parametrize("name", FILES)
def test_measurements_are_those_that_dcmtk_shows(web, name, tmp_path):
    file = tmp_path / "report.dcm"
    file.write_bytes(as_bytes(web.reports[name]))
    done = subprocess.run(["dsr2html", "+Rd", file], capture_output=True, check=False)
    theirs = words(Read(done.stdout.decode("utf-8", "replace")).words)
    ours = words(Read(rendered(web, web.reports[name], "text/html").text).words)
    numbers = [each for each in web.reports[name].iterall() if each.keyword == "NumericValue"]
    for each in numbers:
        assert str(each.value) in ours
        assert str(each.value) in theirs


def test_no_script_gets_into_a_document(web):
    for accept in ("text/html", "text/xml"):
        answer = rendered(web, web.own, accept)
        document = Read(answer.text)
        assert not {"script", "img"} & set(document.elements)
        assert document.words.count("alert('1')") == 4  # title, heading, name and text
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox; default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
    plain = rendered(web, web.own, "text/plain")
    assert "Größe" in plain.text
    assert "Müller, Änne" in plain.text


def test_references_to_images_are_links_to_them(web):
    (link,) = Read(rendered(web, web.own, "text/html").text).links
    assert link.startswith(f"{web.url}/dicom-web/studies/{web.image.StudyInstanceUID}/")
    assert web.http.get(link).headers["content-type"] == "image/jpeg"
    proxied = {"X-Forwarded-Host": "archive.example", "X-Forwarded-Proto": "https"}
    through = rendered(web, web.own, "text/plain", **proxied)
    assert "image https://archive.example/dicom-web/studies/" in through.text


def test_a_report_is_a_page_unless_another_form_is_asked_for(web):
    anything = rendered(web, web.own, "*/*")
    assert anything.headers["content-type"].startswith("text/html")
    tag = anything.headers["etag"]
    rendered(web, web.own, "*/*", 304, **{"If-None-Match": tag})
    assert rendered(web, web.own, "text/xml").headers["etag"] != tag
    rendered(web, web.own, "image/png", 406)
    rendered(web, web.own, "text/html", 406, **{"Accept-Charset": "iso-8859-1"})
    keys = {
        "requestType": "WADO",
        "studyUID": web.own.StudyInstanceUID,
        "seriesUID": web.own.SeriesInstanceUID,
        "objectUID": web.own.SOPInstanceUID,
    }
    for media in ("text/html", "text/plain", "text/xml", "application/dicom"):
        answer = web.http.get("/wado", params=keys | {"contentType": media})
        assert answer.headers["content-type"].startswith(media)
    answer = web.http.get("/wado", params=keys | {"contentType": "image/jpeg"})
    assert answer.status_code == 406


def test_the_reports_of_a_study_or_series_are_parts_or_the_first_of_them(web):
    second = make_report(web.image, item("TEXT", "Finding", TextValue="the second"))
    second.StudyInstanceUID = web.own.StudyInstanceUID
    second.SeriesInstanceUID = web.own.SeriesInstanceUID
    second.PatientID, second.InstanceNumber = web.own.PatientID, 99
    web.upload(as_bytes(second))
    study = f"/dicom-web/studies/{web.own.StudyInstanceUID}"
    for path in (study, f"{study}/series/{web.own.SeriesInstanceUID}"):
        accept = {"Accept": 'multipart/related; type="text/plain"'}
        every = web.http.get(f"{path}/rendered", headers=accept)
        assert every.headers["content-type"].startswith('multipart/related; type="text/plain"')
        found = [part for part in every.text.split("--") if "text/plain" in part]
        assert len(found) == 2
        assert "the second" in found[1]
        first = web.http.get(f"{path}/rendered", headers={"Accept": "text/html"})
        assert first.text == rendered(web, web.own, "text/html").text
    images = f"/dicom-web/studies/{web.image.StudyInstanceUID}/rendered"
    for accept in ("text/html", 'multipart/related; type="text/html"'):
        assert web.http.get(images, headers={"Accept": accept}).status_code == 406


def test_a_report_that_is_too_much_to_be_shown_says_so(web):
    deep = item("TEXT", "end", TextValue="end")
    for _ in range(70):
        deep = item("CONTAINER", "more", ContentSequence=[deep])
    report = make_report(web.image, deep)
    web.upload(as_bytes(report))
    refused = rendered(web, report, "text/html", 406)
    assert "levels of content items" in refused.text
    empty = make_report(web.image)
    for keyword in ("ContentSequence", "ValueType"):
        del empty[keyword]
    web.upload(as_bytes(empty))
    rendered(web, empty, "text/html", 406)
