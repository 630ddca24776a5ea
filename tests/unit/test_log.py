import json
import logging

from vna.log import JsonFormatter, TextFormatter


def record(**extra):
    made = logging.makeLogRecord(
        {"name": "vna.x", "levelname": "INFO", "msg": "association accepted", "created": 0.5}
    )
    vars(made).update(extra)
    return made


def test_text_lines_are_a_sentence_then_fields():
    line = TextFormatter().format(record(association=17, calling_ae_title="CT01"))
    assert line == (
        "1970-01-01T00:00:00.500Z info    association accepted association=17 calling_ae_title=CT01"
    )


def test_a_peer_cannot_forge_a_line():
    line = TextFormatter().format(record(calling_ae_title="A\n1970 error gone"))
    assert "\n" not in line


def test_json_lines_hold_the_fields_beside_the_sentence():
    line = json.loads(JsonFormatter().format(record(association=17, path=object)))
    assert line["message"] == "association accepted"
    assert line["association"] == 17
