//! A part that ends by itself, which nobody outside can bring about.

use clap::Parser as _;

use super::{App, Ended};
use crate::cli::args::Cli;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_nobody_any_more_says_so_and_is_taken_down_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_string_lossy();
    let arguments = [
        "bookmarket",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &folder,
    ];
    let mut settings = Cli::try_parse_from(arguments)
        .expect("good arguments")
        .settings;
    settings.store.database_url = None;
    settings.broker.nats_url = None;
    let mut app = App::start(&settings).await.expect("it starts");
    app.stop_http.cancel();
    assert_eq!(app.died().await, "the HTTP server");
    assert_eq!(app.stop().await, Ended::InOrder);
}
