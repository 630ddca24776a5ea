//! How associations are let in: several AE titles, known peers, user identities.

use super::peer::*;
use super::requests::open;
use super::*;
use vna_ul::{AssociateRj, AssociateRq, UserIdentity, UserInformation};

fn with_identity(identity_type: u8, positive_response_requested: bool) -> AssociateRq {
    AssociateRq {
        user: UserInformation {
            max_pdu_bytes: 16_384,
            user_identity: Some(UserIdentity {
                identity_type,
                positive_response_requested,
                primary: b"rita".to_vec(),
                secondary: b"secret".to_vec(),
            }),
            async_window: Some((8, 8)),
            ..UserInformation::default()
        },
        ..request()
    }
}

fn bench(user_identity: UserIdentityRule) -> Bench {
    let policy = Policy {
        user_identity,
        artim_timeout: Duration::from_millis(500),
        ..open()
    };
    Bench::with(policy, 1 << 20, 1 << 20)
}

/// Asks for an association beside this thread.
fn asking(bench: &Bench, request: AssociateRq) -> std::thread::JoinHandle<Answer> {
    let address = bench.address;
    std::thread::spawn(move || Peer::request(address, request))
}

#[test]
fn a_user_identity_is_checked_and_answered() {
    let bench = bench(UserIdentityRule::Check);
    let asked = asking(&bench, with_identity(2, true));
    let claim = bench.claims.recv().unwrap();
    assert_eq!(claim.identity.primary, b"rita");
    assert_eq!(claim.identity.secondary, b"secret");
    assert_eq!(claim.origin.calling_ae_title, "CT01");
    claim.answer.send(Some("rita".into())).unwrap();
    let Answer::Accepted(mut peer) = asked.join().unwrap() else {
        panic!("not accepted")
    };
    let user = &peer.answer.as_ref().unwrap().user;
    assert_eq!(user.user_identity_response.as_deref(), Some(&b""[..]));
    assert_eq!(user.async_window, Some((1, 1)));
    assert_eq!(peer.store(1, &[1; 100]), status::SUCCESS);
    assert_eq!(bench.stored()[0].header.origin.user, "rita");

    let asked = asking(&bench, with_identity(1, false));
    let claim = bench.claims.recv().unwrap();
    claim.answer.send(Some("rita".into())).unwrap();
    let Answer::Accepted(peer) = asked.join().unwrap() else {
        panic!("not accepted")
    };
    let user = &peer.answer.as_ref().unwrap().user;
    assert_eq!(user.user_identity_response, None, "nobody asked for one");
}

#[test]
fn who_is_no_user_is_rejected() {
    let bench = bench(UserIdentityRule::Check);
    let asked = asking(&bench, with_identity(2, true));
    bench.claims.recv().unwrap().answer.send(None).unwrap();
    let rejected = |asked: std::thread::JoinHandle<Answer>| match asked.join().unwrap() {
        Answer::Rejected(rejection) => rejection,
        _ => panic!("not rejected"),
    };
    assert_eq!(rejected(asked), AssociateRj::REFUSED);
    let asked = asking(&bench, with_identity(2, true));
    drop(bench.claims.recv().unwrap());
    assert_eq!(rejected(asked), AssociateRj::REFUSED, "nobody decided");
    let asked = asking(&bench, with_identity(2, true));
    let late = bench.claims.recv().unwrap();
    assert_eq!(rejected(asked), AssociateRj::REFUSED, "nobody decided yet");
    assert!(late.answer.send(Some("rita".into())).is_err());
    let counted = bench.server().counters();
    assert_eq!(counted.totals.rejected, [("user_identity", 3)]);
    eventually("they count no longer", || {
        bench.server().counters().open_associations == 0
    });
}

#[test]
fn identities_of_other_types_are_not_looked_at_unless_one_is_required() {
    let accepted = |bench: &Bench, request| {
        matches!(Peer::request(bench.address, request), Answer::Accepted(_))
    };
    let ignoring = bench(UserIdentityRule::Ignore);
    assert!(accepted(&ignoring, with_identity(2, true)));
    let checking = bench(UserIdentityRule::Check);
    assert!(accepted(&checking, with_identity(4, true)));
    assert!(accepted(&checking, request()));
    let requiring = bench(UserIdentityRule::Require);
    assert!(!accepted(&requiring, with_identity(4, true)));
    assert!(!accepted(&requiring, request()));
    for bench in [ignoring, checking, requiring] {
        assert!(bench.claims.try_recv().is_err(), "nobody was asked");
    }
}

#[test]
fn what_is_stored_belongs_to_the_tenant_of_the_ae_title_that_was_called() {
    let entity = |ae_title: &str, tenant, label: Option<&str>| Entity {
        ae_title: ae_title.into(),
        tenant,
        label: label.map(str::to_owned),
    };
    let policy = Policy {
        entities: vec![entity("VNA", 1, None), entity("TRIAL", 2, Some("blind"))],
        ..open()
    };
    let bench = Bench::with(policy, 1 << 20, 1 << 20);
    for called in ["VNA", "TRIAL", "OTHER"] {
        let request = AssociateRq {
            called_ae_title: called.into(),
            ..request()
        };
        let Answer::Accepted(mut peer) = Peer::request(bench.address, request) else {
            panic!("not accepted")
        };
        assert_eq!(peer.store(1, &[1; 100]), status::SUCCESS);
    }
    let origins = bench.stored().into_iter().map(|stored| {
        let origin = stored.header.origin;
        (origin.tenant, origin.label.clone())
    });
    let blind = Some("blind".to_owned());
    assert_eq!(
        origins.collect::<Vec<_>>(),
        [(1, None), (2, blind), (1, None)]
    );
}

#[test]
fn a_known_peer_is_found_by_the_name_of_its_host() {
    let known = KnownPeer {
        ae_title: "CT01".into(),
        addresses: Vec::new(),
        host_names: vec!["name.invalid".into(), "localhost".into()],
        services: [Service::Store].into_iter().collect(),
    };
    let policy = Policy {
        check_peer_host: true,
        unknown_peers: ServiceSet::default(),
        peers: vec![known.clone()],
        ..Policy::default()
    };
    let elsewhere = Policy {
        peers: vec![KnownPeer {
            host_names: vec!["name.invalid".into()],
            ..known
        }],
        ..policy.clone()
    };
    let bench = Bench::with(policy, 1 << 20, 1 << 20);
    let mut peer = bench.peer();
    assert_eq!(peer.store(1, &[1; 100]), status::SUCCESS);
    bench.server().set_policy(elsewhere);
    let Answer::Rejected(rejection) = Peer::request(bench.address, request()) else {
        panic!("not rejected")
    };
    assert_eq!(rejection, AssociateRj::CALLING_AE_TITLE);
}
