//! A rebuild by the server that holds the embedded store.

use std::time::Duration;

use anyhow::bail;
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

/// What has become of a rebuild.
#[derive(Debug, PartialEq)]
enum Looked {
    Running,
    Done(Value),
    NothingToResume,
    Failed(String),
    /// A process that has begun one knows of it to its end.
    Forgotten,
}

impl Looked {
    fn at(last: &Value) -> Looked {
        match last["state"].as_str() {
            None => Looked::Forgotten,
            Some("done") => Looked::Done(last["report"].clone()),
            Some("failed") if last["code"] == NOTHING_TO_RESUME => Looked::NothingToResume,
            Some("failed") => {
                let why = last["error"].as_str();
                Looked::Failed(why.unwrap_or("the server does not say why").to_owned())
            }
            Some(_) => Looked::Running,
        }
    }
}

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
            match Looked::at(&status["lastRebuild"]) {
                Looked::Running => {}
                Looked::Done(report) => return Ok(Some(Done::new(name, report))),
                Looked::NothingToResume if args.view == ReplayView::All => return Ok(None),
                Looked::NothingToResume => bail!(
                    "there is no rebuild of the view {name} to resume: start one without resuming"
                ),
                Looked::Failed(why) => bail!("{why}"),
                Looked::Forgotten => bail!(
                    "the server was started anew meanwhile and knows of no rebuild of the view {name}: --resume goes on with it"
                ),
            }
            if let Some(step) = Step::read(&status["projection"]["rebuild"]) {
                progress.tell(&step);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_knows_of_no_rebuild_is_not_waited_for() {
        assert_eq!(Looked::at(&Value::Null), Looked::Forgotten);
        assert_eq!(Looked::at(&json!({ "state": "running" })), Looked::Running);
        let failed = json!({ "state": "failed", "error": "no room" });
        assert_eq!(Looked::at(&failed), Looked::Failed("no room".to_owned()));
        let nothing = json!({ "state": "failed", "code": NOTHING_TO_RESUME, "error": "x" });
        assert_eq!(Looked::at(&nothing), Looked::NothingToResume);
        let done = json!({ "state": "done", "report": { "events": 5 } });
        assert_eq!(Looked::at(&done), Looked::Done(json!({ "events": 5 })));
    }
}
