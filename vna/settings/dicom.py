"""The section of the DICOM network: who we are on it, who may do what, and whom we call."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vna.settings.fields import (
    KIB,
    MIB,
    AeTitle,
    ClientCertificates,
    DimseService,
    Label,
    Port,
    Seconds,
    Section,
    UidPattern,
)


class CalledAeTitle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further AE title of this archive: a tenant's, a view by label, or another name."""

    aet: AeTitle
    tenant: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1
    label: Label | None = None


RetrieveMethod = Literal["c-move", "c-get"]
Manufacturer = Literal[
    "Generic",
    "GenericNoWildcardInDates",
    "GenericNoUniversalWildcard",
    "Vitrea",
    "GE",
    "SiemensSyngoCT",
]


class Modality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A remote DICOM node: where it is, and what we do for it and with it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    aet: AeTitle
    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 104
    manufacturer: Manufacturer = "Generic"
    allow_echo: bool = True
    allow_find: bool = True
    allow_find_worklist: bool = True
    allow_get: bool = True
    allow_move: bool = True
    allow_store: bool = True
    allow_storage_commitment: bool = True
    allow_mpps: bool = True
    transcoding: bool = True
    tls: bool = False
    local_aet: AeTitle | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=86400)] | None = None
    retrieve_method: RetrieveMethod | None = None
    parallel: Annotated[int, Meta(ge=1, le=16)] = 1


class Dicom(Section, frozen=True, kw_only=True):
    """The DICOM way in, and the remote nodes that we call."""

    enabled: Annotated[bool, Meta(description="Whether to listen for associations")] = True
    host: Annotated[str, Meta(min_length=1, description="Address to listen on")] = "0.0.0.0"
    port: Annotated[Port, Meta(description="Port to listen on; 0 takes a free one")] = 4242
    aet: Annotated[AeTitle, Meta(description="AE title of this archive")] = "VNA"
    ae_titles: Annotated[
        list[CalledAeTitle],
        Meta(
            description="Further AE titles on the same port: [[dicom.ae_titles]] with aet, tenant "
            "(a number; 1 if not said) and label: what comes there gets it, what it shows has it"
        ),
    ] = []
    check_called_aet: Annotated[
        bool, Meta(description="Reject associations that call another AE title")
    ] = False
    calling_aets: Annotated[
        list[AeTitle],
        Meta(description="AE titles that may associate; empty admits all"),
    ] = []
    calling_hosts: Annotated[
        list[str],
        Meta(
            description="Addresses or networks (10.1.0.0/16) that may associate; empty admits all"
        ),
    ] = []
    unknown_callers: Annotated[
        list[DimseService],
        Meta(
            description="What callers may do that are no known modality; with nothing they are "
            "rejected"
        ),
    ] = msgspec.field(default_factory=lambda: ["echo", "store"])
    check_modality_host: Annotated[
        bool,
        Meta(description="Take a caller for a known modality only if he calls from its host"),
    ] = False
    user_identity: Annotated[
        Literal["ignore", "check", "require"],
        Meta(
            description="What becomes of a user identity (PS3.7 D.3.3.7): ignore it, check user "
            "names where there are, or require one"
        ),
    ] = "ignore"
    accepted_sop_classes: Annotated[
        list[UidPattern],
        Meta(
            description="Storage SOP classes that are stored; * and ? are wildcards; empty for all "
            "of the standard"
        ),
    ] = []
    rejected_sop_classes: Annotated[
        list[UidPattern], Meta(description="Storage SOP classes that are not, though they were")
    ] = []
    accept_unknown_sop_classes: Annotated[
        bool, Meta(description="Store SOP classes that the standard does not name")
    ] = False
    accepted_transfer_syntaxes: Annotated[
        list[UidPattern],
        Meta(
            description="Transfer syntaxes in which instances are taken; * and ? are wildcards; "
            "empty for all of the standard"
        ),
    ] = []
    preferred_transfer_syntaxes: Annotated[
        list[UidPattern],
        Meta(
            description="Which are chosen if several are offered, best first; what is not named "
            "here: the first if it is compressed, else explicit before implicit VR"
        ),
    ] = []
    tls: Annotated[
        bool, Meta(description="Speak TLS with who associates, with the certificate of [tls]")
    ] = False
    tls_client_certificates: Annotated[
        ClientCertificates,
        Meta(description="Whether who associates shows a certificate that [tls] trusts"),
    ] = "required"
    max_pdu_bytes: Annotated[
        int, Meta(ge=4 * KIB, le=MIB, description="Largest PDU that we tell peers to send")
    ] = MIB
    max_associations: Annotated[int, Meta(ge=1, description="Associations at a time")] = 256
    max_associations_per_peer: Annotated[
        int, Meta(ge=1, description="Associations at a time from one address")
    ] = 64
    modalities: Annotated[
        list[Modality],
        Meta(
            description="Remote nodes: [[dicom.modalities]] with name, aet, host, port (104); what "
            "they may ask of us: allow_echo, allow_find, allow_find_worklist, allow_get, "
            "allow_move, allow_store, allow_storage_commitment, allow_mpps (true); how we call "
            "them: manufacturer (Generic), transcoding (true), tls (false), local_aet, timeout_s, "
            "retrieve_method, parallel (associations of one send, 1)"
        ),
    ] = []
    scu_timeout_s: Annotated[
        Seconds, Meta(description="Time that a remote node has for each answer")
    ] = 30.0
    retrieve_method: Annotated[
        RetrieveMethod, Meta(description="How studies are fetched from remote nodes")
    ] = "c-move"
    echo_checks_find: Annotated[
        bool, Meta(description="A test of a remote node also asks whether it answers queries")
    ] = False
    max_queries: Annotated[
        int,
        Meta(ge=1, le=10000, description="Queries of remote nodes whose answers are kept"),
    ] = 100
    log_exported_resources: Annotated[
        bool, Meta(description="Keep a record of what was sent to remote nodes, at /exports")
    ] = False
    find_limit: Annotated[
        int, Meta(ge=0, description="Answers to one C-FIND; 0: as many as match")
    ] = 0
    find_limit_status: Annotated[
        Literal["standard", "orthanc"],
        Meta(description="How a C-FIND above the limit ends: A700 out of resources, or FE00"),
    ] = "standard"
    find_hierarchy: Annotated[
        Literal["standard", "orthanc"],
        Meta(
            description="What a C-FIND gets that names nothing of a level above (PS3.4 C.4.1.2.1): "
            "A900, or answers below all of it, which Orthanc's own queries need"
        ),
    ] = "standard"
    move_failure_status: Annotated[
        Literal["standard", "orthanc"],
        Meta(description="How a C-MOVE fails: with the status of PS3.4 C.4.2.1.5, or C000 always"),
    ] = "standard"
    artim_timeout_s: Annotated[
        Seconds, Meta(description="Time for the association request and for closing (PS3.8 §9.1.5)")
    ] = 30.0
    idle_timeout_s: Annotated[
        Seconds, Meta(description="Time without a message after which we abort")
    ] = 300.0
    message_timeout_s: Annotated[
        Seconds, Meta(description="Time within which a started message must go on")
    ] = 60.0
