"""Durations by route, levels of the log, bounds that contradict open doors."""

import logging

import msgspec
import pytest

from vna import log
from vna.rest import durations
from vna.rest.durations import BOUNDS_S, Durations
from vna.settings import Settings
from vna.settings.contradictions import contradictions


def test_a_duration_counts_in_every_class_that_it_fits():
    seen = Durations()
    for took in (0.0005, BOUNDS_S[0], 0.3, 60.0):
        seen.record("GET", "/studies/{id}", took)
    lines = list(seen.lines())
    labels = 'method="GET",route="/studies/{id}"'
    assert f'vna_http_request_seconds_bucket{{{labels},le="0.001"}} 2' in lines
    assert f'vna_http_request_seconds_bucket{{{labels},le="0.25"}} 2' in lines
    assert f'vna_http_request_seconds_bucket{{{labels},le="0.5"}} 3' in lines
    assert f'vna_http_request_seconds_bucket{{{labels},le="+Inf"}} 4' in lines
    assert f"vna_http_request_seconds_count{{{labels}}} 4" in lines
    assert seen.longest_s == 60.0


def test_the_longest_duration_is_forgotten_after_two_windows(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(durations.time, "monotonic", lambda: now[0])
    seen = Durations()
    seen.record("GET", "/system", 2.0)
    now[0] += durations.WINDOW_S + 1
    seen.record("GET", "/system", 1.0)
    assert seen.longest_s == 2.0
    now[0] += durations.WINDOW_S + 1
    assert seen.longest_s == 1.0
    now[0] += 3 * durations.WINDOW_S
    assert seen.longest_s == 0.0


def test_a_category_tells_more_and_then_what_is_configured():
    logger = logging.getLogger("vna.rest.app")
    before = logger.getEffectiveLevel()
    try:
        log.set_verbosity("http", "trace")
        assert (log.verbosity("http"), log.most_verbose()) == ("trace", "trace")
        assert logger.isEnabledFor(logging.DEBUG)
        assert log.verbosity("dicom") == "default"
    finally:
        log.set_verbosity("http", "default")
    assert logger.getEffectiveLevel() == before
    assert log.most_verbose() == "info"


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ({"storage": {"maximum_bytes": 1, "maximum_mode": "reject"}}, []),
        ({"storage": {"maximum_mode": "recycle"}}, []),
        (
            {"storage": {"maximum_bytes": 1, "maximum_mode": "recycle"}},
            ["dicom.unknown_callers"],
        ),
        (
            {
                "storage": {"maximum_patients": 1, "maximum_mode": "recycle"},
                "dicom": {"unknown_callers": ["echo"]},
            },
            [],
        ),
        (
            {
                "storage": {"maximum_patients": 1, "maximum_mode": "recycle"},
                "dicom": {"enabled": False},
                "http": {"host": "0.0.0.0", "allow_remote_unauthenticated": True},
            },
            ["http.allow_remote_unauthenticated"],
        ),
    ],
)
def test_recycling_refuses_doors_by_which_strangers_may_store(more, keys):
    settings = msgspec.convert(more, Settings)
    found = [text for text in contradictions(settings) if text.startswith("storage.maximum_mode")]
    assert len(found) == len(keys)
    assert all(key in text for key, text in zip(keys, found, strict=True))
