//! Every cell of the state table against PS3.8 Tables 9-6 to 9-10, held here as text in the layout of the standard.

use vna_ul::state::{Action, Event, Impossible, Machine, Role, State, Step, action};

/// PS3.8 Table 9-10.
const TABLE_9_10: &str = "
         Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 Sta10 Sta11 Sta12 Sta13
Evt1     AE-1 -    -    -    -    -    -    -    -    -     -     -     -
Evt2     -    -    -    AE-2 -    -    -    -    -    -     -     -     -
Evt3     -    AA-1 AA-8 -    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt4     -    AA-1 AA-8 -    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt5     AE-5 -    -    -    -    -    -    -    -    -     -     -     -
Evt6     -    AE-6 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
Evt7     -    -    AE-7 -    -    -    -    -    -    -     -     -     -
Evt8     -    -    AE-8 -    -    -    -    -    -    -     -     -     -
Evt9     -    -    -    -    -    DT-1 -    AR-7 -    -     -     -     -
Evt10    -    AA-1 AA-8 -    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt11    -    -    -    -    -    AR-1 -    -    -    -     -     -     -
Evt12    -    AA-1 AA-8 -    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt13    -    AA-1 AA-8 -    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3  AA-8  AA-6
Evt14    -    -    -    -    -    -    -    AR-4 AR-9 -     -     AR-4  -
Evt15    -    -    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1  AA-1  -
Evt16    -    AA-2 AA-3 -    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3  AA-3  AA-2
Evt17    -    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4  AA-4  AR-5
Evt18    -    AA-2 -    -    -    -    -    -    -    -     -     -     AA-2
Evt19    -    AA-1 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
";

/// PS3.8 Tables 9-6 to 9-9: action, what it does, next state; the second line of AE-6 and AR-8 is their other case.
const TABLES_9_6_TO_9_9: &str = "
AE-1  | OpenTransport                                  | Sta4
AE-2  | SendAssociateRq                                | Sta5
AE-3  | ConfirmAssociateAccept                         | Sta6
AE-4  | ConfirmAssociateReject CloseTransport          | Sta1
AE-5  | AcceptTransport StartArtim                     | Sta2
AE-6  | StopArtim IndicateAssociate                    | Sta3
AE-6  | StopArtim SendAssociateRj StartArtim           | Sta13
AE-7  | SendAssociateAc                                | Sta6
AE-8  | SendAssociateRj StartArtim                     | Sta13
DT-1  | SendPData                                      | Sta6
DT-2  | IndicatePData                                  | Sta6
AR-1  | SendReleaseRq                                  | Sta7
AR-2  | IndicateRelease                                | Sta8
AR-3  | ConfirmRelease CloseTransport                  | Sta1
AR-4  | SendReleaseRp StartArtim                       | Sta13
AR-5  | StopArtim                                      | Sta1
AR-6  | IndicatePData                                  | Sta7
AR-7  | SendPData                                      | Sta8
AR-8  | IndicateRelease                                | Sta9
AR-8  | IndicateRelease                                | Sta10
AR-9  | SendReleaseRp                                  | Sta11
AR-10 | ConfirmRelease                                 | Sta12
AA-1  | SendAbort StartArtim                           | Sta13
AA-2  | StopArtim CloseTransport                       | Sta1
AA-3  | IndicateAbort CloseTransport                   | Sta1
AA-4  | IndicateProviderAbort                          | Sta1
AA-5  | StopArtim                                      | Sta1
AA-6  |                                                | Sta13
AA-7  | SendAbort                                      | Sta13
AA-8  | SendAbort IndicateProviderAbort StartArtim     | Sta13
";

/// `Aa8` as the standard writes it: `AA-8`.
fn name(action: Action) -> String {
    let name = format!("{action:?}").to_uppercase();
    format!("{}-{}", &name[..2], &name[2..])
}

fn cells() -> Vec<(Event, State, String)> {
    let mut cells = Vec::new();
    for (line, event) in TABLE_9_10.trim().lines().skip(1).zip(Event::ALL) {
        let mut words = line.split_whitespace();
        assert_eq!(
            words.next(),
            Some(format!("Evt{}", event as usize + 1).as_str())
        );
        let row: Vec<_> = words.collect();
        assert_eq!(row.len(), State::ALL.len(), "{line}");
        cells.extend(
            State::ALL
                .into_iter()
                .zip(row)
                .map(|(s, cell)| (event, s, cell.to_owned())),
        );
    }
    cells
}

#[test]
fn every_cell_is_that_of_table_9_10() {
    let cells = cells();
    assert_eq!(cells.len(), 13 * 19);
    for (event, state, expected) in cells {
        let found = action(event, state).map_or("-".to_owned(), name);
        assert_eq!(found, expected, "{event:?} in {state:?}");
    }
}

#[test]
fn every_action_does_what_tables_9_6_to_9_9_say() {
    let show = |(steps, state): (&[Step], State)| {
        let steps: Vec<_> = steps.iter().map(|step| format!("{step:?}")).collect();
        (steps.join(" "), format!("{state:?}"))
    };
    let mut seen = Vec::new();
    for line in TABLES_9_6_TO_9_9.trim().lines() {
        let [action, steps, next] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let found = Event::ALL
            .into_iter()
            .flat_map(|event| State::ALL.map(|state| vna_ul::state::action(event, state)))
            .flatten()
            .find(|found| name(*found) == action)
            .unwrap_or_else(|| panic!("{action} is in no cell"));
        let outcome = if seen.contains(&action) {
            found.otherwise().unwrap()
        } else {
            found.outcome()
        };
        assert_eq!(
            show(outcome),
            (steps.to_owned(), next.to_owned()),
            "{action}"
        );
        seen.push(action);
    }
    assert_eq!(seen.len(), 30);
}

/// Events that lead a machine of this role from Sta1 to `state`.
fn path(state: State) -> (Role, Vec<Event>) {
    use Event::*;
    use Role::*;
    let requestor = [
        AssociateRequest,
        TransportConfirm,
        AssociateAcPdu,
        ReleaseRequest,
    ];
    let acceptor = [
        TransportIndication,
        AssociateRqPdu,
        AssociateResponseAccept,
        ReleaseRequest,
    ];
    let (role, events): (Role, &[&[Event]]) = match state {
        State::Sta1 => (Requestor, &[]),
        State::Sta2 => (Acceptor, &[&acceptor[..1]]),
        State::Sta3 => (Acceptor, &[&acceptor[..2]]),
        State::Sta4 => (Requestor, &[&requestor[..1]]),
        State::Sta5 => (Requestor, &[&requestor[..2]]),
        State::Sta6 => (Requestor, &[&requestor[..3]]),
        State::Sta7 => (Requestor, &[&requestor]),
        State::Sta8 => (Acceptor, &[&acceptor[..3], &[ReleaseRqPdu]]),
        State::Sta9 => (Requestor, &[&requestor, &[ReleaseRqPdu]]),
        State::Sta10 => (Acceptor, &[&acceptor, &[ReleaseRqPdu]]),
        State::Sta11 => (Requestor, &[&requestor, &[ReleaseRqPdu, ReleaseResponse]]),
        State::Sta12 => (Acceptor, &[&acceptor, &[ReleaseRqPdu, ReleaseRpPdu]]),
        State::Sta13 => (Acceptor, &[&acceptor[..3], &[AbortRequest]]),
    };
    (role, events.concat())
}

#[test]
fn the_machine_walks_every_cell_to_its_next_state() {
    for (event, state, expected) in cells() {
        let (role, events) = path(state);
        let mut machine = Machine::new(role);
        for event in events {
            machine.handle(event).unwrap();
        }
        assert_eq!(machine.state(), state);
        let done = machine.handle(event);
        if expected == "-" {
            assert_eq!(done, Err(Impossible { event, state }));
            assert_eq!(
                machine.state(),
                state,
                "an impossible event changes nothing"
            );
        } else {
            let (action, steps) = done.unwrap();
            assert_eq!(name(action), expected);
            let other = action == Action::Ar8 && role == Role::Acceptor;
            let outcome = if other {
                action.otherwise().unwrap()
            } else {
                action.outcome()
            };
            assert_eq!((steps, machine.state()), outcome, "{event:?} in {state:?}");
        }
    }
}

#[test]
fn a_refused_request_leads_to_sta13_and_only_from_sta2() {
    for state in State::ALL {
        let (role, events) = path(state);
        let mut machine = Machine::new(role);
        events
            .into_iter()
            .for_each(|event| assert!(machine.handle(event).is_ok()));
        match machine.refuse_request() {
            Ok(steps) => {
                assert_eq!(state, State::Sta2);
                assert_eq!(machine.state(), State::Sta13);
                assert_eq!(
                    steps,
                    [Step::StopArtim, Step::SendAssociateRj, Step::StartArtim]
                );
            }
            Err(_) => assert_ne!(state, State::Sta2),
        }
    }
}
