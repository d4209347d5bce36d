//! How tasks and groups stand that tasks name.

use sqlx::query_as;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{Reference, Standing};
use tidemill_store::text::clean;

use super::row::{placed, state};
use crate::database::Database;

const FIND: &str = "
    WITH tenant AS MATERIALIZED (SELECT id FROM tenants WHERE name = $1)
    SELECT n.number, n.place, n.created_at, 0::bigint AS open, coalesce(
        (SELECT CASE WHEN EXISTS (SELECT FROM leases l WHERE l.place = q.place) THEN 2 ELSE 1 END FROM queue q
         WHERE q.place = n.place AND q.created_at = n.created_at AND q.tenant_id + 0 = n.tenant_id),
        (SELECT h.state FROM (VALUES (3), (4), (5)) s (state) CROSS JOIN LATERAL (
             SELECT w.state FROM history w
             WHERE w.tenant_id = n.tenant_id AND w.state = s.state AND w.place = n.place AND w.created_at = n.created_at
               AND w.day IN (-1, (n.created_at / 86400000000)::integer) OFFSET 0
         ) h))
    FROM (
        SELECT a.number, t.id AS tenant_id, coalesce(a.place, k.place) AS place, coalesce(a.created_at, k.created_at) AS created_at
        FROM tenant t CROSS JOIN unnest($2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY AS a (place, created_at, key, number)
        LEFT JOIN LATERAL (SELECT * FROM task_keys WHERE tenant_id = t.id AND key = a.key OFFSET 0) k ON true
    ) n
    WHERE n.place IS NOT NULL
    UNION ALL
    SELECT a.number, NULL, NULL, g.total - g.succeeded - g.dead - g.cancelled,
           CASE WHEN g.total > g.succeeded + g.dead + g.cancelled THEN 1 WHEN g.dead > 0 THEN 4 WHEN g.cancelled > 0 THEN 5 ELSE 3 END
    FROM tenant t CROSS JOIN unnest($5::text[]) WITH ORDINALITY AS a (name, number)
    CROSS JOIN LATERAL present_group(t.id, a.name) g
    WHERE a.name IS NOT NULL";

/// The number of the reference, the task's place and moment, how many tasks of a group are open, the state.
type Found = (i64, Option<i64>, Option<i64>, i64, Option<i32>);

/// One for each, in their order.
pub(super) async fn standings(
    database: &Database,
    tenant: &TenantName,
    references: Vec<Reference>,
) -> Result<Vec<Option<Standing>>> {
    let (mut places, mut moments, mut keys, mut groups) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for reference in references {
        let (id, key, group) = match reference {
            Reference::Task(id) => (Some(placed(id)), None, None),
            Reference::Key(key) => (None, Some(clean(key)), None),
            Reference::Group(name) => (None, None, Some(clean(name))),
        };
        let (place, moment) = id.unzip();
        places.push(place);
        moments.push(moment);
        keys.push(key);
        groups.push(group);
    }
    let rows = || {
        let find = query_as::<_, Found>(FIND).bind(tenant.as_str());
        find.bind(&places).bind(&moments).bind(&keys).bind(&groups)
    };
    let mut found = vec![None; keys.len()];
    for (number, place, created_at, open, number_of_state) in database.primary.rows(rows).await? {
        let state = number_of_state.map(state).transpose()?;
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let is_known = keys.get(index).is_some_and(Option::is_some);
        let id = |created_at, place| Id::placed(Timestamp::from_micros(created_at), place);
        if let Some(standing) = found.get_mut(index).filter(|_| is_known || state.is_some()) {
            *standing =
                Some(Standing { id: created_at.zip(place).map(|(at, place)| id(at, place)), state, open });
        }
    }
    Ok(found)
}
