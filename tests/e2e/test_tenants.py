"""A tenant isolates: whatever others store, delete and label, each sees his own alone."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import make_instance
from support_cli import vna
from support_tenants import EVERYONE, TENANTS, TITLES, VIEW, Archives

import vna as vna_client

tenants = st.sampled_from(TENANTS)
studies = st.tuples(st.sampled_from((1, 2)), st.sampled_from((1, 2)))
operations = st.one_of(
    st.tuples(st.just("store"), tenants, st.sampled_from(EVERYONE)),
    st.tuples(st.just("store"), tenants, st.sampled_from(EVERYONE)),
    st.tuples(
        st.just("store_over_dicom"),
        st.sampled_from([*TITLES.values(), VIEW]),
        st.sampled_from(EVERYONE),
    ),
    st.tuples(st.just("delete"), tenants, studies),
    st.tuples(st.just("undelete"), tenants, studies),
    st.tuples(
        st.just("label"), tenants, studies, st.sampled_from(("teaching", "b")), st.just("PUT")
    ),
    st.tuples(st.just("label"), tenants, studies, st.just("teaching"), st.just("DELETE")),
)


@pytest.fixture(scope="module")
def archives(start_server, tmp_path_factory):
    archives = Archives(start_server, tmp_path_factory.mktemp("tenants"))
    yield archives
    archives.destination.shutdown()


def do(archives, operation):
    name, whose, what, *rest = operation
    if name in {"delete", "undelete", "label"}:
        getattr(archives, name)(whose, *what, *rest)
    else:
        getattr(archives, name)(whose, what)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(operations, min_size=4, max_size=24))
def test_no_tenant_sees_or_changes_what_another_has(archives, operations):
    archives.clear()
    # What is known of everybody lets each ask for what is not his.
    for who in EVERYONE[:3]:
        archives.store(3, who)
    for operation in operations:
        do(archives, operation)
    archives.check()


def test_a_rebuilt_index_keeps_tenants_and_labels(archives):
    archives.clear()
    for tenant, everyone in ((1, EVERYONE[:3]), (2, EVERYONE[2:5]), (3, EVERYONE[1:2])):
        for who in everyone:
            archives.store(tenant, who)
    archives.label(1, 1, 1, "teaching", "PUT")
    archives.label(2, 1, 2, "teaching", "PUT")
    archives.delete(2, 2, 1)
    archives.check()
    assert archives.server.stop() == 0
    assert vna("reindex", "--root", archives.server.root).returncode == 0
    assert vna("check", "--root", archives.server.root).stdout.endswith("all is well\n")
    archives.server.start()
    archives.connect()
    archives.check()


def test_the_owner_of_a_folder_acts_for_any_tenant_with_or_without_a_server(start_server, tmp_path):
    root, files = tmp_path / "data", tmp_path / "files"
    files.mkdir()
    (files / "one.dcm").write_bytes(make_instance(patient="MINE"))
    (files / "two.dcm").write_bytes(make_instance(patient="MINE"))

    def found(tenant):
        with vna_client.open(root, tenant=tenant) as archive:
            return [instance.id for instance in archive.instances()]

    def check():
        [instance] = found(1)
        assert found(3) == []
        with vna_client.open(root, tenant=2) as archive:
            assert archive.statistics()["CountInstances"] == 2
            assert archive.get(instance, "instance").file() == (files / "one.dcm").read_bytes()
        both = set(found(2))
        assert len(both) == 2
        foreign = (both - {instance}).pop()
        searched = vna("find", "instance", "--ids", "--root", root, "--tenant=2")
        assert set(searched.stdout.split()) == both, searched.stderr
        for tenant, status in ((2, 0), (3, 3)):
            shown = vna("dump", foreign, "--root", root, f"--tenant={tenant}")
            assert shown.returncode == status, shown.stderr

    assert vna("import", files / "one.dcm", "--root", root).returncode == 0
    assert vna("import", files, "--root", root, "--tenant=2").returncode == 0
    check()
    server = start_server(root=root)
    check()
    # As the core answers alone, too: nobody is asked for a password here.
    secret = (root / "control" / "local.secret").read_text()
    for instance in set(found(2)) - set(found(1)):
        path = f"/instances/{instance}"
        for header, status in (("", 404), (" 1", 404), (" 2", 200), (" 3", 404), (" x", 401)):
            told = {"Authorization": f"VNA-Local {secret}{header}"}
            assert server.http.get(path, headers=told).status_code == status, header
        wrong = {"Authorization": "VNA-Local guessed 2"}
        assert server.http.get(path, headers=wrong).status_code == 401
    third = tmp_path / "three.dcm"
    third.write_bytes(make_instance(patient="MINE"))
    assert vna("import", third, "--root", root, "--tenant=3").returncode == 0
    assert (len(found(1)), len(found(2)), len(found(3))) == (1, 2, 1)
    assert vna("undelete", *found(2), "--root", root, "--tenant=3").returncode == 3
    refused = vna("find", "study", "--url", server.url, "--tenant=2")
    assert "the user decides" in refused.stderr
    assert refused.returncode != 0
