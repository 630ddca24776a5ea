//! Transfer syntaxes: how a data set is encoded, as far as reading its elements goes (PS3.5 §10, PS3.6 A).

/// Implicit VR Little Endian, the default transfer syntax of DICOM.
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Deflated Explicit VR Little Endian.
pub const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
/// Explicit VR Big Endian, retired.
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// How element headers are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// Tag and 32-bit length; the VR comes from the dictionary.
    ImplicitLittle,
    /// Tag, VR, 16- or 32-bit length.
    ExplicitLittle,
    /// The same with the most significant byte first.
    ExplicitBig,
}

/// The encoding of a transfer syntax, and whether its data set is deflated as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TransferSyntax {
    /// How element headers are written.
    pub encoding: Encoding,
    /// Whether the whole data set is one deflate stream (PS3.5 §A.5).
    pub deflated: bool,
}

impl TransferSyntax {
    /// The form of a transfer syntax by its UID, padding allowed.
    ///
    /// All but the few named here, even those not yet invented, are Explicit VR Little Endian (PS3.5 §10).
    #[must_use]
    pub fn from_uid(uid: &str) -> Self {
        let (encoding, deflated) = match crate::public_id::strip(uid) {
            // Papyrus 3 and GE's private DLX syntax write headers as the default syntax does.
            IMPLICIT_VR_LITTLE_ENDIAN | "1.2.840.10008.1.20" | "1.2.840.113619.5.2" => {
                (Encoding::ImplicitLittle, false)
            }
            EXPLICIT_VR_BIG_ENDIAN => (Encoding::ExplicitBig, false),
            // Besides the file form, both JPIP Referenced Deflate syntaxes.
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | "1.2.840.10008.1.2.4.95"
            | "1.2.840.10008.1.2.4.205" => (Encoding::ExplicitLittle, true),
            _ => (Encoding::ExplicitLittle, false),
        };
        TransferSyntax { encoding, deflated }
    }
}
