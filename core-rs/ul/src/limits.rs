//! Budgets of everything that a peer's bytes can make this crate keep, each with the reason for its number.

/// Largest own Maximum Length Received, in bytes. Above 1 MiB larger P-DATA-TF PDUs save no measurable time.
pub const MAX_PDU_BYTES: u32 = 1 << 20;

/// Smallest Maximum Length Received, in bytes, that a peer may state: a PDV header (6) and two bytes of its message.
/// Zero means "no limit" (PS3.8 §D.1.1).
pub const MIN_PEER_PDU_BYTES: u32 = 8;

/// Longest A-ASSOCIATE-RQ or -AC, in bytes after the PDU header. 128 contexts of one abstract and 20 transfer
/// syntaxes with the longest UIDs are 185 kB; a user identity item can bring two values of 64 KiB more.
pub const MAX_ASSOCIATE_BYTES: u32 = 512 << 10;

/// Transfer syntaxes in one presentation context: PS3.6 registers about 60, and private ones exist.
pub const MAX_TRANSFER_SYNTAXES: usize = 256;

/// Items inside user information: one role and one extended negotiation for each of the registered SOP classes
/// (about 300), with room to spare.
pub const MAX_USER_ITEMS: usize = 2048;

/// Longest command set, in bytes. The usual ones take about 200; an Attribute Identifier List (0000,1005) of every
/// attribute in PS3.6 takes 20 kB.
pub const MAX_COMMAND_BYTES: usize = 64 << 10;

/// Longest UID, in characters (PS3.5 §9.1).
pub const MAX_UID_CHARACTERS: usize = 64;
