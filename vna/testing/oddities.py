"""What bytes from the field have that the standard does not allow, or no longer: by name.

A reader that refuses these refuses patients. What a file says is the same with them and without.
"""

from __future__ import annotations

from vna.testing.model import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

ODDITIES = {
    "odd_lengths": "values of odd length stand without padding (against PS3.5 §7.1.1)",
    "wrong_padding": "text is padded with NUL, UIDs with a space (against PS3.5 §6.2)",
    "group_lengths": "each group begins with its length, retired since 2008 (PS3.5 §7.2)",
    "sequences_in_un": "private sequences are UN of undefined length, implicit VR inside (§6.2.2)",
    "trailing_zeros": "zeros follow up to the end of a sector",
    "no_preamble": "the file begins with group 0002",
    "no_meta": "the file begins with its data set",
    "no_meta_length": "group 0002 has no length (0002,0000)",
    "other_vr_form": "the VRs are implicit though the transfer syntax says explicit, or reversed",
}


def allowed(oddity: str, transfer_syntax_uid: str) -> bool:
    """Whether a reader can know what is meant if this meets that transfer syntax."""
    match oddity:
        case "sequences_in_un":
            # Implicit VR has no UN to write; in big endian readers differ on what is inside.
            return transfer_syntax_uid not in {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN}
        case "other_vr_form" | "no_meta":
            # Nothing tells of bytes in another order, of a deflated stream, of compressed frames.
            return transfer_syntax_uid in {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN}
        case _:
            return True


def fitting(chosen: frozenset[str], transfer_syntax_uid: str) -> frozenset[str]:
    """Return those of `chosen` that can occur together in this transfer syntax."""
    left = {oddity for oddity in chosen if allowed(oddity, transfer_syntax_uid)}
    if "no_meta" in left:
        # Without group 0002 nothing is declared that the VR form could contradict.
        left -= {"no_preamble", "no_meta_length", "other_vr_form"}
    return frozenset(left)
