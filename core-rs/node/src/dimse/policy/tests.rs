use super::*;
use crate::dimse::services::VERIFICATION;
use vna_ul::{ContextProposal, ContextResult, ExtendedNegotiation, RoleSelection, UserInformation};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const PRIVATE: &str = "1.3.12.2.1107.5.9.1";
const STUDY_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const STUDY_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const J2K: &str = "1.2.840.10008.1.2.4.90";

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn context(context_id: u8, abstract_syntax: &str, transfer_syntaxes: &[&str]) -> ContextProposal {
    ContextProposal {
        context_id,
        abstract_syntax: abstract_syntax.into(),
        transfer_syntaxes: transfer_syntaxes
            .iter()
            .map(|uid| (*uid).to_owned())
            .collect(),
    }
}

fn request() -> AssociateRq {
    AssociateRq {
        protocol_version: 1,
        called_ae_title: "vna ".into(),
        calling_ae_title: "CT01".into(),
        application_context: DICOM_APPLICATION_CONTEXT.into(),
        contexts: vec![
            context(1, VERIFICATION, &[IMPLICIT]),
            context(3, CT, &[IMPLICIT, EXPLICIT]),
            context(5, PRIVATE, &[IMPLICIT]),
            context(7, STUDY_FIND, &[IMPLICIT]),
            context(9, "1.2.840.10008.5.1.4.1.1.4", &["1.2.3"]),
            context(11, "1.2.840.10008.5.1.1.9", &[IMPLICIT]),
        ],
        user: UserInformation::default(),
    }
}

fn services(services: &[Service]) -> ServiceSet {
    services.iter().copied().collect()
}

fn role(sop_class_uid: &str, scu: bool, scp: bool) -> RoleSelection {
    RoleSelection {
        sop_class_uid: sop_class_uid.into(),
        scu,
        scp,
    }
}

fn peer(ae_title: &str, addresses: &[&str], host_names: &[&str], may: &[Service]) -> KnownPeer {
    KnownPeer {
        ae_title: ae_title.into(),
        addresses: addresses
            .iter()
            .map(|range| range.parse().unwrap())
            .collect(),
        host_names: host_names.iter().map(|name| (*name).to_owned()).collect(),
        services: services(may),
    }
}

/// How each context of `request` is answered.
fn results(policy: &Policy, request: &AssociateRq, may: &[Service]) -> Vec<ContextResult> {
    let (answer, _) = policy.negotiate(request, services(may));
    answer.contexts.iter().map(|c| c.result).collect()
}

const STORING: [Service; 2] = [Service::Echo, Service::Store];

#[test]
fn each_check_rejects_with_its_own_reason() {
    let open = Policy::default();
    assert!(open.admit(&request(), HERE, &[]).is_ok());
    let rejection = |policy: &Policy, request: &AssociateRq| {
        policy.admit(request, HERE, &[]).unwrap_err().rejection
    };
    let other = AssociateRq {
        application_context: "1.2.3".into(),
        ..request()
    };
    assert_eq!(rejection(&open, &other), AssociateRj::APPLICATION_CONTEXT);

    let strict = Policy {
        check_called_ae_title: true,
        ..Policy::default()
    };
    let admitted = strict.admit(&request(), HERE, &[]);
    assert!(admitted.is_ok(), "case and padding do not count");
    let other = AssociateRq {
        called_ae_title: "ANY-SCP".into(),
        ..request()
    };
    assert_eq!(rejection(&strict, &other), AssociateRj::CALLED_AE_TITLE);

    let known = Policy {
        calling_ae_titles: vec!["MR01".into(), "ct01".into()],
        ..Policy::default()
    };
    assert!(known.admit(&request(), HERE, &[]).is_ok());
    let other = AssociateRq {
        calling_ae_title: "CT02".into(),
        ..request()
    };
    assert_eq!(rejection(&known, &other), AssociateRj::CALLING_AE_TITLE);

    let near = Policy {
        hosts: vec!["10.0.0.0/8".parse().unwrap()],
        ..Policy::default()
    };
    let from = "10.9.8.7".parse().unwrap();
    assert!(near.admit(&request(), from, &[]).is_ok());
    assert_eq!(rejection(&near, &request()), AssociateRj::REFUSED);

    let closed = Policy {
        unknown_peers: ServiceSet::default(),
        peers: vec![peer("CT01", &[], &[], &STORING)],
        ..Policy::default()
    };
    assert!(closed.admit(&request(), HERE, &[]).is_ok());
    assert_eq!(rejection(&closed, &other), AssociateRj::CALLING_AE_TITLE);
}

#[test]
fn the_called_ae_title_says_whose_archive_it_is() {
    let entity = |ae_title: &str, tenant, label: Option<&str>| Entity {
        ae_title: ae_title.into(),
        tenant,
        label: label.map(str::to_owned),
    };
    let policy = Policy {
        entities: vec![entity("VNA", 1, None), entity("RESEARCH", 2, Some("trial"))],
        ..Policy::default()
    };
    let reached = |called: &str| {
        let request = AssociateRq {
            called_ae_title: called.into(),
            ..request()
        };
        let admitted = policy.admit(&request, HERE, &[]).unwrap();
        (admitted.entity.tenant, admitted.entity.label.clone())
    };
    assert_eq!(reached("VNA"), (1, None));
    assert_eq!(reached("research"), (2, Some("trial".into())));
    assert_eq!(reached("ANY-SCP"), (1, None), "the first is for all others");
}

#[test]
fn a_known_peer_is_taken_for_himself_from_his_host_alone_if_that_is_checked() {
    let find = [Service::Find];
    let policy = Policy {
        check_peer_host: true,
        peers: vec![
            peer("CT01", &["10.1.2.3"], &[], &find),
            peer("CT01", &[], &["ct.hospital"], &[Service::Move]),
        ],
        ..Policy::default()
    };
    let may = |policy: &Policy, from: &str, names: &[&str]| {
        let admitted = policy.admit(&request(), from.parse().unwrap(), names);
        admitted.unwrap().services
    };
    let unknown = policy.unknown_peers;
    assert_eq!(may(&policy, "10.1.2.3", &[]), services(&find));
    assert_eq!(may(&policy, "10.1.2.4", &[]), unknown);
    let by_name = may(&policy, "10.1.2.4", &["ct.hospital"]);
    assert_eq!(by_name, services(&[Service::Move]));
    let names = |from: &str| policy.host_names("ct01", from.parse().unwrap());
    assert_eq!(names("10.1.2.4"), ["ct.hospital"]);
    assert!(names("10.1.2.3").is_empty(), "it is known without");
    let trusting = Policy {
        check_peer_host: false,
        ..policy.clone()
    };
    assert_eq!(may(&trusting, "10.1.2.4", &[]), services(&find));
    assert!(trusting.host_names("CT01", HERE).is_empty());
}

#[test]
fn each_context_gets_its_answer() {
    use ContextResult::*;
    let policy = Policy::default();
    let expected = [
        Acceptance,
        Acceptance,
        AbstractSyntaxNotSupported,
        UserRejection,
        TransferSyntaxesNotSupported,
        AbstractSyntaxNotSupported,
    ];
    assert_eq!(results(&policy, &request(), &STORING), expected);
    let may = [Service::Echo, Service::Find];
    let found = results(&policy, &request(), &may);
    assert_eq!(
        (found[1], found[3]),
        (UserRejection, Acceptance),
        "as he is allowed"
    );

    let (_, accepted) = policy.negotiate(&request(), services(&STORING));
    let ids: Vec<_> = accepted.iter().map(|c| c.context_id).collect();
    assert_eq!(ids, [1, 3]);
    assert_eq!(&*accepted[1].transfer_syntax_uid, EXPLICIT);

    let unserved = Policy {
        served: Vec::new(),
        ..Policy::default()
    };
    let found = results(&unserved, &request(), &may);
    assert_eq!(found[3], AbstractSyntaxNotSupported, "nobody answers it");
}

#[test]
fn sop_classes_are_accepted_and_rejected_by_pattern() {
    use ContextResult::*;
    let answers = |accepted: &[&str], rejected: &[&str], accept_unknown_sop_classes| {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::from(*text)).collect();
        let policy = Policy {
            accepted_sop_classes: patterns(accepted),
            rejected_sop_classes: patterns(rejected),
            accept_unknown_sop_classes,
            ..Policy::default()
        };
        let found = results(&policy, &request(), &STORING);
        (found[1], found[2], found[5])
    };
    let (yes, no) = (Acceptance, AbstractSyntaxNotSupported);
    assert_eq!(answers(&[], &[], false), (yes, no, no));
    assert_eq!(
        answers(&[], &[], true),
        (yes, yes, no),
        "printing is no storage"
    );
    assert_eq!(answers(&[CT], &[], false), (yes, no, no));
    assert_eq!(answers(&["1.2.840.*.4"], &[], false), (no, no, no));
    assert_eq!(answers(&["1.3.12.*"], &[], false), (no, yes, no));
    assert_eq!(answers(&["*"], &[], false), (yes, yes, no));
    assert_eq!(answers(&["*"], &["1.3.*"], true), (yes, no, no));
    assert_eq!(answers(&[], &["*"], true), (no, no, no));
}

#[test]
fn transfer_syntaxes_are_accepted_and_preferred_by_pattern() {
    let chosen = |accepted: &[&str], preferred: &[&str], offered: &[&str]| {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::from(*text)).collect();
        let policy = Policy {
            accepted_transfer_syntaxes: patterns(accepted),
            preferred_transfer_syntaxes: patterns(preferred),
            ..Policy::default()
        };
        let request = AssociateRq {
            contexts: vec![context(1, CT, offered)],
            ..request()
        };
        let (_, accepted) = policy.negotiate(&request, services(&STORING));
        accepted
            .first()
            .map(|context| context.transfer_syntax_uid.to_string())
    };
    let offered = [IMPLICIT, J2K, EXPLICIT];
    let uid = |uid: &str| Some(uid.to_owned());
    assert_eq!(chosen(&[], &[], &offered), uid(EXPLICIT));
    assert_eq!(chosen(&[], &["1.2.840.10008.1.2.4.*"], &offered), uid(J2K));
    assert_eq!(chosen(&[], &["1.9", IMPLICIT], &offered), uid(IMPLICIT));
    assert_eq!(chosen(&["*.4.*"], &[], &offered), uid(J2K));
    assert_eq!(chosen(&[IMPLICIT], &[J2K], &offered), uid(IMPLICIT));
    assert_eq!(chosen(&["1.2.3"], &[], &["1.2.3"]), None, "nobody knows it");
    assert_eq!(chosen(&[EXPLICIT], &[], &[IMPLICIT]), None);
}

#[test]
fn roles_are_answered_as_they_are_allowed() {
    let policy = Policy::default();
    let request = AssociateRq {
        contexts: vec![
            context(1, STUDY_GET, &[IMPLICIT]),
            context(3, CT, &[EXPLICIT]),
            context(5, crate::dimse::services::STORAGE_COMMITMENT, &[IMPLICIT]),
        ],
        user: UserInformation {
            roles: vec![
                role(CT, true, true),
                role(STUDY_GET, true, true),
                role(crate::dimse::services::STORAGE_COMMITMENT, false, true),
                role("1.2.3", true, true),
            ],
            ..UserInformation::default()
        },
        ..request()
    };
    let answer = |may: &[Service]| {
        let (answer, accepted) = policy.negotiate(&request, services(may));
        let ids: Vec<_> = accepted.iter().map(|c| c.context_id).collect();
        (ids, answer.user.roles)
    };
    let all = [Service::Store, Service::Get, Service::Commitment];
    let (ids, roles) = answer(&all);
    assert_eq!(ids, [1, 3, 5]);
    let commitment = role(crate::dimse::services::STORAGE_COMMITMENT, false, true);
    assert_eq!(
        roles,
        [
            role(CT, true, true),
            role(STUDY_GET, true, false),
            commitment
        ]
    );
    let (ids, roles) = answer(&[Service::Get]);
    assert_eq!(ids, [1, 3]);
    assert_eq!(
        roles[0],
        role(CT, false, true),
        "he may fetch, and not bring"
    );
    let (ids, roles) = answer(&[Service::Store]);
    assert_eq!((ids, roles), (vec![3], vec![role(CT, true, false)]));
}

#[test]
fn extended_negotiation_is_answered_with_what_there_is() {
    let extended = |sop_class_uid: &str, information: &[u8]| ExtendedNegotiation {
        sop_class_uid: sop_class_uid.into(),
        information: information.to_vec(),
    };
    let request = AssociateRq {
        contexts: vec![
            context(1, STUDY_FIND, &[IMPLICIT]),
            context(3, STUDY_GET, &[IMPLICIT]),
            context(5, CT, &[IMPLICIT]),
        ],
        user: UserInformation {
            extended: vec![
                extended(STUDY_FIND, &[1, 1, 1, 1, 1]),
                extended(STUDY_GET, &[1]),
                extended(CT, &[3, 0, 0, 0, 1, 0]),
                extended("1.2.3", &[1]),
            ],
            async_window: Some((0, 0)),
            ..UserInformation::default()
        },
        ..request()
    };
    let may = services(&[Service::Find, Service::Get, Service::Store]);
    let policy = Policy {
        query: QuerySupport {
            relational: true,
            timezone: true,
            ..QuerySupport::default()
        },
        ..Policy::default()
    };
    let (answer, accepted) = policy.negotiate(&request, may);
    let expected = [
        extended(STUDY_FIND, &[1, 0, 0, 1]),
        extended(STUDY_GET, &[1]),
        extended(CT, &[2, 0, 3, 0, 0, 0]),
    ];
    assert_eq!(answer.user.extended, expected);
    assert_eq!(*accepted[0].extended, [1, 0, 0, 1]);
    assert_eq!(answer.user.async_window, Some((1, 1)));
    let (answer, accepted) = Policy::default().negotiate(&request, may);
    assert_eq!(*accepted[0].extended, [0, 0, 0, 0]);
    assert_eq!(answer.user.extended[0].information, [0, 0, 0, 0]);
}
