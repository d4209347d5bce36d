//! How far a database's schema is: the migrations that this program brings, against those that were applied.

/// One step of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Rises from one to the next.
    pub version: i64,
    /// What it is about, in a word or two.
    pub name: String,
}

/// How far a database's schema is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// What was applied of what this program brings, in order.
    pub applied: Vec<Migration>,
    /// What is still to be applied, in order.
    pub outstanding: Vec<Migration>,
    /// What a newer program applied, in order.
    pub newer: Vec<i64>,
}

impl Schema {
    /// Sorts the migrations that a program brings by the versions that a database has applied.
    pub fn new(brought: impl IntoIterator<Item = Migration>, applied: &[i64]) -> Self {
        let brought: Vec<Migration> = brought.into_iter().collect();
        let is_known = |version: &i64| brought.iter().any(|migration| migration.version == *version);
        let newer = applied.iter().copied().filter(|version| !is_known(version)).collect();
        let (applied, outstanding) =
            brought.into_iter().partition(|migration| applied.contains(&migration.version));
        Self { applied, outstanding, newer }
    }

    /// Whether nothing is outstanding.
    pub fn is_current(&self) -> bool {
        self.outstanding.is_empty()
    }
}

/// What a run of the migrations did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// What it applied, in order; nothing when another one was first.
    pub applied: Vec<Migration>,
    /// How far the schema is now.
    pub schema: Schema,
}

impl Migrated {
    /// What was outstanding before and is applied now.
    pub fn between(before: &Schema, after: Schema) -> Self {
        let is_new = |migration: &&Migration| before.outstanding.contains(migration);
        Self { applied: after.applied.iter().filter(is_new).cloned().collect(), schema: after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought() -> Vec<Migration> {
        (1..=3).map(|version| Migration { version, name: format!("m{version}") }).collect()
    }

    #[test]
    fn every_migration_is_applied_outstanding_or_a_newer_programs() {
        let schema = Schema::new(brought(), &[1, 2, 9]);
        assert_eq!(schema.applied, brought()[..2]);
        assert_eq!(schema.outstanding, brought()[2..]);
        assert_eq!(schema.newer, [9]);
        assert!(!schema.is_current() && Schema::new(brought(), &[1, 2, 3]).is_current());
    }

    #[test]
    fn a_run_did_what_was_outstanding_before_and_is_not_now() {
        let (before, after) = (Schema::new(brought(), &[1]), Schema::new(brought(), &[1, 2, 3]));
        assert_eq!(Migrated::between(&before, after.clone()).applied, brought()[1..]);
        assert!(Migrated::between(&after, after.clone()).applied.is_empty());
    }
}
