"""The association policy table that the data plane decides by.

Python compiles it from the configuration and publishes it whole; the data plane swaps it in and
never asks back for the usual association (PS3.8 §9.3.4 has the reasons of a rejection).
"""

from __future__ import annotations

import msgspec

from vna.settings import Dicom


def compile_policy(dicom: Dicom) -> bytes:
    """Return where to listen and the policy table of `dicom`, as the core reads them."""
    return msgspec.json.encode(
        {
            "host": dicom.host,
            "port": dicom.port,
            "ae_title": dicom.aet,
            "check_called_ae_title": dicom.check_called_aet,
            "calling_ae_titles": dicom.calling_aets,
            "hosts": dicom.calling_hosts,
            "accept_private_sop_classes": dicom.accept_private_sop_classes,
            "max_pdu_bytes": dicom.max_pdu_bytes,
            "max_associations": dicom.max_associations,
            "max_associations_per_peer": dicom.max_associations_per_peer,
            "artim_timeout_s": dicom.artim_timeout_s,
            "idle_timeout_s": dicom.idle_timeout_s,
            "message_timeout_s": dicom.message_timeout_s,
        }
    )
