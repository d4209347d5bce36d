//! `tidemill migrate`: brings the database of the configuration up to date, or says whether it is.

use anyhow::Result;
use serde_json::json;
use tidemill_store::schema::{Migrated, Migration, Schema};

use crate::compose;
use crate::config::{self, Flags};
use crate::exit::Exit;
use crate::output;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Processes that run storage do the same when they start, unless `migrate = false` stands in [store] or [postgres]. \
    Several may do it at once. With --check the exit code is 1 when anything is outstanding.\n\n\
    Example:\n  tidemill migrate --postgres postgres://tidemill@db/tidemill\n  tidemill migrate --check"
)]
pub(crate) struct Args {
    /// Change nothing: say whether anything is outstanding
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Migrates or checks.
pub(crate) async fn run(args: &Args) -> Result<Exit> {
    let config = config::load(&args.flags)?;
    let place = compose::place(&config);
    if args.check {
        let schema = compose::schema(&config).await?;
        say(args.json, &[], &schema, &checked(&place, &schema))?;
        let is_right = schema.is_current() && schema.newer.is_empty();
        return Ok(if is_right { Exit::Done } else { Exit::Failed });
    }
    let Migrated { applied, schema } = compose::migrate(&config).await?;
    say(args.json, &applied, &schema, &done(&place, &applied, &schema))?;
    Ok(Exit::Done)
}

fn say(as_json: bool, applied: &[Migration], schema: &Schema, text: &str) -> Result<()> {
    if !as_json {
        return output::line(text);
    }
    let list = |migrations: &[Migration]| {
        let one = |migration: &Migration| json!({"version": migration.version, "name": migration.name});
        migrations.iter().map(one).collect::<Vec<_>>()
    };
    output::json_lines(&[json!({
        "applied_now": list(applied),
        "applied": list(&schema.applied),
        "outstanding": list(&schema.outstanding),
        "newer": schema.newer,
    })])
}

/// What was done, for people.
fn done(place: &str, applied: &[Migration], schema: &Schema) -> String {
    match applied {
        [] => format!("{place}: up to date, {} applied before", count(schema.applied.len())),
        applied => format!("{place}: applied {}: {}", count(applied.len()), names(applied)),
    }
}

/// What is to be done, for people.
fn checked(place: &str, schema: &Schema) -> String {
    if let Some(version) = schema.newer.first() {
        return format!("{place}: written by a newer version of tidemill (migration {version} is unknown)");
    }
    match schema.outstanding.as_slice() {
        [] => format!("{place}: up to date, {}", count(schema.applied.len())),
        outstanding => {
            let (count, names) = (count(outstanding.len()), names(outstanding));
            format!("{place}: outstanding: {count}: {names}; `tidemill migrate` applies them")
        }
    }
}

fn count(migrations: usize) -> String {
    format!("{migrations} {}", if migrations == 1 { "migration" } else { "migrations" })
}

fn names(migrations: &[Migration]) -> String {
    let name = |migration: &Migration| format!("{} {}", migration.version, migration.name);
    migrations.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(applied: &[i64]) -> Schema {
        let of = |version, name: &str| Migration { version, name: name.to_owned() };
        Schema::new([of(1, "tenants"), of(2, "content")], applied)
    }

    #[test]
    fn what_is_outstanding_newer_or_done_is_named() {
        assert_eq!(checked("here", &schema(&[1, 2])), "here: up to date, 2 migrations");
        let outstanding = checked("here", &schema(&[1]));
        assert!(outstanding.contains("1 migration: 2 content") && outstanding.contains("tidemill migrate"));
        assert!(checked("here", &schema(&[1, 2, 7])).contains("migration 7 is unknown"));
        let now = schema(&[1, 2]);
        assert_eq!(done("here", &now.applied, &now), "here: applied 2 migrations: 1 tenants, 2 content");
        assert_eq!(done("here", &[], &now), "here: up to date, 2 migrations applied before");
    }
}
