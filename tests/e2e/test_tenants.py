"""A tenant isolates: whatever others store, delete and label, each sees his own alone."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_cli import vna
from support_tenants import EVERYONE, TENANTS, TITLES, VIEW, Archives

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
    return Archives(start_server, tmp_path_factory.mktemp("tenants"))


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
