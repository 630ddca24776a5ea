"""Which real files the archive refuses, with which code, and why: a new one is argued for here."""

FUZZ = "dicom-fuzzing-corpus/fuzz_corpus_v3"

_BY_REASON = {
    ("identity.missing_uid", "a fragment made for tests of a parser, without identifiers"): [
        "pydicom/charset_files/chrSQEncoding.dcm",
        "pydicom/charset_files/chrSQEncoding1.dcm",
        "pydicom/test_files/UN_sequence.dcm",
        "pydicom/test_files/empty_charset_LEI.dcm",
        "pydicom/test_files/meta_missing_tsyntax.dcm",
        "pydicom/test_files/nested_priv_SQ.dcm",
        "pydicom/test_files/no_meta_group_length.dcm",
        "pydicom/test_files/priv_SQ.dcm",
        "dcm4che/dcm4che-test-data/src/main/resources/no_preamble_dicm_in_data",
        "derived-hostile/cut_meta_only.dcm",
    ],
    ("identity.missing_uid", "an image of a codec's tests that belongs to no study"): [
        "pydicom/test_files/JPEGLSNearLossless_08.dcm",
        "pydicom/test_files/JPEGLSNearLossless_16.dcm",
        "pydicom/test_files/SC_rgb_jls_lossy_line.dcm",
        "pydicom/test_files/SC_rgb_jls_lossy_sample.dcm",
        "nibabel/nicom/data/decimal_rescale.dcm",
        "pylibjpeg-data/ljdata/ds/JPEGLosslessSV1/JPEGLosslessP14SV1_1s_1f_u_16_16.dcm",
    ],
    ("identity.missing_uid", "a Color Palette instance: not a composite one, it has no study"): [
        "pydicom/palettes/fall.dcm",
        "pydicom/palettes/hotiron.dcm",
        "pydicom/palettes/hotmetalblue.dcm",
        "pydicom/palettes/pet.dcm",
        "pydicom/palettes/pet20step.dcm",
        "pydicom/palettes/spring.dcm",
        "pydicom/palettes/summer.dcm",
        "pydicom/palettes/winter.dcm",
    ],
    (
        "file.dicomdir",
        "a DICOMDIR: the directory of a medium, not an instance (PS3.10 §8)",
    ): [
        "pydicom/test_files/dicomdirtests/DICOMDIR",
        "pydicom/test_files/dicomdirtests/DICOMDIR-bigEnd",
        "pydicom/test_files/dicomdirtests/DICOMDIR-empty.dcm",
        "pydicom/test_files/dicomdirtests/DICOMDIR-implicit",
        "pydicom/test_files/dicomdirtests/DICOMDIR-nooffset",
        "pydicom/test_files/dicomdirtests/DICOMDIR-nopatient",
        "pydicom/test_files/dicomdirtests/DICOMDIR-reordered",
        "pydicom/test_files/dicomdirtests/TINY_ALPHA/DICOMDIR",
        "dcm_qa_ct/DICOMDIR",
        # The scanner's own, and the further files of its directory.
        "dcm_qa_ct/Philips_CT_head.zip/In/Philips/DICOMDIR",
        "dcm_qa_ct/Philips_CT_head.zip/In/Philips/S21570/DIRFILE",
        "dcm_qa_ct/Philips_CT_head.zip/In/Philips/S21570/S1000/DIRFILE",
        "dcm_qa_ct/Philips_CT_head.zip/In/Philips/S21570/S2020/DIRFILE",
        "dcm_qa_ct/Philips_CT_head.zip/In/Philips/S21570/S4010/DIRFILE",
    ],
    ("identity.missing_uid", "a worklist item: its series does not exist yet"): [
        f"derived-worklists/{name}.wl"
        for name in (
            "WL001_CT",
            "WL002_MR",
            "WL003_US",
            "WL004_CT",
            "WL005_MG",
            "WL006_NM",
            "WL007_XA",
            "WL008_OP",
        )
    ],
    ("identity.missing_uid", "an identifier emptied on purpose"): [
        f"{FUZZ}/cat01_tag_overflow/TC0137_sopinstanceuid_empty.dcm",
        f"{FUZZ}/cat01_tag_overflow/TC0151_studyinstanceuid_empty.dcm",
        f"{FUZZ}/cat01_tag_overflow/TC0165_seriesinstanceuid_empty.dcm",
        f"{FUZZ}/cat09_logic_bombs/TC0467_uid_uid_empty.dcm",
    ],
    ("identity.bad_uid", "more than twice as long as a UID may be (PS3.5 §9.1)"): [
        f"{FUZZ}/cat01_tag_overflow/TC0133_sopinstanceuid_over_10x.dcm",
        f"{FUZZ}/cat01_tag_overflow/TC0147_studyinstanceuid_over_10x.dcm",
        f"{FUZZ}/cat01_tag_overflow/TC0161_seriesinstanceuid_over_10x.dcm",
        f"{FUZZ}/cat01_tag_overflow/TC0195_uid_200_components.dcm",
    ],
    ("header.truncated", "cut off, or a length that says more than there is"): [
        "pydicom/test_files/MR_truncated.dcm",
        "pydicom/test_files/rtplan_truncated.dcm",
        "derived-hostile/cut_magic_only.dcm",
        "derived-hostile/cut_mid_dataset.dcm",
        "derived-hostile/cut_mid_meta.dcm",
        "derived-hostile/cut_mid_pixels.dcm",
        "derived-hostile/cut_no_pixel_value.dcm",
        "derived-hostile/pixel_length_over_end.dcm",
        f"{FUZZ}/cat02_vr_mismatch/TC0233_rows_US_as_UL.dcm",
    ],
    ("header.truncated", "noise behind DICM: its first bytes read as an element are too long"): [
        f"{FUZZ}/cat05_transfer_syntax/TC0345_deflate_corrupt.dcm",
        f"{FUZZ}/cat05_transfer_syntax/TC0347_deflate_truncated.dcm",
        # DICM at byte 0, preamble behind it, and meta information where a data set must begin.
        f"{FUZZ}/cat07_file_meta/TC0385_dicm_offset0.dcm",
    ],
    ("file.not_dicom", "a byte too many before the first element: nobody can align it"): [
        "pydicom/test_files/no_meta.dcm",
    ],
    ("file.not_dicom", "DICM stands at another byte than 128"): [
        f"{FUZZ}/cat07_file_meta/TC0387_dicm_offset64.dcm",
        f"{FUZZ}/cat07_file_meta/TC0389_dicm_offset256.dcm",
    ],
    ("budget.meta", "group 0002 out of step: tag and VR of its third element are missing"): [
        f"{FUZZ}/cat07_file_meta/TC0391_meta_glen_zero.dcm",
        f"{FUZZ}/cat07_file_meta/TC0393_meta_glen_one.dcm",
        f"{FUZZ}/cat07_file_meta/TC0395_meta_glen_max.dcm",
        f"{FUZZ}/cat07_file_meta/TC0397_meta_glen_huge.dcm",
    ],
    ("budget.inflate_ratio", "64 MiB of zeros in 66 kB"): [
        "derived-hostile/deflate_bomb_64MiB.dcm",
    ],
}

# File -> code.
REFUSED = {name: code for (code, _), names in _BY_REASON.items() for name in names}
