//! How tasks name others, and how those stand.

use tidemill_proto::storage::v1::FoundTask;
use tidemill_proto::types::v1 as types;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_store::task::{Reference, Standing};

use super::rule;
use super::task::decode_state;
use crate::{Error, Result};

/// References from messages.
pub fn decode_references(field: &str, messages: Vec<types::Dependency>) -> Result<Vec<Reference>> {
    rule::at_most(field, messages.len(), rule::MAX_LEASES)?;
    let decode = |(index, message): (usize, types::Dependency)| {
        decode_reference(&format!("{field}[{index}]"), message)
    };
    messages.into_iter().enumerate().map(decode).collect()
}

/// A reference from its message.
pub fn decode_reference(field: &str, message: types::Dependency) -> Result<Reference> {
    match message.task {
        Some(Named::Id(id)) => Ok(Reference::Task(rule::id(&format!("{field}.id"), &id)?)),
        Some(Named::Key(key)) => {
            rule::filled(&format!("{field}.key"), key, rule::MAX_KEY).map(Reference::Key)
        }
        None => Err(Error::field(field, "names no task; say its `id` or its `key`")),
    }
}

/// A reference's message.
pub fn encode_reference(reference: Reference) -> types::Dependency {
    let task = match reference {
        Reference::Task(id) => Named::Id(id.to_string()),
        Reference::Key(key) => Named::Key(key),
    };
    types::Dependency { task: Some(task) }
}

/// The message of a task's standing.
pub fn encode_standing(standing: Option<Standing>) -> FoundTask {
    let state = |standing: Standing| standing.state.map_or(0, |state| state.number());
    standing.map_or_else(FoundTask::default, |standing| FoundTask {
        id: standing.id.to_string(),
        state: state(standing),
    })
}

/// A task's standing from its message.
pub fn decode_standing(message: FoundTask) -> Result<Option<Standing>> {
    if message.id.is_empty() {
        return Ok(None);
    }
    let (id, state) = (rule::id("id", &message.id)?, decode_state("state", message.state)?);
    Ok(Some(Standing { id, state }))
}
