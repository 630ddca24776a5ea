//! Command sets as JSON objects of keywords, as Python has them.

use serde_json::{Map, Value as Json, json};
use vna_ul::CommandSet;
use vna_ul::command::{Value, element};

/// Longest Error Comment: VR LO (PS3.7 §E.1).
const MAX_COMMENT: usize = 64;

/// Keywords of PS3.7 Table E.1-1.
#[rustfmt::skip]
const KEYWORDS: [(&str, u16, Kind); 23] = {
    use Kind::{Number, Tags, Text};
    use element::*;
    [
        ("AffectedSOPClassUID", AFFECTED_SOP_CLASS_UID, Text),
        ("RequestedSOPClassUID", REQUESTED_SOP_CLASS_UID, Text),
        ("CommandField", COMMAND_FIELD, Number),
        ("MessageID", MESSAGE_ID, Number),
        ("MessageIDBeingRespondedTo", MESSAGE_ID_BEING_RESPONDED_TO, Number),
        ("MoveDestination", MOVE_DESTINATION, Text),
        ("Priority", PRIORITY, Number),
        ("CommandDataSetType", COMMAND_DATA_SET_TYPE, Number),
        ("Status", STATUS, Number),
        ("OffendingElement", OFFENDING_ELEMENT, Tags),
        ("ErrorComment", ERROR_COMMENT, Text),
        ("ErrorID", ERROR_ID, Number),
        ("AffectedSOPInstanceUID", AFFECTED_SOP_INSTANCE_UID, Text),
        ("RequestedSOPInstanceUID", REQUESTED_SOP_INSTANCE_UID, Text),
        ("EventTypeID", EVENT_TYPE_ID, Number),
        ("AttributeIdentifierList", ATTRIBUTE_IDENTIFIER_LIST, Tags),
        ("ActionTypeID", ACTION_TYPE_ID, Number),
        ("NumberOfRemainingSuboperations", NUMBER_OF_REMAINING_SUBOPERATIONS, Number),
        ("NumberOfCompletedSuboperations", NUMBER_OF_COMPLETED_SUBOPERATIONS, Number),
        ("NumberOfFailedSuboperations", NUMBER_OF_FAILED_SUBOPERATIONS, Number),
        ("NumberOfWarningSuboperations", NUMBER_OF_WARNING_SUBOPERATIONS, Number),
        ("MoveOriginatorApplicationEntityTitle", MOVE_ORIGINATOR_AE_TITLE, Text),
        ("MoveOriginatorMessageID", MOVE_ORIGINATOR_MESSAGE_ID, Number),
    ]
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Tags,
}

/// The JSON object of a command set.
#[must_use]
pub fn command_to_json(command: &CommandSet) -> Vec<u8> {
    let mut object = Map::new();
    for (element, value) in command.elements() {
        let Some((keyword, ..)) = KEYWORDS.iter().find(|(_, known, _)| known == element) else {
            continue;
        };
        let value = match value {
            Value::Us(number) => json!(number),
            Value::Text(text) => json!(text),
            Value::Tags(tags) => {
                let tags = tags.iter().map(|(g, e)| json!(format!("{g:04X},{e:04X}")));
                Json::Array(tags.collect())
            }
        };
        object.insert((*keyword).to_owned(), value);
    }
    Json::Object(object).to_string().into_bytes()
}

/// The command set of a JSON object. An Error Comment is made to fit its VR; nulls are left out.
///
/// # Errors
///
/// What is wrong with it.
pub fn command_from_json(json: &[u8]) -> Result<CommandSet, String> {
    let object: Map<String, Json> =
        serde_json::from_slice(json).map_err(|error| format!("command_json: {error}"))?;
    let mut command = CommandSet::default();
    for (keyword, value) in object {
        let known = KEYWORDS.iter().find(|(known, ..)| *known == keyword);
        let &(_, element, kind) =
            known.ok_or_else(|| format!("{keyword:?} is no element of a command set"))?;
        if value.is_null() {
            continue;
        }
        let value = value_of(kind, element, &value)
            .ok_or_else(|| format!("{keyword} cannot have the value {value}"))?;
        command = command.with(element, value);
    }
    Ok(command)
}

fn value_of(kind: Kind, element: u16, value: &Json) -> Option<Value> {
    match kind {
        Kind::Number => Some(Value::Us(value.as_u64()?.try_into().ok()?)),
        Kind::Text if element == element::ERROR_COMMENT => {
            Some(Value::Text(comment(value.as_str()?)))
        }
        Kind::Text => Some(Value::Text(value.as_str()?.to_owned())),
        Kind::Tags => {
            let tags = value.as_array()?.iter().map(|tag| {
                let (group, element) = tag.as_str()?.split_once(',')?;
                let hex = |digits: &str| u16::from_str_radix(digits, 16).ok();
                Some((hex(group)?, hex(element)?))
            });
            Some(Value::Tags(tags.collect::<Option<_>>()?))
        }
    }
}

/// The beginning of a text, in the default repertoire.
fn comment(text: &str) -> String {
    let fits = |c: char| (c.is_ascii() && !c.is_ascii_control() && c != '\\').then_some(c);
    text.chars()
        .take(MAX_COMMENT)
        .map(|c| fits(c).unwrap_or('?'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_sets_come_back_from_their_json() {
        let text = br#"{"AffectedSOPClassUID":"1.2","CommandField":32,"OffendingElement":["0010,0020","0008,0052"],"Status":43264}"#;
        let command = command_from_json(text).unwrap();
        assert_eq!(command.us(element::STATUS), Some(0xA900));
        let tags = Value::Tags(vec![(0x0010, 0x0020), (0x0008, 0x0052)]);
        assert_eq!(command.get(element::OFFENDING_ELEMENT), Some(&tags));
        assert_eq!(command_to_json(&command), text);
    }

    #[test]
    fn what_is_no_command_is_told() {
        for (json, problem) in [
            (&b"[]"[..], "invalid type"),
            (br#"{"PatientName":"x"}"#, "PatientName"),
            (br#"{"Status":65536}"#, "65536"),
            (br#"{"Status":"0000"}"#, "Status"),
            (br#"{"OffendingElement":["00100020"]}"#, "00100020"),
        ] {
            let error = command_from_json(json).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        assert_eq!(
            command_from_json(br#"{"Status":null}"#),
            Ok(CommandSet::default())
        );
    }

    #[test]
    fn an_error_comment_fits_its_vr() {
        let json = json!({ "ErrorComment": format!("Grüße\\{}", "x".repeat(100)) });
        let command = command_from_json(json.to_string().as_bytes()).unwrap();
        let comment = command.text(element::ERROR_COMMENT).unwrap();
        assert!(comment.starts_with("Gr??e?xxx") && comment.len() == 64);
    }
}
