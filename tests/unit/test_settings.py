import json

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vna import settings
from vna.errors import SettingsError
from vna.settings import Settings, load


def write(tmp_path, text):
    file = tmp_path / "vna.toml"
    file.write_text(text)
    return file


def problems(**arguments):
    with pytest.raises(SettingsError) as caught:
        load(environment=arguments.pop("environment", {}), **arguments)
    return str(caught.value)


def test_defaults_are_those_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load(environment={})
    assert found.storage.root == "./vna-data"
    assert (found.http.host, found.http.port) == ("127.0.0.1", 8042)
    assert (found.dicom.host, found.dicom.port, found.dicom.aet) == ("0.0.0.0", 4242, "VNA")


def test_flags_win_over_environment_and_environment_over_file(tmp_path):
    file = write(tmp_path, "[dicom]\naet = 'FILE'\nport = 1\n[http]\nport = 1\n")
    environment = {"VNA__DICOM__AET": "ENV", "VNA__DICOM__PORT": "2", "PATH": "/bin"}
    found = load(file, environment, {"dicom.aet": "FLAG"})
    assert (found.dicom.aet, found.dicom.port, found.http.port) == ("FLAG", 2, 1)


def test_vna_toml_of_the_current_folder_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "[dicom]\naet = 'HERE'\n")
    assert load(environment={}).dicom.aet == "HERE"


def test_a_named_file_that_is_missing_is_an_error(tmp_path):
    assert "no such file" in problems(file=tmp_path / "nowhere.toml")


def test_a_broken_file_is_named_with_its_line(tmp_path):
    found = problems(file=write(tmp_path, "[dicom]\naet = \n"))
    assert "vna.toml" in found
    assert "line 2" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[dicom]\naett = 'X'", "dicom.aett (FILE): unknown key; did you mean dicom.aet?"),
        ("[dicm]\naet = 'X'", "dicm.aet (FILE): unknown key; did you mean dicom.aet?"),
        ("[storage]\nzzz = 1", "storage.zzz (FILE): unknown key; [storage] has root, "),
        ("[qqqq]\nzzz = 1", "qqqq.zzz (FILE): unknown key; sections are storage, http, "),
        ("port = 1", "port (FILE): unknown key"),
    ],
)
def test_unknown_keys_are_errors_with_a_suggestion(tmp_path, text, expected):
    file = write(tmp_path, text)
    assert problems(file=file).startswith(expected.replace("FILE", str(file)))


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("VNA__DICOM__PORT", "abc", "dicom.port (VNA__DICOM__PORT): expected `int`, not 'abc'"),
        ("VNA__DICOM__PORT", "70000", "expected `int` <= 65535, not '70000'"),
        ("VNA__DICOM__AET", "A" * 17, "expected an AE title: 1 to 16 printable"),
        ("VNA__DICOM__AET", "A\\B", "expected an AE title"),
        ("VNA__STORAGE__DUPLICATES", "maybe", "expected one of 'never', 'always', 'if-changed'"),
        ("VNA__DICOM__ARTIM_TIMEOUT_S", "0", "expected `float` > 0.0"),
        ("VNA__DICM__AET", "X", "did you mean dicom.aet?"),
    ],
)
def test_wrong_values_name_key_place_and_what_is_right(variable, text, expected):
    assert expected in problems(environment={variable: text})


def test_the_file_is_not_read_loosely(tmp_path):
    assert "expected `int`, not '4242'" in problems(file=write(tmp_path, "[dicom]\nport = '4242'"))


def test_all_problems_are_told_at_once():
    found = problems(environment={"VNA__DICOM__PORT": "x", "VNA__HTTP__PORT": "y"})
    assert len(found.splitlines()) == 2


def test_lists_come_from_text_separated_by_commas():
    found = load(environment={"VNA__DICOM__CALLING_AETS": "CT01, MR 2,"})
    assert found.dicom.calling_aets == ["CT01", "MR 2"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "archive.example.org"])
def test_http_beyond_loopback_must_ask_who_is_there(host):
    off = {"http.host": host, "http.authentication": "off"}
    assert "it is off" in problems(flags=off)
    allowed = {**off, "http.allow_remote_unauthenticated": "true"}
    assert load(environment={}, flags=allowed).http.host == host


def test_several_addresses_come_from_a_list_or_commas_and_count_once(tmp_path):
    file = tmp_path / "vna.toml"
    file.write_text('[http]\nhost = ["127.0.0.1", "::1", "127.0.0.1"]\n')
    for found in (
        load(file, environment={}),
        load(environment={"VNA__HTTP__HOST": "127.0.0.1, ::1"}),
    ):
        assert (found.http.hosts, found.http.is_local) == (["127.0.0.1", "::1"], True)
    one = load(environment={}, flags={"http.host": "::1"})
    assert (one.http.host, one.http.hosts) == ("::1", ["::1"])
    file.write_text("[http]\nhost = []\n")
    with pytest.raises(SettingsError, match=r"http\.host"):
        load(file, environment={})


def test_one_wide_address_among_several_must_ask_who_is_there():
    off = {"http.host": "127.0.0.1,192.168.1.5", "http.authentication": "off"}
    assert "it is off, and http.host 127.0.0.1, 192.168.1.5" in problems(flags=off)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_permission(host):
    assert load(environment={}, flags={"http.host": host}).http.host == host


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"http.port": "4242", "http.host": "127.0.0.1", "dicom.host": "127.0.0.1"}, "one each"),
        ({"http.max_body_bytes": "536870913"}, "which holds all bodies"),
        ({"limits.http_body_bytes": "104857600"}, "is more than half of limits.http_body_bytes"),
        ({"dicom.calling_hosts": "10.0.0.1/8"}, "has host bits set"),
        ({"dicom.max_associations": "2"}, "dicom.max_associations_per_peer: 64 is more than"),
        ({"storage.segment_bytes": "1048576"}, "does not fit into a segment"),
    ],
)
def test_contradictions_refuse_to_start(flags, expected):
    assert expected in problems(flags=flags)


def test_one_body_takes_at_most_a_quarter_of_what_all_may():
    assert 4 * Settings().http.max_body_bytes <= Settings().limits.http_body_bytes


def test_every_key_has_a_description_and_a_default_that_is_valid():
    keys = list(settings.schema())
    assert len(keys) > 20
    for key in keys:
        assert key.description, key.name
        assert msgspec.convert(key.default, key.type) == key.default


def test_the_core_gets_every_key():
    sent = json.loads(load(environment={}).to_json())
    names = {f"{section}.{key}" for section, keys in sent.items() for key in keys}
    assert names == {key.name for key in settings.schema()}


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_the_core_is_told_how_to_start_helpers_only_where_codecs_are_isolated(isolation):
    given = load(environment={"VNA__CODECS__ISOLATION": isolation})
    sent = json.loads(given.to_json(helper_command=["program"]))
    assert sent["codecs"].get("helper_command") == (["program"] if isolation == "process" else None)


def test_a_budget_that_the_largest_frame_would_not_fit_is_refused():
    environment = {"VNA__CODECS__MAX_FRAME_BYTES": str(1 << 30)}
    with pytest.raises(SettingsError, match=r"codecs.memory_bytes: .* eight times"):
        load(environment=environment)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
def test_no_unknown_variable_is_passed_over(environment):
    prefixed = {f"VNA__{name}": text for name, text in environment.items()}
    unknown = [name.lower().replace("__", ".") for name in environment]
    assume(not set(unknown) & {key.name for key in settings.schema()})
    if not environment:
        assert load(environment=prefixed) == Settings()
    else:
        # One line for each, whatever stands in it: no key is passed over.
        with pytest.raises(SettingsError):
            load(environment=prefixed)


def test_an_error_in_a_table_says_where_and_tells_no_password():
    for name, table in [
        ("peers.known", {"name": "a", "url": "ftp://x", "password": "hush-hush"}),
        ("peers.known", {"name": "a", "url": "http://x", "password": 5, "username": "hush-hush"}),
        ("http.users", {"name": "ann", "password": "hush-hush", "role": "emperor"}),
    ]:
        with pytest.raises(SettingsError) as refused:
            settings.build([settings.Given(name, [table], "vna.toml", False)])
        told = str(refused.value)
        assert name in told
        assert "[0]" in told or "at " in told, told
        assert "hush-hush" not in told
