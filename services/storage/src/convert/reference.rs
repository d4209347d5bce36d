//! How tasks name others and groups, and how those stand.

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
        Some(Named::Group(group)) => rule::group(&format!("{field}.group"), group).map(Reference::Group),
        None => Err(Error::field(field, "names no task; say its `id` or its `key`, or a `group`")),
    }
}

/// A reference's message.
pub fn encode_reference(reference: Reference) -> types::Dependency {
    let task = match reference {
        Reference::Task(id) => Named::Id(id.to_string()),
        Reference::Key(key) => Named::Key(key),
        Reference::Group(group) => Named::Group(group),
    };
    types::Dependency { task: Some(task) }
}

/// The message of how a task or a group stands.
pub fn encode_standing(standing: Option<Standing>) -> FoundTask {
    standing.map_or_else(FoundTask::default, |Standing { id, state, open }| FoundTask {
        id: id.map(|id| id.to_string()).unwrap_or_default(),
        state: state.map_or(0, |state| state.number()),
        open,
    })
}

/// How a task or a group stands, from its message.
pub fn decode_standing(message: &FoundTask) -> Result<Option<Standing>> {
    let state = decode_state("state", message.state)?;
    if message.id.is_empty() {
        return Ok(state.map(|state| Standing { id: None, state: Some(state), open: message.open }));
    }
    Ok(Some(Standing::task(rule::id("id", &message.id)?, state)))
}
