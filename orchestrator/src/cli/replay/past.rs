//! A view as it was, into a file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use eventstore::{EventStore, Position};
use projections::{OpenError, Past, PastError, RebuildOptions};
use serde_json::{Map, Value, json};

use super::args::{ReplayArgs, ReplayView};
use super::progress::{Progress, Step};
use crate::cli::{output, store};
use crate::config::{Output, Settings};
use crate::sheet::{self, Cell};

/// What the directory is called, behind the name of the file, in which the rows are folded.
const SCRATCH: &str = ".replay";

/// The file as it is written, inside that directory.
const UNFINISHED: &str = "rows";

/// Whose own both are: what is in them is about customers.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// How the rows are written.
#[derive(Clone, Copy)]
enum Kind {
    Csv,
    Json,
}

/// Folds the view up to the place that was asked for and writes its rows.
pub(super) async fn run(settings: &Settings, args: &ReplayArgs, out: &Path) -> anyhow::Result<()> {
    let kind = kind(out)?;
    let view = match args.view {
        ReplayView::All => bail!("a file takes one view: customer, message or saga"),
        one => one.names()[0],
    };
    ensure!(
        args.force || !out.exists(),
        "{} exists; --force replaces it",
        out.display()
    );
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    ensure!(
        folder.is_none_or(Path::is_dir),
        "{} is in no directory that exists",
        out.display()
    );
    let log = store::to_look_at(&settings.store.location()?).await?;
    let position = place(args, &log).await?;
    let options = RebuildOptions {
        workers: args.workers(),
        ..RebuildOptions::default()
    };
    let form = settings.client.output;
    let scratch = scratch(out);
    make_own(&scratch).with_context(|| format!("{} cannot be made", scratch.display()))?;
    let mut progress = Progress::of(view, form);
    let folded = Past::fold(&log, view.parse()?, position, &scratch, &options, |now| {
        progress.tell(&Step::from(now));
    });
    let mut past = folded.await.map_err(|error| {
        // Empty, or somebody else's.
        let _ = fs::remove_dir(&scratch);
        refused(error, out)
    })?;
    drop(progress);

    let unfinished = scratch.join(UNFINISHED);
    let rows = write(&mut past, kind, &unfinished)
        .await
        .with_context(|| format!("the rows cannot be written to {}", unfinished.display()))?;
    fs::rename(&unfinished, out)
        .with_context(|| format!("{} cannot be put in place", out.display()))?;
    tell(view, position, rows, out, form)
}

fn kind(out: &Path) -> anyhow::Result<Kind> {
    match out.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(Kind::Csv),
        Some("json") => Ok(Kind::Json),
        _ => bail!("--out {} must end in .csv or .json", out.display()),
    }
}

fn scratch(out: &Path) -> PathBuf {
    let mut name = OsString::from(out);
    name.push(SCRATCH);
    PathBuf::from(name)
}

/// Makes a directory that nobody else can look into, also of one that a kill has left.
fn make_own(directory: &Path) -> io::Result<()> {
    let mut own = DirBuilder::new();
    own.recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))
}

/// Makes a file that nobody else can read, in place of one that a kill has left.
fn create_own(path: &Path) -> io::Result<File> {
    let mut own = OpenOptions::new();
    let file = own
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Up to where: the position itself, or the last one that was recorded by the moment.
async fn place(args: &ReplayArgs, log: &EventStore) -> anyhow::Result<Position> {
    if let Some(position) = args.to_position {
        return Ok(Position(position));
    }
    let moment = args.to_time.context("there is no place to fold up to")?;
    ensure!(
        moment <= Utc::now(),
        "--to-time {moment} has not come yet: what will be recorded by then is not known"
    );
    Ok(log.last_recorded_by(moment).await?)
}

fn refused(error: PastError, out: &Path) -> anyhow::Error {
    match error {
        PastError::Open(OpenError::InUse(_)) => {
            anyhow::anyhow!("another replay is writing {}", out.display())
        }
        PastError::Beyond { .. } => anyhow::Error::new(error).context("--to-position is too high"),
        other => other.into(),
    }
}

/// Writes all rows, oldest first; returns how many.
async fn write(past: &mut Past, kind: Kind, path: &Path) -> anyhow::Result<u64> {
    let mut file = BufWriter::new(create_own(path)?);
    let rows = match kind {
        Kind::Json => write_json(past, &mut file).await?,
        Kind::Csv => write_csv(past, &mut file).await?,
    };
    file.into_inner()?.sync_all()?;
    Ok(rows)
}

/// One array, with a row on each line.
async fn write_json(past: &mut Past, file: &mut BufWriter<File>) -> anyhow::Result<u64> {
    let mut written = 0;
    file.write_all(b"[")?;
    loop {
        let rows = past.next().await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            file.write_all(if written == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *file, &row)?;
            written += 1;
        }
    }
    file.write_all(b"\n]\n")?;
    Ok(written)
}

/// A column for each field that any row has: the rows are gone through for their fields first.
async fn write_csv(past: &mut Past, file: &mut BufWriter<File>) -> anyhow::Result<u64> {
    let mut columns = BTreeSet::new();
    let mut written = 0;
    loop {
        let rows = past.next().await?;
        if rows.is_empty() {
            break;
        }
        written += rows.len() as u64;
        for row in &rows {
            columns.extend(flat(row).into_iter().map(|(name, _)| name));
        }
    }
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    file.write_all(&sheet::headings(&names))?;
    past.rewind();
    loop {
        let rows = past.next().await?;
        if rows.is_empty() {
            return Ok(written);
        }
        let rows: Vec<Map<String, Value>> = rows
            .iter()
            .map(|row| flat(row).into_iter().collect())
            .collect();
        let lines = rows.iter().map(|row| {
            names
                .iter()
                .map(|name| cell(row.get(*name)))
                .collect::<Vec<_>>()
        });
        file.write_all(&sheet::lines(lines))?;
    }
}

/// The fields of a row, those of objects in it with their paths.
fn flat(row: &Value) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    flatten("", row, &mut fields);
    fields
}

fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                flatten(&path, value, fields);
            }
        }
        value => fields.push((path.to_owned(), value.clone())),
    }
}

/// Lists stay JSON.
fn cell(value: Option<&Value>) -> Cell<'_> {
    match value {
        None | Some(Value::Null) => Cell::Empty,
        Some(Value::String(text)) => Cell::text(text),
        Some(Value::Number(number)) if number.is_i64() => {
            number.as_i64().map_or(Cell::Empty, Cell::Number)
        }
        Some(other) => Cell::text(other.to_string()),
    }
}

fn tell(view: &str, position: Position, rows: u64, out: &Path, form: Output) -> anyhow::Result<()> {
    match form {
        Output::Json => {
            let result = json!({
                "type": "result",
                "view": view,
                "position": position,
                "rows": rows,
                "file": out,
            });
            output::line(result.to_string())?;
        }
        Output::Table => output::line(format!(
            "{rows} rows of the view {view} as of position {position} are in {}",
            out.display()
        ))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_cells_by_path_and_lists_stay_json() {
        let row = json!({"orderId": "o", "payment": {"paid": 5, "refusal": {"code": "x"}}, "lines": [{"qty": 1}], "gone": null});
        let row: Map<String, Value> = flat(&row).into_iter().collect();
        let of = |name: &str| cell(row.get(name));
        assert_eq!(of("orderId"), Cell::text("o"));
        assert_eq!(of("payment.paid"), Cell::Number(5));
        assert_eq!(of("payment.refusal.code"), Cell::text("x"));
        assert_eq!(of("lines"), Cell::text(r#"[{"qty":1}]"#));
        assert_eq!((of("gone"), of("absent")), (Cell::Empty, Cell::Empty));
    }

    #[test]
    fn what_is_written_is_for_its_owner_alone_also_where_a_kill_has_left_something() {
        let folder = tempfile::tempdir().expect("a folder");
        let (directory, file) = (folder.path().join("d"), folder.path().join("f"));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        for wide in [false, true] {
            if wide {
                for path in [&directory, &file] {
                    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("set");
                }
            }
            make_own(&directory).expect("made");
            create_own(&file).expect("made");
            assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
        }
    }

    #[test]
    fn the_end_of_the_name_says_how_rows_are_written() {
        assert!(matches!(kind(Path::new("a/b.csv")), Ok(Kind::Csv)));
        assert!(matches!(kind(Path::new("b.json")), Ok(Kind::Json)));
        for wrong in ["rows", "rows.xlsx", ".csv", "csv"] {
            assert!(kind(Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
