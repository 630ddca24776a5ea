"""Statuses of queries and retrievals (PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4)."""

from vna.dimse.serving import CANCEL

OUT_OF_RESOURCES = 0xA700
NUMBER_OF_MATCHES = 0xA701
SUBOPERATIONS = 0xA702
UNKNOWN_DESTINATION = 0xA801
SOME_FAILED = 0xB000
UNABLE_TO_PROCESS = 0xC000
# Above the limit of a C-FIND, Orthanc ends as if the peer had cancelled.
LIMIT_STATUS = {"standard": OUT_OF_RESOURCES, "orthanc": CANCEL}
