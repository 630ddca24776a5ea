"""The association policy table that the data plane decides by.

Python compiles it from the configuration and the modalities and publishes it whole; the data plane
swaps it in and never asks back for the usual association (PS3.8 §9.3.4 has the reasons of a
rejection).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from vna.settings import Dicom, Modality

# What the query/retrieve service classes can do beyond their baseline (PS3.4 §C.5.1.1).
QUERY_SUPPORT = {"relational": True, "date_time": True, "fuzzy": False, "timezone": True}

# Each service by the attribute of a modality that allows it.
ALLOWED_BY = {
    "echo": "allow_echo",
    "store": "allow_store",
    "find": "allow_find",
    "worklist": "allow_find_worklist",
    "move": "allow_move",
    "get": "allow_get",
    "commitment": "allow_storage_commitment",
    "mpps": "allow_mpps",
}


def compile_policy(
    dicom: Dicom, modalities: Iterable[Modality] = (), served: Iterable[str] = ()
) -> bytes:
    """Return where to listen and the policy table, as the core reads them.

    Parameters
    ----------
    dicom : Dicom
        The configuration.
    modalities : iterable
        The peers that we know: each has `aet`, `host`, and says with `allow_...` what it may do.
    served : iterable of str
        SOP classes that somebody answers, beside Verification and storage classes.
    """
    main = {"ae_title": dicom.aet, "tenant": 1, "label": None}
    others = (
        {"ae_title": each.aet, "tenant": each.tenant, "label": each.label}
        for each in dicom.ae_titles
    )
    return msgspec.json.encode(
        {
            "host": dicom.host,
            "port": dicom.port,
            "entities": [main, *others],
            "check_called_ae_title": dicom.check_called_aet,
            "calling_ae_titles": dicom.calling_aets,
            "hosts": dicom.calling_hosts,
            "peers": [_peer(modality) for modality in modalities],
            "check_peer_host": dicom.check_modality_host,
            "unknown_peers": dicom.unknown_callers,
            "served": sorted(served),
            "accepted_sop_classes": dicom.accepted_sop_classes,
            "rejected_sop_classes": dicom.rejected_sop_classes,
            "accept_unknown_sop_classes": dicom.accept_unknown_sop_classes,
            "accepted_transfer_syntaxes": dicom.accepted_transfer_syntaxes,
            "preferred_transfer_syntaxes": dicom.preferred_transfer_syntaxes,
            "user_identity": dicom.user_identity,
            "query": QUERY_SUPPORT,
            "max_pdu_bytes": dicom.max_pdu_bytes,
            "max_associations": dicom.max_associations,
            "max_associations_per_peer": dicom.max_associations_per_peer,
            "artim_timeout_s": dicom.artim_timeout_s,
            "idle_timeout_s": dicom.idle_timeout_s,
            "message_timeout_s": dicom.message_timeout_s,
            "tls": dicom.tls,
            "tls_client_certificates": dicom.tls_client_certificates,
        }
    )


def _peer(modality: Modality) -> dict[str, object]:
    allowed = (name for name, flag in ALLOWED_BY.items() if getattr(modality, flag))
    return {"ae_title": modality.aet, "hosts": [modality.host], "services": list(allowed)}
