//! `orders show` and `orders cancel`.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Answer, Client};
use super::output;
use crate::config::Output;

/// Shows an order as it is now.
pub(super) async fn show(client: &Client, order: Uuid, output: Output) -> anyhow::Result<()> {
    let answer = client.get(&format!("/orders/{order}")).await?;
    print(&answer, output)
}

/// Asks for an order's cancellation and shows where it stands.
pub(super) async fn cancel(
    client: &Client,
    order: Uuid,
    reason: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let request = client
        .request(Method::POST, &format!("/orders/{order}/cancel"))
        .json(&json!({ "reason": reason }));
    let answer = client.send(request).await?;
    print(&answer, output)
}

fn print(answer: &Answer, output: Output) -> anyhow::Result<()> {
    output::document(output, &answer.body, || details(&answer.body))?;
    Ok(())
}

/// One row per field, in the order of the document; links are for machines.
#[must_use]
pub(super) fn details(document: &Value) -> comfy_table::Table {
    let mut table = output::table(&[]);
    if let Value::Object(fields) = document {
        for (name, value) in fields
            .iter()
            .filter(|(name, value)| !name.starts_with('_') && !value.is_null())
        {
            table.add_row([name.clone(), plain(value)]);
        }
    }
    table
}

/// A value as a person reads it.
#[must_use]
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let pairs = fields.iter().filter(|(_, value)| !value.is_null());
            pairs
                .map(|(name, value)| format!("{name} {}", plain(value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        other => other.to_string(),
    }
}
