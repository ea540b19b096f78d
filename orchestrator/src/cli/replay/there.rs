//! A rebuild by the server that holds the embedded store.

use std::time::Duration;

use serde_json::{Value, json};

use super::args::{Cutover, ReplayArgs, ReplayView};
use super::done::Done;
use super::progress::{Progress, Step};
use crate::app;
use crate::cli::client::{Answer, Client};
use crate::cli::output;
use crate::config::{Output, Settings};
use crate::http::rebuilds::NOTHING_TO_RESUME;

/// How often a server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// That server.
pub(super) struct Server(Client);

impl Server {
    /// The server that holds the data directory, or else the configured one.
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Server> {
        let server = app::server_of(&settings.store.data_dir)
            .unwrap_or_else(|| settings.client.server.clone());
        output::note(format!("the store is in use; asking {server}"));
        Ok(Server(Client::new(&server, settings.client.token()?)?))
    }

    async fn ask(&self, name: &str, body: &Value) -> anyhow::Result<Answer> {
        let path = format!("/projections/{name}/rebuild");
        Ok(self.0.post(&path, body).await?)
    }

    /// Whether there was an old table.
    pub(super) async fn drop_old(&self, name: &str) -> anyhow::Result<bool> {
        let answer = self.ask(name, &json!({ "dropOld": true })).await?;
        Ok(answer.body["dropped"] == true)
    }

    /// Rebuilds a view; nothing where all views are to be resumed and this one has nothing to resume.
    pub(super) async fn rebuild(
        &self,
        name: &'static str,
        args: &ReplayArgs,
        form: Output,
    ) -> anyhow::Result<Option<Done>> {
        let wish = json!({
            "verify": args.verify,
            "cutover": match args.cutover {
                Cutover::Auto => "auto",
                Cutover::Manual => "manual",
            },
            "resume": args.resume,
            "parallel": args.parallel,
            "checkpointEvery": humantime::format_duration(args.checkpoint_every).to_string(),
        });
        self.ask(name, &wish).await?;
        let mut progress = Progress::of(name, form);
        loop {
            let status = self.0.get(&format!("/projections/{name}")).await?.body;
            let last = &status["lastRebuild"];
            match last["state"].as_str() {
                Some("done") => return Ok(Some(Done::new(name, last["report"].clone()))),
                Some("failed") => {
                    let all = args.view == ReplayView::All;
                    if all && last["code"] == NOTHING_TO_RESUME {
                        return Ok(None);
                    }
                    let why = last["error"].as_str();
                    anyhow::bail!("{}", why.unwrap_or("the server does not say why"));
                }
                _ => {}
            }
            if let Some(step) = Step::read(&status["projection"]["rebuild"]) {
                progress.tell(&step);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}
