"""Storage Commitment Push Model (PS3.4 Annex J): who keeps what, proven by reading it again.

As provider (role ``asked``): a peer names instances, a job reads each and compares it with its
digest, and the report says which of them we keep. As user (role ``asking``): we name instances to a
peer, and its report, whenever and on whichever association it comes, is found by its transaction.

What always holds:

(1) A request is answered with success only after its transaction and its job are on the disk.
(2) An instance is reported as committed only after its bytes were read and match their digest.
(3) What was reported as committed is recorded before the report leaves.
"""

from vna.services.commitment.asked import accept, read_again
from vna.services.commitment.asking import remove, report, request, submit, take_report
from vna.services.commitment.records import Reference, Transaction

__all__ = [
    "Reference",
    "Transaction",
    "accept",
    "read_again",
    "remove",
    "report",
    "request",
    "submit",
    "take_report",
]
