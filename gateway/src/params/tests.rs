//! Parameters against the descriptors of the real contracts.

use std::sync::LazyLock;

use proptest::prelude::*;
use prost_reflect::DescriptorPool;
use serde_json::json;

use super::*;

fn message(name: &str) -> MessageDescriptor {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap());
    POOL.get_message_by_name(name).unwrap()
}

fn inserted(name: &str, given: &[(&str, &str)]) -> Result<Value, String> {
    let (message, mut object) = (message(name), Map::new());
    for (path, text) in given {
        insert(&mut object, &message, path, text).map_err(|fault| fault.to_string())?;
    }
    Ok(Value::Object(object))
}

#[test]
fn both_spellings_nested_paths_lists_and_enums_are_taken() {
    let list = "tidemill.scheduling.v1.ListTasksRequest";
    let given = [("page_size", "7"), ("pageToken", "a b"), ("state", "TASK_STATE_DEAD")];
    let expected = json!({"pageSize": 7, "pageToken": "a b", "state": "TASK_STATE_DEAD"});
    assert_eq!(inserted(list, &given), Ok(expected));
    let names = "tidemill.storage.v1.GetTenantsRequest";
    assert_eq!(inserted(names, &[("names", "a"), ("names", "b")]), Ok(json!({"names": ["a", "b"]})));
    let lease = "tidemill.types.v1.Lease";
    let given = [("task.id", "x"), ("task.run_at", "2026-05-01T12:00:00Z"), ("token", "t")];
    let expected = json!({"task": {"id": "x", "runAt": "2026-05-01T12:00:00Z"}, "token": "t"});
    assert_eq!(inserted(lease, &given), Ok(expected));
}

#[test]
fn what_is_no_parameter_is_refused_with_what_would_be() {
    let list = "tidemill.scheduling.v1.ListTasksRequest";
    for (given, expected) in [
        (&[("size", "7")][..], "size: is not a parameter: there are state, kind, page_size, page_token"),
        (&[("page_size", "many")], "page_size: `many` is not a whole number from -2147483648 to 2147483647"),
        (&[("page_size", "1"), ("pageSize", "1")], "pageSize: is given twice"),
        (&[("state", "DEAD")], "state: `DEAD` is not one of TASK_STATE_UNSPECIFIED, TASK_STATE_WAITING"),
        (&[("kind.name", "x")], "kind.name: `kind` has no fields of its own"),
    ] {
        let said = inserted(list, given).unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
    let said = inserted("tidemill.types.v1.Lease", &[("task", "x")]).unwrap_err();
    assert!(said.contains("in a body only"), "{said}");
    let deep = format!("fields{}", ".value".repeat(40_000));
    assert!(inserted("google.protobuf.Struct", &[(&deep, "x")]).is_err());
}

proptest! {
    #[test]
    fn any_text_survives_a_query(text in ".{0,20}") {
        let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
        prop_assert_eq!(decode(&encoded.to_string().replace("%20", "+")), Some(text));
    }

    #[test]
    fn no_parameter_makes_it_panic(path in "[a-z_.]{0,20}", text in ".{0,8}") {
        let _ = inserted("tidemill.types.v1.Lease", &[(&path, &text)]);
    }
}
