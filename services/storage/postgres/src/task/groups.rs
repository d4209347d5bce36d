//! Groups: the counts of their tasks, read as sums of what was counted and the changes since (see [`crate::ledger`]).

use sqlx::query_as;
use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::task::Group;
use tidemill_store::text::clean;
use tidemill_store::{Result, token};

use crate::reader::Source;

/// A group as it is read: name, total, succeeded, dead, cancelled, first submission, last change.
type GroupRow = (String, i64, i64, i64, i64, i64, i64);

fn group((name, total, succeeded, dead, cancelled, first_at, changed_at): GroupRow) -> Group {
    let (first_at, changed_at) = (Timestamp::from_micros(first_at), Timestamp::from_micros(changed_at));
    Group { name, total, succeeded, dead, cancelled, first_at, changed_at }
}

const ONE: &str = "
    SELECT g.name, g.total, g.succeeded, g.dead, g.cancelled, g.first_at, g.changed_at
    FROM tenants t CROSS JOIN LATERAL present_group(t.id, $2) g WHERE t.name = $1";

/// One of a tenant's groups.
pub(super) async fn one(source: &Source, tenant: &TenantName, name: &str) -> Result<Option<Group>> {
    let name = clean(name.to_owned());
    let row = source.row(|| query_as::<_, GroupRow>(ONE).bind(tenant.as_str()).bind(&name)).await?;
    Ok(row.map(group))
}

const PAGE: &str = "
    WITH tenant AS MATERIALIZED (SELECT id FROM tenants WHERE name = $1),
    named AS (
        (SELECT name FROM group_counts WHERE tenant_id = (SELECT id FROM tenant) AND name > $2 ORDER BY name LIMIT $3)
        UNION
        (SELECT DISTINCT name FROM group_changes
         WHERE tenant_id = (SELECT id FROM tenant) AND id > (SELECT through FROM counted) AND name > $2
         ORDER BY name LIMIT $3)
        ORDER BY name LIMIT $3
    )
    SELECT g.name, g.total, g.succeeded, g.dead, g.cancelled, g.first_at, g.changed_at
    FROM tenant t CROSS JOIN named n CROSS JOIN LATERAL present_group(t.id, n.name) g ORDER BY n.name";

/// A page of a tenant's groups, by name.
pub(super) async fn page(source: &Source, tenant: &TenantName, page: PageRequest) -> Result<Page<Group>> {
    let scope = ["groups", tenant.as_str()];
    let after: String = token::decode(&scope, &page.token)?.unwrap_or_default();
    let rows = || {
        let rows = query_as::<_, GroupRow>(PAGE).bind(tenant.as_str()).bind(&after);
        rows.bind(i64::from(page.size) + 1)
    };
    let groups = source.rows(rows).await?.into_iter().map(group).collect();
    Ok(Page::cut(groups, page.size, |last: &Group| token::encode(&scope, &last.name)))
}
