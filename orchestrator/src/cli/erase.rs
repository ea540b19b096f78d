//! `erase`: destroys a customer's key, here or in the server that holds the embedded store.

use eventstore::Vault;
use serde_json::json;

use super::args::EraseArgs;
use super::client::Client;
use super::{output, store};
use crate::app;
use crate::config::Settings;
use crate::fulfilment::erase::{Erased, erase};
use crate::http::hal::escape;

/// Who asked, in the log, where no token says it.
const ACTOR: &str = "command line";

/// Erases a customer and says what was done.
pub(super) async fn run(settings: &Settings, args: &EraseArgs) -> anyhow::Result<()> {
    let location = settings.store.location()?;
    let erased = match store::existing(&location).await? {
        Some(store) => {
            let vault = Vault::open(&store, &settings.store.master_key()).await?;
            erase(&store, &vault, &args.customer, &args.reason, ACTOR).await? == Erased::Now
        }
        None => there(settings, args).await?,
    };
    let document = json!({ "customerId": args.customer, "erased": erased });
    output::document(settings.client.output, &document, || {
        let mut table = output::table(&["customer", ""]);
        let done = if erased {
            "erased"
        } else {
            "nothing personal was left of this customer"
        };
        table.add_row([args.customer.as_str(), done]);
        table
    })?;
    Ok(())
}

/// Asks the server that holds the directory.
async fn there(settings: &Settings, args: &EraseArgs) -> anyhow::Result<bool> {
    let server =
        app::server_of(&settings.store.data_dir).unwrap_or_else(|| settings.client.server.clone());
    let client = Client::new(&server, settings.client.token()?)?;
    let path = format!("/customers/{}/erase", escape(&args.customer));
    let answer = client
        .post(&path, &json!({ "reason": args.reason }))
        .await?;
    Ok(answer
        .body
        .get("erased")
        .and_then(serde_json::Value::as_bool)
        .unwrap_or_default())
}
