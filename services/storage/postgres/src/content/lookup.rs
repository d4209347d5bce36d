//! How a statement finds the one row of a key, whatever the planner believes of the table.
//!
//! A connection keeps the plan of a statement until somebody analyses its tables. One that was made while a table was almost
//! empty is kept while the table grows; and in an almost empty table every index that begins with the tenant looks as good as
//! the right one, so that each lookup reads all that the tenant has. The last column of a key is therefore given as a range of
//! one value with an order: only the key's own index has that order, and any other way costs a sort besides.

/// The row, or none, as something to join laterally: columns, table, conditions on the first columns of the key, the last
/// column, its value, and possibly how it is locked.
macro_rules! row_of_key {
    ($columns:literal, $table:literal, $first:literal, $last:literal, $value:literal $(, $lock:literal)?) => {
        concat!(
            "(SELECT ", $columns, " FROM ", $table, " WHERE ", $first, " AND ", $last, " BETWEEN ", $value, " AND ", $value,
            " ORDER BY ", $last, " LIMIT 1" $(, " ", $lock)?, ")"
        )
    };
}
pub(super) use row_of_key;
