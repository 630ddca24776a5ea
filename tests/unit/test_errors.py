import inspect
import pickle

import pytest

from vna import errors
from vna.errors import EncodingError, VnaError

CLASSES = [
    found
    for found in vars(errors).values()
    if inspect.isclass(found) and issubclass(found, VnaError)
]

# compat: HTTP status by Orthanc's error number; every number that is not here goes with 500.
STATUS_OF_NUMBER = {
    # 27, an unknown tag, is 500 there; it is a mistake of the client.
    400: {3, 5, 8, 12, 15, 27, 28, *range(2019, 2026)},
    401: {29},
    403: {45},
    404: {7, 13, 17, 21},
    406: {34},
    409: {43, 46},
    415: {3000},
    416: {41},
    503: {36, 42},
}


def test_there_are_errors_to_look_at():
    assert len(CLASSES) > 15


def test_codes_are_unique():
    codes = [cls.code for cls in CLASSES]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_http_status_and_number_say_the_same(cls):
    numbers = STATUS_OF_NUMBER.get(cls.http_status)
    if numbers is None:
        # Statuses that the interface gives without a number of their own.
        assert cls.http_status in {405, 408, 410, 412, 413, 500, 501, 507}
    elif cls.orthanc_error != -1:
        assert cls.orthanc_error in numbers


def test_the_core_raises_with_message_code_and_offset():
    error = EncodingError("ends inside the header", "header.truncated", 140)
    assert (str(error), error.code, error.offset) == (
        "ends inside the header",
        "header.truncated",
        140,
    )
    assert EncodingError("x").code == "encoding"


def test_an_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(EncodingError("m", "c", 3)))
    assert (str(error), error.code, error.offset) == ("m", "c", 3)
