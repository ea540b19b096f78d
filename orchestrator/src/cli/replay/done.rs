//! What rebuilds have come to, in a table or in a last line of JSON.

use std::io;

use comfy_table::Table;
use serde_json::{Map, Value, json};

use crate::cli::output;
use crate::config::Output;

/// A finished rebuild: the view, and the report as the server or this process gives it.
pub(super) struct Done {
    view: &'static str,
    report: Value,
}

impl Done {
    pub(super) fn new(view: &'static str, report: Value) -> Done {
        Done { view, report }
    }

    fn number(&self, field: &str) -> u64 {
        self.report[field].as_u64().unwrap_or_default()
    }

    fn is_live(&self) -> bool {
        self.report["live"] == true
    }

    /// Rows in which the new table differs from the live one.
    pub(super) fn differing(&self) -> u64 {
        let found = self.report["verification"]["differing"].as_u64();
        found.unwrap_or_default()
    }

    fn compared(&self) -> String {
        let found = &self.report["verification"];
        match (found.is_null(), self.differing()) {
            (true, _) => "not compared".to_owned(),
            (false, 0) => format!("all {} rows agree", found["rebuiltRows"]),
            (false, differing) => format!("{differing} of {} rows differ", found["rebuiltRows"]),
        }
    }

    fn row(&self) -> [String; 8] {
        let seconds = self.report["seconds"].as_f64().unwrap_or_default();
        let rate = self.number("events") as f64 / seconds.max(0.001);
        [
            self.view.to_owned(),
            self.number("events").to_string(),
            format!("{seconds:.1}"),
            format!("{rate:.0}"),
            self.number("workers").to_string(),
            self.number("parkedEvents").to_string(),
            self.compared(),
            if self.is_live() { "live" } else { "waiting" }.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        let mut all = Map::from_iter([("view".to_owned(), Value::from(self.view))]);
        if let Value::Object(report) = &self.report {
            all.extend(report.clone());
        }
        Value::Object(all)
    }
}

/// Prints them, every difference that is known, and what is left to do.
pub(super) fn tell(all: &[Done], form: Output) -> io::Result<()> {
    if form == Output::Json {
        let rebuilt: Vec<Value> = all.iter().map(Done::json).collect();
        let result = json!({ "type": "result", "rebuilt": rebuilt });
        output::line(result.to_string())?;
    } else {
        let headings = [
            "view", "events", "seconds", "events/s", "workers", "parked", "compared", "table",
        ];
        let mut table = output::table(&headings);
        table.add_rows(all.iter().map(Done::row));
        output::line(table.to_string())?;
        if let Some(differences) = differences(all) {
            output::line(format!("\n{differences}"))?;
        }
    }
    for done in all {
        let listed = done.report["verification"]["differences"].as_array();
        let more = done.differing() - listed.map_or(0, Vec::len) as u64;
        if more > 0 && form == Output::Table {
            output::note(format!("{more} more rows of {} differ", done.view));
        }
        if !done.is_live() {
            let view = done.view;
            output::note(format!(
                "the view {view} is built and not live; `bookmarket replay {view} --resume` takes in what has come since and cuts over"
            ));
        }
    }
    Ok(())
}

/// Field by field, the old value beside the new one.
fn differences(all: &[Done]) -> Option<Table> {
    let mut table = output::table(&["view", "key", "field", "live", "rebuilt"]);
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for done in all {
        let rows = done.report["verification"]["differences"].as_array();
        for row in rows.into_iter().flatten() {
            for field in row["fields"].as_array().into_iter().flatten() {
                table.add_row([
                    done.view.to_owned(),
                    text(&row["key"]),
                    text(&field["field"]),
                    text(&field["old"]),
                    text(&field["new"]),
                ]);
            }
            let more = row["moreFields"].as_u64().unwrap_or_default();
            if more > 0 {
                let more = format!("and {more} more fields");
                table.add_row([done.view.to_owned(), text(&row["key"]), more]);
            }
        }
    }
    (table.row_count() > 0).then_some(table)
}
