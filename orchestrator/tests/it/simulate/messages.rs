//! The shapes of Solapi.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::outside::{Outside, answer, messages, query, solapi_auth};

async fn list(outside: &Outside, pairs: &[(&str, &str)]) -> Value {
    let (status, list) = outside
        .get(&format!("/solapi/messages/v4/list?{}", query(pairs)))
        .await;
    assert_eq!(status, 200, "{list}");
    list
}

fn ids(list: &Value) -> Vec<String> {
    list["messageList"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[tokio::test]
async fn every_send_is_a_message_of_its_own_that_can_be_looked_up_in_every_way() {
    let outside = Outside::open().await;
    let message = Uuid::now_v7();
    let id = message.to_string();
    let own = [
        ("criteria", "customFields.messageId"),
        ("cond", "eq"),
        ("value", id.as_str()),
    ];
    assert_eq!(ids(&list(&outside, &own).await), Vec::<String>::new());
    let (status, sent) = outside.send(message, "order-1").await;
    assert_eq!(status, 200, "{sent}");
    assert_eq!(sent["failedMessageList"], json!([]));
    assert_eq!(sent["groupInfo"]["count"]["registeredSuccess"], 1);
    let entry = &sent["messageList"][0];
    assert_eq!(
        (&entry["statusCode"], &entry["type"]),
        (&json!("2000"), &json!("ATA"))
    );
    assert_eq!(
        entry["customFields"],
        json!({ "messageId": id, "orderId": "order-1", "kind": "shipped" })
    );
    let theirs = entry["messageId"].as_str().unwrap();
    let group = sent["groupInfo"]["groupId"].as_str().unwrap();

    outside.send(Uuid::now_v7(), "order-2").await;
    for pairs in [
        &own[..],
        &[("customFields.messageId", id.as_str())],
        &[("messageId", theirs)],
        &[("groupId", group)],
    ] {
        let list = list(&outside, pairs).await;
        assert_eq!(ids(&list), [theirs], "{pairs:?}");
        let found = &list["messageList"][theirs];
        assert_eq!(
            (&found["status"], &found["statusCode"]),
            (&json!("COMPLETE"), &json!("4000"))
        );
        assert_eq!(found["customFields"], entry["customFields"]);
    }
    assert_eq!(
        ids(&list(&outside, &[("to", "010-1234-5678")]).await).len(),
        2
    );
    assert_eq!(
        ids(&list(&outside, &[("to", "01099999999")]).await).len(),
        0
    );
    outside.send(message, "order-1").await;
    assert_eq!(
        ids(&list(&outside, &own).await).len(),
        2,
        "sent twice is two messages"
    );
}

#[tokio::test]
async fn a_list_has_pages_and_ends() {
    let outside = Outside::open().await;
    for _ in 0..5 {
        outside.send(Uuid::now_v7(), "o").await;
    }
    let (mut found, mut start) = (Vec::new(), None::<String>);
    loop {
        let mut pairs = vec![("limit", "2"), ("startDate", "2026-01-01T00:00:00.000Z")];
        pairs.extend(start.as_deref().map(|start| ("startKey", start)));
        let page = list(&outside, &pairs).await;
        found.extend(ids(&page));
        match page["nextKey"].as_str() {
            Some(next) => start = Some(next.to_owned()),
            None => break,
        }
    }
    found.dedup();
    assert_eq!(found.len(), 5);
    let path = "/solapi/messages/v4/list?limit=501";
    assert_eq!(outside.get(path).await.1["errorCode"], "ValidationError");
}

#[tokio::test]
async fn requests_must_be_signed_in_the_right_form() {
    let outside = Outside::open().await;
    let url = format!("{}/solapi/messages/v4/send-many/detail", outside.url);
    let good = solapi_auth();
    let late = "HMAC-SHA256 apiKey=K, date=2020-01-01T00:00:00Z, salt=0123456789ab, signature="
        .to_owned()
        + &"ab".repeat(32);
    for (header, status, code) in [
        (None, 401, "Unauthorized"),
        (Some("Bearer x".to_owned()), 401, "Unauthorized"),
        (Some("HMAC-SHA256 apiKey=K".to_owned()), 401, "Unauthorized"),
        (
            Some(good.replace("apiKey=KEY", "apiKey=")),
            403,
            "InvalidAPIKey",
        ),
        (Some(late), 403, "RequestTimeTooSkewed"),
        (Some(good.replace("cdef", "")), 403, "SignatureDoesNotMatch"),
    ] {
        let mut request = outside.client.request(Method::POST, &url);
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        let (got, error) = answer(request.json(&messages(Uuid::now_v7(), "o"))).await;
        assert_eq!(
            (got.as_u16(), &error["errorCode"]),
            (status, &json!(code)),
            "{header:?}"
        );
    }
    for bad in [
        json!({}),
        json!({ "messages": [] }),
        json!({ "messages": [{ "to": "x" }] }),
    ] {
        let (status, error) = outside
            .post("/solapi/messages/v4/send-many/detail", "", &bad)
            .await;
        assert_eq!(
            (status.as_u16(), &error["errorCode"]),
            (400, &json!("ValidationError"))
        );
    }
    assert_eq!(outside.calls().await, Vec::<String>::new());
}
