//! Changes as an application user sees them.

use bson::{Document, doc};
use serde_json::json;

use crate::fixture::{Caller, fixtures};

/// Every event until one that says `last`, as `(operationType, fullDocument)`.
async fn events(caller: &Caller<'_>, cursor: i32) -> Vec<(String, Document)> {
    let mut seen = Vec::new();
    for _ in 0..30 {
        let reply = caller.tries("getMore", "t", doc! { "cursor": cursor }).await.expect("getMore");
        for event in reply.get_array("documents").expect("a batch") {
            let event = event.as_document().expect("an event");
            let document = event.get_document("fullDocument").cloned().unwrap_or_default();
            let is_last = document.contains_key("last");
            seen.push((event.get_str("operationType").expect("a type").to_owned(), document));
            if is_last {
                seen.pop();
                return seen;
            }
        }
    }
    panic!("the last event did not come: {seen:?}");
}

async fn open(caller: &Caller<'_>, arguments: Document) -> i32 {
    caller.tries("watch", "t", arguments).await.expect("watch").get_i32("cursor").expect("a number")
}

#[tokio::test]
async fn changes_of_visible_documents() {
    let rules = json!({"t": {"roles": [
        {"apply_when": {"owner": "%%user.id"}, "read": true},
        {"apply_when": {"shared": true}, "fields": {"_id": {"read": true}, "a": {"read": true}}},
        {"apply_when": {"last": true}, "read": true},
    ]}});
    for fixture in fixtures(rules, None).await {
        let (user, system) = (fixture.user("u1"), fixture.system());
        let cursor = open(&user, doc! {}).await;
        let by_hidden =
            open(&user, doc! { "filter": { "$or": [{ "fullDocument.h": 5 }, { "fullDocument.last": true }] } }).await;
        let by_id = open(&user, doc! { "ids": [2, 9] }).await;
        let all = open(&system, doc! {}).await;
        let insert = |document: Document| system.insert("t", document);
        insert(doc! { "_id": 1, "owner": "u1", "h": 6 }).await.expect("insert");
        insert(doc! { "_id": 2, "shared": true, "a": 1, "h": 5 }).await.expect("insert");
        insert(doc! { "_id": 3, "owner": "u2", "h": 5 }).await.expect("insert");
        system.update("t", doc! { "_id": 2 }, doc! { "$set": { "a": 2, "h": 7 } }).await.expect("update");
        system.tries("deleteOne", "t", doc! { "filter": { "_id": 1 } }).await.expect("delete");
        insert(doc! { "_id": 9, "last": true }).await.expect("insert");
        let event = |kind: &str, document: Document| (kind.to_owned(), document);
        assert_eq!(
            events(&user, cursor).await,
            [
                event("insert", doc! { "_id": 1, "owner": "u1", "h": 6 }),
                event("insert", doc! { "_id": 2, "a": 1 }),
                event("update", doc! { "_id": 2, "a": 2 }),
            ]
        );
        assert_eq!(events(&user, by_hidden).await, []);
        let of_two = [event("insert", doc! { "_id": 2, "a": 1 }), event("update", doc! { "_id": 2, "a": 2 })];
        assert_eq!(events(&user, by_id).await, of_two);
        let kinds: Vec<String> = events(&system, all).await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["insert", "insert", "insert", "update", "delete"]);
        for filter in [doc! { "updateDescription.updatedFields.h": 5 }, doc! { "fullDocument": {} }, doc! { "h": 5 }] {
            let error = user.tries("watch", "t", doc! { "filter": filter }).await.expect_err("no such filter");
            assert!(error.ends_with("(BadRequest)"), "{error}");
        }
        let closed = user.tries("watch", "closed", doc! {}).await.expect_err("no rules");
        assert!(closed.ends_with("(NoMatchingRuleFound)"), "{closed}");
    }
}
