//! What only the scheduler understands of a task: checked here, stored as the bytes of its message.

use prost::Message;
use tidemill_proto::types::v1::{DependencyFailure, TaskOptions};

use super::reference::decode_reference;
use super::{rule, time};
use crate::{Error, Result};

/// The most limit keys of a task.
const MAX_KEYS: usize = 8;
/// The most labels of a task, and the most error kinds of a policy.
const MAX_LABELS: usize = 16;
/// The most tasks that a task waits for.
const MAX_DEPENDENCIES: usize = 1_000;
/// The longest key, label or name, in bytes.
const MAX_NAME: usize = 128;
/// The largest cost: more would let one task outweigh a tenant's day.
const MAX_COST: u32 = 100_000_000;

/// The bytes of checked options; none for those that say nothing.
pub fn decode(message: TaskOptions) -> Result<Vec<u8>> {
    time::decode_optional("deadline", message.deadline)?;
    if message.cost > MAX_COST {
        return Err(Error::field("cost", format!("is {}; at most {MAX_COST}", message.cost)));
    }
    rule::at_most("limit_keys", message.limit_keys.len(), MAX_KEYS)?;
    for (index, key) in message.limit_keys.iter().enumerate() {
        rule::filled(&format!("limit_keys[{index}]"), key.clone(), MAX_NAME)?;
    }
    rule::at_most("labels", message.labels.len(), MAX_LABELS)?;
    for (name, value) in &message.labels {
        rule::filled("labels", name.clone(), MAX_NAME)?;
        rule::text("labels", value.clone(), MAX_NAME)?;
    }
    let names = [("affinity", &message.affinity), ("zone", &message.zone), ("order_key", &message.order_key)];
    for (field, value) in names {
        rule::text(field, value.clone(), MAX_NAME)?;
    }
    if let Some(retry) = &message.retry {
        time::decode_length("retry.initial", retry.initial)?;
        time::decode_length("retry.maximum", retry.maximum)?;
        rule::at_most("retry.final_kinds", retry.final_kinds.len(), MAX_LABELS)?;
    }
    rule::at_most("depends_on", message.depends_on.len(), MAX_DEPENDENCIES)?;
    for (index, dependency) in message.depends_on.iter().enumerate() {
        decode_reference(&format!("depends_on[{index}]"), dependency.clone())?;
    }
    if DependencyFailure::try_from(message.on_dependency_failure).is_err() {
        let rule = format!("is {}; use 1 (die), 2 (run) or 3 (wait)", message.on_dependency_failure);
        return Err(Error::field("on_dependency_failure", rule));
    }
    Ok(message.encode_to_vec())
}

/// The options of these bytes; none for none.
pub fn encode(options: &[u8]) -> Option<TaskOptions> {
    if options.is_empty() { None } else { TaskOptions::decode(options).ok() }
}
