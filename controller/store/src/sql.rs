//! Statements of varying length, with numbered parameters that both databases understand.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Arguments as _, AssertSqlSafe, Encode, Type};

/// A statement under construction. Values only ever enter as parameters.
#[derive(Default)]
pub(crate) struct Sql {
    text: String,
    arguments: AnyArguments,
    bound: usize,
    /// Whether nothing was written into the parentheses at hand.
    first: bool,
}

impl Sql {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A parameter where the statement ends so far.
    pub(crate) fn bind<T: for<'q> Encode<'q, Any> + Type<Any>>(&mut self, value: T) -> &mut Self {
        self.bound += 1;
        self.text.push_str(&format!("${}", self.bound));
        // Only types that `Any` cannot encode fail, and there are none here.
        if let Err(error) = self.arguments.add(value) {
            debug_assert!(false, "{error}");
        }
        self
    }

    /// The next parameter of a list in parentheses.
    pub(crate) fn item<T: for<'q> Encode<'q, Any> + Type<Any>>(&mut self, value: T) -> &mut Self {
        self.comma();
        self.bind(value)
    }

    /// A number of a list in parentheses. One that is none is written out: sqlx sends it to PostgreSQL as four bytes, and
    /// a statement prepared so refuses the eight of a number when it comes again.
    pub(crate) fn number(&mut self, value: Option<f64>) -> &mut Self {
        if let Some(value) = value {
            return self.item(value);
        }
        self.comma();
        self.push("NULL")
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.text.push_str(", ");
        }
    }

    /// ` VALUES (..), (..)`, one pair of parentheses for each row.
    pub(crate) fn rows<R>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
        mut row: impl FnMut(&mut Self, R),
    ) -> &mut Self {
        for (i, values) in rows.into_iter().enumerate() {
            self.text.push_str(if i == 0 { " VALUES (" } else { ", (" });
            self.first = true;
            row(self, values);
            self.text.push(')');
        }
        self
    }

    /// `(.., ..)`.
    pub(crate) fn list<T: for<'q> Encode<'q, Any> + Type<Any>>(
        &mut self,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.text.push('(');
        self.first = true;
        for value in values {
            self.item(value);
        }
        self.text.push(')');
        self
    }

    pub(crate) fn query(self) -> Query<'static, Any, AnyArguments> {
        sqlx::query_with(AssertSqlSafe(self.text), self.arguments)
    }

    /// The query of a statement with many parameters. SQLite looks the name of each up in a list of all, which for a
    /// thousand rows takes a hundred times as long as the rows themselves; there they go without names, in their order.
    pub(crate) fn query_on(mut self, connection: &AnyConnection) -> Query<'static, Any, AnyArguments> {
        if connection.backend_name() == "SQLite" {
            self.text = without_numbers(&self.text);
        }
        self.query()
    }
}

/// `?` for each `$1`; the statements of this crate hold no other `$`.
fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('$');
    plain.extend(parts.next());
    for part in parts {
        plain.push('?');
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_order_without_numbers() {
        let mut sql = Sql::new("INSERT INTO t (a, b)");
        sql.rows([(1_i64, "x"), (2, "y")], |row, (a, b)| {
            row.item(a).item(b.to_owned());
        });
        assert_eq!(sql.text, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)");
        assert_eq!(without_numbers(&sql.text), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)");
        assert_eq!(without_numbers("SELECT 1"), "SELECT 1");
    }
}
