"""What is wrong with a configuration though each of its keys is right."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator

from vna.settings.fields import MIB
from vna.settings.sections import Settings


def tls_contradictions(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with [tls] and who uses it."""
    for name, section, tls in (
        ("http", settings.http, settings.http_tls()),
        ("dicom", settings.dicom, settings.tls),
    ):
        if not section.tls:
            continue
        if not (tls.certificate and tls.private_key):
            yield f"{name}.tls: a listener needs tls.certificate and tls.private_key"
        if section.tls_client_certificates != "none" and not tls.trusted_certificates:
            yield (
                f"{name}.tls_client_certificates: {section.tls_client_certificates} needs "
                "tls.trusted_certificates; or set none"
            )
    if settings.http.tls and settings.http.server != "core":
        yield f"http.tls: {settings.http.server} does not speak it here; set http.server = core"


def note_contradictions(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with the names of [notes]: each has one number, and each number one."""
    for key, types in (
        ("notes.metadata", settings.notes.metadata),
        ("notes.attachments", settings.notes.attachments),
    ):
        named = Counter(each.name for each in types)
        numbered = Counter(str(each.number) for each in types)
        for value in [value for value, times in (named + numbered).items() if times > 1]:
            yield f"{key}: {value} is there twice; a type has one name and one number"


def recycling_contradictions(settings: Settings) -> Iterator[str]:
    """Yield by which ways anybody could fill the archive, and so have it deleted."""
    http, dicom = settings.http, settings.dicom
    if dicom.enabled and "store" in dicom.unknown_callers:
        yield (
            "storage.maximum_mode: recycle lets whoever may store have the oldest patients "
            "deleted, and dicom.unknown_callers lets AE titles store that are no known modality; "
            'take "store" from dicom.unknown_callers and name senders in dicom.modalities, or set '
            "storage.maximum_mode = reject"
        )
    if http.allow_remote_unauthenticated and not http.is_local:
        yield (
            "storage.maximum_mode: recycle lets whoever may store have the oldest patients "
            "deleted, and http.allow_remote_unauthenticated lets everybody store; set it to false, "
            "or set storage.maximum_mode = reject"
        )


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield what is wrong, key first."""
    http, dicom = settings.http, settings.dicom
    is_off = http.authentication == "off"
    if is_off and not http.is_local and not http.allow_remote_unauthenticated:
        yield (
            f"http.authentication: it is off, and http.host {http.shown_hosts} can be reached from "
            "other machines; listen on 127.0.0.1 behind a proxy that authenticates, or set "
            "http.allow_remote_unauthenticated = true"
        )
    yield from tls_contradictions(settings)
    yield from note_contradictions(settings)
    storage = settings.storage
    is_bounded = storage.maximum_bytes or storage.maximum_patients
    if is_bounded and storage.maximum_mode == "recycle" and not storage.read_only:
        yield from recycling_contradictions(settings)
    dicomweb = settings.dicomweb
    for key, networks in (
        ("dicom.calling_hosts", dicom.calling_hosts),
        ("dicomweb.trusted_proxies", dicomweb.trusted_proxies),
    ):
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                yield f"{key}: {error}"
    if dicomweb.root == dicomweb.wado_root:
        yield f"dicomweb.wado_root: {dicomweb.wado_root} is dicomweb.root too; they need one each"
    called = [dicom.aet.strip(), *(each.aet.strip() for each in dicom.ae_titles)]
    for aet in sorted({aet for aet in called if called.count(aet) > 1}):
        yield f"dicom.ae_titles: {aet} is there twice; an AE title has one tenant and label"
    for key, what, names in (
        ("dicom.modalities", "modality", [each.name for each in dicom.modalities]),
        ("peers.known", "peer", [each.name for each in settings.peers.known]),
        ("http.users", "user", [each.name for each in http.users]),
    ):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{key}: {name} is there twice; a {what} has a name of its own"
    if dicom.enabled and http.port == dicom.port != 0 and dicom.host in http.hosts:
        yield f"dicom.port: {dicom.port} is http.port too; they need one each"
    if 2 * http.max_body_bytes > settings.limits.http_body_bytes:
        yield (
            f"http.max_body_bytes: {http.max_body_bytes} is more than half of "
            f"limits.http_body_bytes, {settings.limits.http_body_bytes}, which holds all bodies"
        )
    if 2 * settings.storage.large_object_bytes + MIB > settings.limits.http_body_bytes:
        yield (
            f"storage.large_object_bytes: an upload holds up to two objects of "
            f"{settings.storage.large_object_bytes} bytes, and limits.http_body_bytes is "
            f"{settings.limits.http_body_bytes}"
        )
    if dicom.max_associations_per_peer > dicom.max_associations:
        yield (
            f"dicom.max_associations_per_peer: {dicom.max_associations_per_peer} is more than "
            f"dicom.max_associations, {dicom.max_associations}"
        )
    if settings.storage.large_object_bytes > settings.storage.segment_bytes:
        yield (
            f"storage.large_object_bytes: {settings.storage.large_object_bytes} does not fit "
            f"into a segment of storage.segment_bytes, {settings.storage.segment_bytes}"
        )
    if 8 * settings.codecs.max_frame_bytes > settings.codecs.memory_bytes:
        yield (
            f"codecs.memory_bytes: {settings.codecs.memory_bytes} is less than eight times "
            f"codecs.max_frame_bytes, {settings.codecs.max_frame_bytes}: such a frame would not fit"
        )
