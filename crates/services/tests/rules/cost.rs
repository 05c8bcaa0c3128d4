//! What rules cost; run by hand: `cargo test -p services --test rules cost -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use serde_json::json;

use crate::fixture::{Caller, fixtures};

const DOCUMENTS: i32 = 1_000;

async fn median(caller: &Caller<'_>, collection: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..40 {
        let start = Instant::now();
        let found = caller.call("find", collection, doc! { "options": { "batchSize": 2_000 } }).await.expect("find");
        times.push(start.elapsed());
        assert_eq!(found.get_array("documents").expect("a batch").len(), DOCUMENTS as usize);
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn finding_a_thousand_documents() {
    let rules = json!({
        "narrowed": {"roles": [{"apply_when": {"owner": "%%user.id"}, "read": true}]},
        "asked": {"roles": [{"apply_when": {"owner": {"%regex": "^u1$"}}, "read": true}]},
        "fields": {"roles": [{"apply_when": {"owner": {"%regex": "^u1$"}}, "fields": {"secret": {}}, "additional_fields": {"read": true}}]},
    });
    let document = |id: i32| -> Document {
        doc! {
            "_id": id, "owner": "u1", "name": format!("name of document {id}"), "n": id, "price": 1.5, "live": true,
            "tags": ["a", "b", "c"], "address": { "street": "Main Street 5", "city": "Springfield" }, "secret": "s",
            "text": "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.",
        }
    };
    for fixture in fixtures(rules, None).await {
        for collection in ["narrowed", "asked", "fields"] {
            fixture.store(collection, (0..DOCUMENTS).map(document)).await;
        }
        let system = median(&fixture.system(), "narrowed").await;
        eprintln!("system: {system:?}");
        for collection in ["narrowed", "asked", "fields"] {
            let user = median(&fixture.user("u1"), collection).await;
            eprintln!("{collection}: {user:?}, {:.2}x", user.as_secs_f64() / system.as_secs_f64());
        }
    }
}
