//! One file of JSON per event and version, as it is in somebody's log. A file is never changed once
//! it is released: what was written must stay readable.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use aggregates::codec::{decode, encode, types};
use serde_json::Value;
use serde_json::value::RawValue;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn file_name(event_type: &str, version: i16) -> String {
    format!("{event_type}.v{version}.json")
}

/// The text of one golden file.
pub(crate) fn golden(event_type: &str, version: i16) -> String {
    let path = directory().join(file_name(event_type, version));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_version_of_every_event_has_a_golden_file_and_no_file_is_left_over() {
    let expected: BTreeSet<String> = types()
        .flat_map(|(name, newest)| (1..=newest).map(move |version| file_name(name, version)))
        .collect();
    let found: BTreeSet<String> = fs::read_dir(directory())
        .expect("tests/golden")
        .map(|entry| {
            entry
                .expect("a readable directory")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_golden_file_is_read_and_written_again_as_the_newest_version() {
    for (name, newest) in types() {
        let written: Value = serde_json::from_str(&golden(name, newest)).expect("JSON");
        for version in 1..=newest {
            let data =
                RawValue::from_string(golden(name, version).trim().to_owned()).expect("JSON");
            let event = decode(name, version, &data)
                .unwrap_or_else(|error| panic!("{name} {version}: {error:?}"));
            let encoded = encode(&event);
            assert_eq!((encoded.event_type, encoded.schema_version), (name, newest));
            let json: Value = serde_json::from_str(encoded.data.get()).expect("JSON");
            assert_eq!(json, written, "{name} from version {version}");
        }
    }
}

#[test]
fn the_seeds_fields_are_in_every_domain_event() {
    for (name, newest) in types() {
        let data = RawValue::from_string(golden(name, newest).trim().to_owned()).expect("JSON");
        let event = decode(name, newest, &data).expect("a golden event");
        if event.head().is_none() {
            continue;
        }
        let json: Value = serde_json::from_str(data.get()).expect("JSON");
        for field in [
            "eventType",
            "timestamp",
            "id",
            "orderId",
            "customerId",
            "status",
            "occurredAt",
        ] {
            assert!(json.get(field).is_some(), "{name} lacks {field}");
        }
    }
}
