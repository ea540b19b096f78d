//! What comes out of an archive is what went in.

use eventstore::archive::MEMBER_EVENTS;
use eventstore::testing::{TestLog, each_backend};
use eventstore::{AppendError, Expected, Position};

use super::shelf::{Shelf, events, export, fill, import, tell, text};
use crate::support::{append_one, dice, size, to, whole_log};

/// JSON that a database may spell in another way.
const AWKWARD: &[&str] = &[
    r#"{"qty":2,"bookId":"b-1","a":1,"aa":2}"#,
    "{ \"b\" :\n[1, 2,\r\n3] , \"a\":\ttrue }",
    r#"{"a":1,"a":2}"#,
    r#"{"text":"\u00e9 \u0001 \/ \\ \" \ud83d\ude00 \u007f é","\u0061":null}"#,
    r#"[1.0,1.50,1e2,1.5E-3,-0,-0.0,0e9,12345678901234567890123456789,1e-30,9.99e40,-1.25e1]"#,
    // Postgres writes it out in more digits than an append may have.
    r#"{"huge":1.23e400,"tiny":-9.75e-399}"#,
    r#"{"deep":{"deeper":[{"deepest":{}},[],""]}}"#,
    "\"only text\"",
    "null",
];

/// Events beyond one member, so that there is a second one.
const SECOND_MEMBER: usize = 700;

/// Random documents of a run.
const DOCUMENTS: (usize, usize) = (300, 3_000);

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_moved_to_the_other_database_and_back_is_the_same_log() {
    let shelf = Shelf::new();
    let [origin, there, back] = [TestLog::sqlite(), TestLog::postgres(), TestLog::sqlite()];
    let store = origin.open().await;
    for data in AWKWARD {
        tell(&store, data).await;
    }
    fill(&store, MEMBER_EVENTS + SECOND_MEMBER).await;
    let wanted = whole_log(&store).await;
    let paths = ["origin", "there", "back", "copy"].map(|name| shelf.path(name));

    let exported = export(&origin, &paths[0]).await;
    assert_eq!(exported.last, Position(wanted.len() as i64));
    let imported = import(&paths[0], &there).await.expect("imported");
    assert_eq!(imported.added, wanted.len() as i64);
    let again = export(&there, &paths[1]).await;
    import(&paths[1], &back).await.expect("imported");
    let home = export(&back, &paths[2]).await;

    // SQLite keeps every byte, Postgres what they mean.
    assert_eq!(
        (&again.content, &home.content),
        (&exported.content, &exported.content)
    );
    assert_eq!(imported.content, exported.content);
    assert_eq!(events(&paths[1]), events(&paths[2]), "to the byte");
    let copy = TestLog::sqlite();
    import(&paths[0], &copy).await.expect("imported");
    export(&copy, &paths[3]).await;
    assert_eq!(events(&paths[0]), events(&paths[3]), "to the byte");

    for log in [&there, &back, &copy] {
        let found = whole_log(&log.open().await).await;
        let facts = |event: &eventstore::RecordedEvent| {
            let eventstore::RecordedEvent {
                position,
                stream,
                version,
                event_id,
                event_type,
                ..
            } = event.clone();
            (
                position,
                stream,
                version,
                event_id,
                event_type,
                event.schema_version,
                event.recorded_at,
            )
        };
        assert!(found.iter().map(facts).eq(wanted.iter().map(facts)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_comes_back_from_sqlite_to_postgres_to_the_byte() {
    let shelf = Shelf::new();
    let [origin, there, back] = [TestLog::postgres(), TestLog::sqlite(), TestLog::postgres()];
    let store = origin.open().await;
    for data in AWKWARD {
        tell(&store, data).await;
    }
    let paths = ["origin", "there", "back"].map(|name| shelf.path(name));
    export(&origin, &paths[0]).await;
    import(&paths[0], &there).await.expect("imported");
    export(&there, &paths[1]).await;
    import(&paths[1], &back).await.expect("imported");
    export(&back, &paths[2]).await;
    assert_eq!(events(&paths[0]).len(), AWKWARD.len());
    assert_eq!(events(&paths[0]), events(&paths[1]));
    assert_eq!(events(&paths[0]), events(&paths[2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_documents_mean_the_same_in_both_databases() {
    let shelf = Shelf::new();
    let [origin, there] = [TestLog::sqlite(), TestLog::postgres()];
    let store = origin.open().await;
    let mut dice = dice("random documents");
    for _ in 0..size(DOCUMENTS.0, DOCUMENTS.1) {
        tell(&store, &document(&mut dice, 3)).await;
    }
    let exported = export(&origin, &shelf.path("origin")).await;
    import(&shelf.path("origin"), &there)
        .await
        .expect("imported");
    let again = export(&there, &shelf.path("there")).await;
    assert_eq!(again.content, exported.content);
    assert_ne!(again.sha256, exported.sha256, "it is spelled otherwise");
}

/// JSON of any kind.
fn document(dice: &mut fastrand::Rng, depth: usize) -> String {
    let space = ["", " ", "\n", "\t "][dice.usize(..4)];
    // At the bottom there is nothing that holds something else.
    let kinds = if depth == 0 { 2..6 } else { 0..6 };
    match dice.usize(kinds) {
        0 => {
            let fields: Vec<String> = (0..dice.usize(..4))
                .map(|_| format!("{}{space}:{}", string(dice), document(dice, depth - 1)))
                .collect();
            format!("{{{space}{}}}", fields.join(","))
        }
        1 => {
            let items: Vec<String> = (0..dice.usize(..4))
                .map(|_| document(dice, depth - 1))
                .collect();
            format!("[{}{space}]", items.join(","))
        }
        2 => ["true", "false", "null"][dice.usize(..3)].to_owned(),
        3 => format!("{space}{}", string(dice)),
        _ => number(dice),
    }
}

fn string(dice: &mut fastrand::Rng) -> String {
    const PIECES: &[&str] = &[
        "a",
        "b",
        "é",
        "\\u00e9",
        "\\n",
        "\\\"",
        "\\/",
        "\\u001f",
        "\\ud83d\\ude00",
        "'",
        " ",
    ];
    let pieces = (0..dice.usize(..4)).map(|_| PIECES[dice.usize(..PIECES.len())]);
    format!("\"{}\"", pieces.collect::<String>())
}

fn number(dice: &mut fastrand::Rng) -> String {
    let sign = ["", "-"][dice.usize(..2)];
    let whole = match dice.usize(..3) {
        0 => "0".to_owned(),
        _ => dice.u32(1..).to_string(),
    };
    let fraction = match dice.usize(..2) {
        0 => String::new(),
        _ => format!(".{:03}", dice.usize(..1_000)),
    };
    let exponent = match dice.usize(..3) {
        0 => format!(
            "{}{}{}",
            ["e", "E"][dice.usize(..2)],
            ["", "+", "-"][dice.usize(..3)],
            dice.usize(..12)
        ),
        _ => String::new(),
    };
    format!("{sign}{whole}{fraction}{exponent}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_log_goes_on_where_the_other_one_ended() {
    let shelf = Shelf::new();
    let path = shelf.path("archive");
    let origin = TestLog::sqlite();
    let store = origin.open().await;
    fill(&store, 20).await;
    let last = whole_log(&store).await.pop().expect("events");
    let exported = export(&origin, &path).await;
    each_backend(async |copy: TestLog| {
        let fresh = copy.open().await;
        let (epoch, schema) = (
            fresh.epoch().await.expect("read"),
            fresh.about().await.expect("read").schema,
        );
        drop(fresh);
        let imported = import(&path, &copy).await.expect("imported");
        let store = copy.open().await;
        let renewed = store.epoch().await.expect("read");
        assert_eq!(imported.epoch, Some(renewed));
        assert_ne!(renewed, epoch, "the contents were replaced on purpose");
        assert_eq!(store.about().await.expect("read").schema, schema);
        assert_eq!(imported.content, exported.content);

        let again = store
            .append(vec![to(&last.stream, Expected::NoStream, 1)])
            .await;
        assert!(
            matches!(again, Err(AppendError::Conflict { actual, .. }) if actual == last.version)
        );
        let next = to(&last.stream, Expected::At(last.version), 1);
        let appended = store.append(vec![next]).await.expect("stored");
        assert_eq!(appended.first, Position(21));
        let page = store
            .read_page(&last.checkpoint(), 10)
            .await
            .expect("it goes on");
        assert_eq!(page.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_log_can_be_moved_as_well() {
    let shelf = Shelf::new();
    let path = shelf.path("archive");
    let origin = TestLog::sqlite();
    drop(origin.open().await);
    export(&origin, &path).await;
    assert_eq!(text(&path).lines().count(), 2, "header and trailer");
    each_backend(async |copy: TestLog| {
        let imported = import(&path, &copy).await.expect("imported");
        assert_eq!((imported.last, imported.epoch), (Position::ZERO, None));
        append_one(&copy.open().await).await.expect("stored");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_beside_a_writer_ends_where_the_log_was_when_it_began() {
    each_backend(async |log: TestLog| {
        let shelf = Shelf::new();
        let path = shelf.path("archive");
        let store = log.open().await;
        fill(&store, 3_000).await;
        let writing = tokio::spawn(async move {
            let mut appended = 0;
            loop {
                append_one(&store).await.expect("stored");
                appended += 1;
                if appended == 200 {
                    return;
                }
            }
        });
        let exported = export(&log, &path).await;
        writing.await.expect("ran");
        let lines = events(&path);
        assert!((3_000..=3_200).contains(&exported.last.0));
        assert_eq!(lines.len() as i64, exported.last.0);
    })
    .await;
}
