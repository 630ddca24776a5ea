"""Remote nodes: where they are kept, and how they are found."""

import pytest

from vna.control import Control
from vna.errors import SettingsError, UnknownModality
from vna.services.modalities import Modalities
from vna.settings import Modality, load

CT = Modality(name="ct", aet="CT01", host="10.0.0.1")
PACS = Modality(name="pacs", aet="PACS", host="10.0.0.2", port=11112, retrieve_method="c-get")
OTHER = Modality(name="other", aet="PACS", host="10.0.0.3")

TABLES = """
[[dicom.modalities]]
name = "ct"
aet = "CT01"
host = "10.0.0.1"

[[dicom.modalities]]
name = "{name}"
aet = "{aet}"
host = "10.0.0.2"
port = 11112
retrieve_method = "c-get"
"""


def configured(tmp_path, **words):
    file = tmp_path / "vna.toml"
    file.write_text(TABLES.format(**{"name": "pacs", "aet": "PACS", **words}))
    return load(file, environment={}).dicom.modalities


@pytest.fixture
def control(tmp_path):
    control = Control(tmp_path / "control.sqlite")
    yield control
    control.close()


def test_the_configuration_names_modalities(tmp_path):
    assert configured(tmp_path) == [CT, PACS]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"name": "ct"}, "ct is there twice"),
        ({"aet": "SEVENTEEN LETTERS"}, "AE title|regex"),
        ({"name": "a/b"}, "regex"),
        ({"aet": 'X"\nmanufacturer = "Nobody'}, "Nobody"),
        ({"aet": 'X"\nallow_teleport = true\nlocal_aet = "Y'}, "allow_teleport"),
    ],
)
def test_a_wrong_modality_is_refused_by_name(tmp_path, words, message):
    with pytest.raises(SettingsError, match=message):
        configured(tmp_path, **words)


async def test_what_is_set_at_run_time_is_there_after_a_restart(control):
    published = []
    modalities = Modalities([CT], lambda: published.append(1))
    await modalities.start(control)
    await modalities.set(PACS)
    await modalities.set(OTHER)
    await modalities.remove("other")
    assert len(published) == 3
    again = Modalities([CT], lambda: None)
    await again.start(control)
    assert again.all() == [CT, PACS]


async def test_what_the_configuration_names_changes_until_the_next_start_only(control):
    moved = Modality(name="ct", aet="CT02", host="10.0.0.9")
    modalities = Modalities([CT, PACS], lambda: None)
    await modalities.start(control)
    await modalities.set(moved)
    await modalities.remove("pacs")
    assert modalities.all() == [moved]
    again = Modalities([CT, PACS], lambda: None)
    await again.start(control)
    assert again.all() == [CT, PACS]


async def test_what_cannot_be_read_hides_no_other(control):
    modalities = Modalities([], lambda: None)
    await modalities.start(control)
    await modalities.set(CT)
    await control.run(lambda c: c.execute("INSERT INTO modality VALUES ('x', '{\"new\": 1}')"))
    again = Modalities([], lambda: None)
    await again.start(control)
    assert again.all() == [CT]


def test_of_several_with_one_ae_title_the_one_that_calls_is_meant():
    modalities = Modalities([CT, PACS, OTHER], lambda: None)
    assert modalities.by_ae_title("PACS", "10.0.0.2") == PACS
    assert modalities.by_ae_title("PACS") == OTHER  # the first by name
    assert modalities.by_ae_title(" ct01 ") == CT
    assert modalities.by_ae_title("NOBODY") is None
    assert modalities.get("ct") == CT
    with pytest.raises(UnknownModality, match="'mr'"):
        modalities.get("mr")
