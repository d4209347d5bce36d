//! Things that a tenant names: queries and sources.

use std::collections::BTreeMap;

use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};

use super::{Content, State};
use crate::content::{Query, Source};
use crate::page::cut;
use crate::task::TaskState;
use crate::{Error, Result, token};

impl Content {
    pub(super) fn put_query(&mut self, query: Query) -> Result<Query> {
        let exists = |name: &str| Error::Exists { what: "query", name: name.to_owned() };
        if let Some(present) = self.queries.get(&query.name) {
            return if present.same_content(&query) { Ok(present.clone()) } else { Err(exists(&query.name)) };
        }
        if self.queries.values().any(|present| present.id == query.id) {
            return Err(exists(&query.id.to_string()));
        }
        self.query_version += 1;
        self.queries.insert(query.name.clone(), query.clone());
        Ok(query)
    }

    pub(super) fn put_source(&mut self, source: Source) -> Result<Source> {
        let exists = |name: &str| Error::Exists { what: "source", name: name.to_owned() };
        if let Some(present) = self.sources.get(&source.name) {
            let same = (present.kind, &present.location) == (source.kind, &source.location);
            return if same { Ok(present.clone()) } else { Err(exists(&source.name)) };
        }
        if self.sources.values().any(|present| present.id == source.id) {
            return Err(exists(&source.id.to_string()));
        }
        self.sources.insert(source.name.clone(), source.clone());
        Ok(source)
    }
}

impl State {
    pub(super) fn remove_query(&mut self, tenant: &TenantName, name: &str, now: Timestamp) -> Result<()> {
        let content = self.content_mut(tenant)?;
        let query = content.queries.remove(name);
        let query = query.ok_or_else(|| Error::NotFound { what: "query", name: name.to_owned() })?;
        content.query_version += 1;
        let mut tasks = Vec::new();
        content.matches.retain(|_, row| {
            if row.query == query.id {
                tasks.extend(row.task);
            }
            row.query != query.id
        });
        content.match_ids.retain(|(of, _), _| *of != query.id);
        for id in tasks {
            if let Some(row) = self.unfinished_task(id) {
                row.cancel(now);
                let cancelled = row.shown();
                self.shift_group(&cancelled, TaskState::Waiting, now);
            }
        }
        Ok(())
    }
}

/// A page of named things.
pub(super) fn page<T: Clone>(
    listing: &str,
    tenant: &TenantName,
    rows: Option<&BTreeMap<String, T>>,
    page: &PageRequest,
    bytes: fn(&T) -> usize,
) -> Result<Page<T>> {
    let scope = [listing, tenant.as_str()];
    let after: Option<String> = token::decode(&scope, &page.token)?;
    let rows =
        rows.into_iter().flatten().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
    let rows = rows.take(page.size as usize + 1).map(|(name, row)| (name.clone(), row.clone())).collect();
    let page = cut(rows, page.size, |(_, row)| bytes(row), |(name, _)| token::encode(&scope, name));
    Ok(page.map(|(_, row)| row))
}
