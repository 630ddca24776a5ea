//! The policy table: who may associate, for what, and within which limits. Immutable; a new one is swapped in whole
//! and holds for associations that begin after it.

use super::storage_sop_classes::is_storage_sop_class;
use super::transfer_syntaxes;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;
use vna_ul::limits::MAX_PDU_BYTES;
use vna_ul::{
    AssociateAc, AssociateRj, AssociateRq, ContextAnswer, ContextProposal, ContextResult,
    DICOM_APPLICATION_CONTEXT, RoleSelection, UserInformation,
};

/// Verification SOP Class (PS3.4 §A.4).
pub const VERIFICATION: &str = "1.2.840.10008.1.1";

/// The root of all UIDs that the standard assigns; everything else is private (PS3.5 §9).
const STANDARD_ROOT: &str = "1.2.840.10008.";

/// What the control plane decided about associations.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Our AE title.
    pub ae_title: String,
    /// Reject associations that call another AE title.
    pub check_called_ae_title: bool,
    /// Who may associate; empty admits all. AE titles are compared without regard to case: peers do not agree on it.
    pub calling_ae_titles: Vec<String>,
    /// From where; empty admits all.
    pub hosts: Vec<AddressRange>,
    /// Store SOP classes with private UIDs.
    pub accept_private_sop_classes: bool,
    /// Our Maximum Length Received, in bytes; at most 1 MiB.
    pub max_pdu_bytes: u32,
    /// Associations at a time.
    pub max_associations: usize,
    /// Associations at a time from one address.
    pub max_associations_per_peer: usize,
    /// For the association request to come, and for the connection to be closed (PS3.8 §9.1.5).
    pub artim_timeout: Duration,
    /// Without a message, after which we abort.
    pub idle_timeout: Duration,
    /// Within which a started message must go on, and an answer of ours be taken.
    pub message_timeout: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            ae_title: "VNA".into(),
            check_called_ae_title: false,
            calling_ae_titles: Vec::new(),
            hosts: Vec::new(),
            accept_private_sop_classes: false,
            max_pdu_bytes: MAX_PDU_BYTES,
            max_associations: 256,
            max_associations_per_peer: 64,
            artim_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            message_timeout: Duration::from_secs(60),
        }
    }
}

/// What an accepted presentation context is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedContext {
    /// Odd, 1 to 255.
    pub context_id: u8,
    /// The SOP class.
    pub abstract_syntax: String,
    /// How its data sets are encoded.
    pub transfer_syntax: String,
}

impl AcceptedContext {
    /// Whether C-ECHO is the service of this context; else it is C-STORE.
    #[must_use]
    pub fn is_verification(&self) -> bool {
        self.abstract_syntax == VERIFICATION
    }
}

impl Policy {
    /// Whether `request` from `address` is let in; else how it is rejected.
    ///
    /// # Errors
    ///
    /// The A-ASSOCIATE-RJ to answer with.
    pub fn admit(&self, request: &AssociateRq, address: IpAddr) -> Result<(), AssociateRj> {
        let same = |a: &str, b: &str| a.trim().eq_ignore_ascii_case(b.trim());
        if request.application_context != DICOM_APPLICATION_CONTEXT {
            return Err(AssociateRj::APPLICATION_CONTEXT);
        }
        if self.check_called_ae_title && !same(&request.called_ae_title, &self.ae_title) {
            return Err(AssociateRj::CALLED_AE_TITLE);
        }
        let calling = &request.calling_ae_title;
        if !self.calling_ae_titles.is_empty()
            && !self
                .calling_ae_titles
                .iter()
                .any(|title| same(title, calling))
        {
            return Err(AssociateRj::CALLING_AE_TITLE);
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|range| range.contains(address)) {
            return Err(AssociateRj::REFUSED);
        }
        Ok(())
    }

    /// Answers the proposed presentation contexts. An association without an accepted one is let in all the same, as
    /// the standard wants it: the answers tell the requestor why, which a rejection could not.
    #[must_use]
    pub fn negotiate(&self, request: &AssociateRq) -> (AssociateAc, Vec<AcceptedContext>) {
        let mut accepted = Vec::new();
        let mut contexts = Vec::with_capacity(request.contexts.len());
        for proposal in &request.contexts {
            let answer = self.answer(proposal);
            if answer.result == ContextResult::Acceptance {
                accepted.push(AcceptedContext {
                    context_id: proposal.context_id,
                    abstract_syntax: proposal.abstract_syntax.clone(),
                    transfer_syntax: answer.transfer_syntax.clone(),
                });
            }
            contexts.push(answer);
        }
        let answer = AssociateAc {
            protocol_version: 1,
            called_ae_title: request.called_ae_title.clone(),
            calling_ae_title: request.calling_ae_title.clone(),
            application_context: DICOM_APPLICATION_CONTEXT.into(),
            contexts,
            user: self.user_information(request, &accepted),
        };
        (answer, accepted)
    }

    fn answer(&self, proposal: &ContextProposal) -> ContextAnswer {
        let offered: Vec<&str> = proposal
            .transfer_syntaxes
            .iter()
            .map(String::as_str)
            .collect();
        let (result, transfer_syntax) = if !self.accepts_abstract_syntax(&proposal.abstract_syntax)
        {
            (ContextResult::AbstractSyntaxNotSupported, None)
        } else {
            match transfer_syntaxes::choose(&offered) {
                Some(uid) => (ContextResult::Acceptance, Some(uid)),
                None => (ContextResult::TransferSyntaxesNotSupported, None),
            }
        };
        // Of a refused context the transfer syntax is not significant, but there must be one (PS3.8 §9.3.3.2).
        let transfer_syntax = transfer_syntax
            .or(offered.first().copied())
            .unwrap_or_default()
            .to_owned();
        ContextAnswer {
            context_id: proposal.context_id,
            result,
            transfer_syntax,
        }
    }

    fn accepts_abstract_syntax(&self, uid: &str) -> bool {
        uid == VERIFICATION
            || is_storage_sop_class(uid)
            || (self.accept_private_sop_classes && !uid.starts_with(STANDARD_ROOT))
    }

    fn user_information(
        &self,
        request: &AssociateRq,
        accepted: &[AcceptedContext],
    ) -> UserInformation {
        let is_accepted = |uid: &str| {
            accepted
                .iter()
                .any(|context| context.abstract_syntax == uid)
        };
        // We are SCP of all that we accept, so the requestor can be SCU of it and nothing else.
        let roles = request
            .user
            .roles
            .iter()
            .filter(|role| is_accepted(&role.sop_class_uid));
        UserInformation {
            max_pdu_bytes: self.max_pdu_bytes.min(MAX_PDU_BYTES),
            implementation_class_uid: Some(vna_dicom::IMPLEMENTATION_CLASS_UID.into()),
            implementation_version_name: Some(vna_dicom::IMPLEMENTATION_VERSION_NAME.into()),
            roles: roles
                .map(|role| RoleSelection {
                    scp: false,
                    ..role.clone()
                })
                .collect(),
            ..UserInformation::default()
        }
    }
}

/// An address, or all that share its first bits: `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    address: Ipv6Addr,
    /// Of the address as IPv6, where IPv4 ones are `::ffff:a.b.c.d`.
    prefix_bits: u32,
}

impl AddressRange {
    /// Whether `address` is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = as_ipv6(address).to_bits() ^ self.address.to_bits();
        differing.leading_zeros() >= self.prefix_bits
    }
}

/// A text that is not an address range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAddressRange(pub String);

impl std::fmt::Display for InvalidAddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} is not an address or address/bits, such as 192.168.1.0/24",
            self.0
        )
    }
}

impl std::error::Error for InvalidAddressRange {}

impl FromStr for AddressRange {
    type Err = InvalidAddressRange;

    fn from_str(text: &str) -> Result<AddressRange, InvalidAddressRange> {
        let invalid = || InvalidAddressRange(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits
                .trim()
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(invalid)?,
            None => most,
        };
        Ok(AddressRange {
            address: as_ipv6(address),
            prefix_bits: 128 - most + bits,
        })
    }
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> AssociateRq {
        let context =
            |context_id, abstract_syntax: &str, transfer_syntaxes: &[&str]| ContextProposal {
                context_id,
                abstract_syntax: abstract_syntax.into(),
                transfer_syntaxes: transfer_syntaxes
                    .iter()
                    .map(|uid| (*uid).to_owned())
                    .collect(),
            };
        AssociateRq {
            protocol_version: 1,
            called_ae_title: "vna ".into(),
            calling_ae_title: "CT01".into(),
            application_context: DICOM_APPLICATION_CONTEXT.into(),
            contexts: vec![
                context(1, VERIFICATION, &["1.2.840.10008.1.2"]),
                context(
                    3,
                    "1.2.840.10008.5.1.4.1.1.2",
                    &["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"],
                ),
                context(5, "1.3.12.2.1107.5.9.1", &["1.2.840.10008.1.2"]),
                context(7, "1.2.840.10008.5.1.4.1.2.2.1", &["1.2.840.10008.1.2"]),
                context(9, "1.2.840.10008.5.1.4.1.1.4", &["1.2.3"]),
            ],
            user: UserInformation {
                roles: vec![RoleSelection {
                    sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
                    scu: true,
                    scp: true,
                }],
                ..UserInformation::default()
            },
        }
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn each_check_rejects_with_its_own_reason() {
        let open = Policy::default();
        assert_eq!(open.admit(&request(), HERE), Ok(()));
        let other = AssociateRq {
            application_context: "1.2.3".into(),
            ..request()
        };
        assert_eq!(
            open.admit(&other, HERE),
            Err(AssociateRj::APPLICATION_CONTEXT)
        );

        let strict = Policy {
            check_called_ae_title: true,
            ..Policy::default()
        };
        assert_eq!(
            strict.admit(&request(), HERE),
            Ok(()),
            "case and padding do not count"
        );
        let other = AssociateRq {
            called_ae_title: "ANY-SCP".into(),
            ..request()
        };
        assert_eq!(
            strict.admit(&other, HERE),
            Err(AssociateRj::CALLED_AE_TITLE)
        );

        let known = Policy {
            calling_ae_titles: vec!["MR01".into(), "ct01".into()],
            ..Policy::default()
        };
        assert_eq!(known.admit(&request(), HERE), Ok(()));
        let other = AssociateRq {
            calling_ae_title: "CT02".into(),
            ..request()
        };
        assert_eq!(
            known.admit(&other, HERE),
            Err(AssociateRj::CALLING_AE_TITLE)
        );

        let near = Policy {
            hosts: vec!["10.0.0.0/8".parse().unwrap()],
            ..Policy::default()
        };
        assert_eq!(near.admit(&request(), "10.9.8.7".parse().unwrap()), Ok(()));
        assert_eq!(near.admit(&request(), HERE), Err(AssociateRj::REFUSED));
    }

    #[test]
    fn each_context_gets_its_answer() {
        use ContextResult::*;
        let results = |policy: &Policy| {
            policy
                .negotiate(&request())
                .0
                .contexts
                .iter()
                .map(|c| c.result)
                .collect::<Vec<_>>()
        };
        let expected = [
            Acceptance,
            Acceptance,
            AbstractSyntaxNotSupported,
            AbstractSyntaxNotSupported,
            TransferSyntaxesNotSupported,
        ];
        assert_eq!(results(&Policy::default()), expected);
        let private = Policy {
            accept_private_sop_classes: true,
            ..Policy::default()
        };
        assert_eq!(
            results(&private)[2],
            Acceptance,
            "a private SOP class, by option"
        );
        assert_eq!(
            results(&private)[3],
            AbstractSyntaxNotSupported,
            "a standard one is never private"
        );

        let (answer, accepted) = Policy::default().negotiate(&request());
        assert_eq!(
            accepted.iter().map(|c| c.context_id).collect::<Vec<_>>(),
            [1, 3]
        );
        assert_eq!(accepted[1].transfer_syntax, "1.2.840.10008.1.2.1");
        assert_eq!(answer.user.roles.len(), 1);
        assert!(answer.user.roles[0].scu && !answer.user.roles[0].scp);
    }

    #[test]
    fn address_ranges_hold_what_shares_their_bits() {
        let holds = |range: &str, address: &str| {
            range
                .parse::<AddressRange>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(holds("192.168.1.7", "192.168.1.7") && !holds("192.168.1.7", "192.168.1.8"));
        assert!(
            holds("192.168.1.0/25", "192.168.1.127") && !holds("192.168.1.0/25", "192.168.1.128")
        );
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "fd00::1"));
        assert!(
            holds("10.0.0.0/8", "::ffff:10.1.1.1"),
            "IPv4 as a dual socket shows it"
        );
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe00::1"));
        for wrong in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/x"] {
            assert!(wrong.parse::<AddressRange>().is_err(), "{wrong}");
        }
    }
}
