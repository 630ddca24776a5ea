//! Tags that more than one file of this crate reads.

use vna_dicom::Tag;

pub(crate) const PLANAR_CONFIGURATION: Tag = Tag(0x0028, 0x0006);
pub(crate) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(crate) const WINDOW_CENTER: Tag = Tag(0x0028, 0x1050);
pub(crate) const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
pub(crate) const RESCALE_INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub(crate) const RESCALE_SLOPE: Tag = Tag(0x0028, 0x1053);
pub(crate) const RED_PALETTE_DESCRIPTOR: Tag = Tag(0x0028, 0x1101);
pub(crate) const PRESENTATION_PIXEL_SPACING: Tag = Tag(0x0070, 0x0101);
