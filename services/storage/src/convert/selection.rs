//! Selections of tasks that are steered together.

use tidemill_kernel::TenantName;
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_store::task::{Selection, Steering, TaskFilter};

use super::task::decode_state;
use super::{rule, time};
use crate::{Error, Result};

/// The message of a selection of a tenant's tasks.
pub fn encode_selection(tenant: &TenantName, selection: Selection) -> api::SteerTasksRequest {
    let steering = match selection.steering {
        Steering::Cancel => api::Steering::Cancel,
        Steering::Revive => api::Steering::Revive,
    };
    let TaskFilter { state, kind, group, error, failure_kind, from, until } = selection.filter;
    let filter = types::TaskFilter {
        state: state.map_or(0, |state| state.number()),
        kind,
        group,
        error,
        failure_kind,
        from: from.map(time::encode),
        until: until.map(time::encode),
    };
    api::SteerTasksRequest {
        tenant: tenant.to_string(),
        steering: steering.into(),
        filter: Some(filter),
        after_place: selection.after,
        limit: i32::try_from(selection.limit).unwrap_or(i32::MAX),
        dry_run: selection.is_dry,
    }
}

/// The selection of a message.
pub fn decode_selection(message: api::SteerTasksRequest) -> Result<Selection> {
    let steering = match message.steering() {
        api::Steering::Cancel => Steering::Cancel,
        api::Steering::Revive => Steering::Revive,
        api::Steering::Unspecified => {
            return Err(Error::field("steering", "is missing; use 1 (cancel) or 2 (revive)".to_owned()));
        }
    };
    let filter = message.filter.unwrap_or_default();
    let state = decode_state("filter.state", filter.state)?;
    if let Some(state) = state.filter(|state| !steering.states().contains(state)) {
        let states = steering.states().map(|state| format!("{} ({})", state.number(), state.name()));
        let rule = format!(
            "is {}, which this cannot change; use {}, or leave it out",
            state.name(),
            states.join(" or ")
        );
        return Err(Error::field("filter.state", rule));
    }
    let filter = TaskFilter {
        state,
        kind: rule::text("filter.kind", filter.kind, rule::MAX_LABEL)?,
        group: rule::group_or_none("filter.group", filter.group)?,
        error: rule::text("filter.error", filter.error, rule::MAX_LABEL)?,
        failure_kind: rule::text("filter.failure_kind", filter.failure_kind, rule::MAX_LABEL)?,
        from: time::decode_optional("filter.from", filter.from)?,
        until: time::decode_optional("filter.until", filter.until)?,
    };
    if filter.from.zip(filter.until).is_some_and(|(from, until)| from >= until) {
        let rule = "is not after `filter.from`, so that no task can fit; give a later moment".to_owned();
        return Err(Error::field("filter.until", rule));
    }
    let limit = rule::limit("limit", message.limit)?;
    Ok(Selection { steering, filter, after: message.after_place, limit, is_dry: message.dry_run })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_reads_back_and_what_cannot_be_meant_is_refused_by_its_field() {
        let acme: TenantName = "acme".parse().unwrap();
        let at = |second: i64| Some(tidemill_kernel::Timestamp::from_micros(second * 1_000_000));
        let filter = TaskFilter {
            state: Some(tidemill_store::task::TaskState::Dead),
            kind: "analyze".into(),
            group: "batch 7".into(),
            error: "no luck".into(),
            failure_kind: "bad".into(),
            from: at(1),
            until: at(2),
        };
        let selection = Selection { steering: Steering::Revive, filter, after: 7, limit: 9, is_dry: true };
        let message = || encode_selection(&acme, selection.clone());
        assert_eq!(decode_selection(message()).unwrap(), selection);
        let filter = |change: &dyn Fn(&mut types::TaskFilter)| {
            let mut message = message();
            change(message.filter.as_mut().unwrap());
            message
        };
        for (wrong, field) in [
            (api::SteerTasksRequest { steering: 0, ..message() }, "steering"),
            (api::SteerTasksRequest { steering: 1, ..message() }, "filter.state"),
            (api::SteerTasksRequest { limit: 0, ..message() }, "limit"),
            (filter(&|filter| filter.state = 3), "filter.state"),
            (filter(&|filter| filter.until = filter.from), "filter.until"),
            (filter(&|filter| filter.group = "x".repeat(129)), "filter.group"),
        ] {
            let fault = decode_selection(wrong).unwrap_err();
            assert!(fault.to_string().contains(field), "{fault}");
        }
    }
}
