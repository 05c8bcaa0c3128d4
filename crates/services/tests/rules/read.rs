//! Reads: the worked examples of rules-and-users 2.11, RU-25 to RU-42 and RU-61 to RU-66.

use bson::{Bson, Document, doc};
use serde_json::json;
use services::ServiceLimits;

use crate::fixture::{fixtures, fixtures_with, ids};

#[tokio::test]
async fn worked_examples() {
    let rules = json!({"notes": {"roles": [
        {"name": "owner", "apply_when": {"owner": "%%user.id"}, "read": true, "write": true, "insert": true, "delete": true},
        {"name": "reader", "apply_when": {"shared": "%%user.id"}, "insert": false, "delete": false,
         "fields": {"title": {"read": true}, "views": {"read": true, "write": {"%%this": {"$gt": "%%prev"}}}}, "additional_fields": {}}
    ]}});
    let a = doc! { "_id": 1, "owner": "u1", "shared": ["u2"], "title": "t", "views": 3, "body": "x" };
    let b = doc! { "_id": 2, "owner": "u3", "shared": [] };
    for fixture in fixtures(rules, None).await {
        fixture.store("notes", [a.clone(), b.clone()]).await;
        let [u1, u2, u3, u9] = ["u1", "u2", "u3", "u9"].map(|id| fixture.user(id));
        assert_eq!(u1.find("notes", doc! {}).await, Ok(vec![a.clone()]));
        assert_eq!(u2.find("notes", doc! {}).await, Ok(vec![doc! { "title": "t", "views": 3 }]));
        assert_eq!(u2.find("notes", doc! { "body": "x" }).await, Ok(vec![]));
        assert_eq!(u9.count("notes", doc! {}).await, Ok(0));
        let views = |views: i32| doc! { "$set": { "views": views } };
        let done = doc! { "matchedCount": 1, "modifiedCount": 1 };
        let update_denied = Err("update not permitted (NoMatchingRuleFound)".to_owned());
        assert_eq!(u2.update("notes", doc! { "_id": 1 }, views(4)).await, Ok(done.clone()));
        assert_eq!(u2.update("notes", doc! { "_id": 1 }, views(2)).await, update_denied);
        assert_eq!(u2.update("notes", doc! { "_id": 1 }, doc! { "$set": { "title": "z" } }).await, update_denied);
        let denied = |action: &str| Err(format!("{action} not permitted (NoMatchingRuleFound)"));
        assert_eq!(u2.tries("deleteOne", "notes", doc! { "filter": { "_id": 1 } }).await, denied("delete"));
        assert!(u2.insert("notes", doc! { "_id": 3, "owner": "u2", "title": "n" }).await.is_ok());
        assert_eq!(u2.insert("notes", doc! { "owner": "u1", "shared": ["u2"] }).await, denied("insert"));
        let all = |title: &str| doc! { "filter": {}, "update": { "$set": { "title": title } } };
        assert_eq!(u3.tries("updateMany", "notes", all("q")).await, Ok(done.clone()));
        fixture.store("notes", [a.clone(), b.clone()]).await;
        assert_eq!(u2.tries("updateMany", "notes", all("q")).await, update_denied);
        assert_eq!(fixture.stored("notes").await, [a.clone(), b.clone()]);
        assert_eq!(u1.update("notes", doc! { "_id": 1 }, doc! { "$set": { "owner": "u9" } }).await, Ok(done));
        assert_eq!(fixture.stored("notes").await.len(), 2);
        assert_eq!(u9.count("notes", doc! {}).await, Ok(1));
    }
}

#[tokio::test]
async fn a_collection_without_rules_is_closed() {
    let rules = json!({"mine": {"roles": [{"apply_when": {"never": true}}]}, "empty": {"roles": []}});
    for fixture in fixtures(rules.clone(), None).await {
        let user = fixture.user("u1");
        let database = &fixture.database;
        let closed = |collection: &str| {
            Err(format!("no rule exists for namespace '{database}.{collection}' (NoMatchingRuleFound)"))
        };
        assert_eq!(user.find("other", doc! {}).await, closed("other"));
        assert_eq!(user.find("empty", doc! {}).await, closed("empty"));
        assert_eq!(user.insert("other", doc! {}).await.map(|_| vec![]), closed("other"));
        assert_eq!(user.find("mine", doc! {}).await, Ok(vec![]));
    }
    // RU-34
    let default = json!({"roles": [{"apply_when": {}, "read": true}]});
    for fixture in fixtures(rules, Some(default)).await {
        for collection in ["other", "mine", "empty"] {
            fixture.store(collection, [doc! { "_id": 1 }]).await;
        }
        let user = fixture.user("u1");
        assert_eq!(user.find("other", doc! {}).await, Ok(vec![doc! { "_id": 1 }]));
        assert_eq!(user.find("empty", doc! {}).await, Ok(vec![doc! { "_id": 1 }]));
        assert_eq!(user.find("mine", doc! {}).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn frames_of_other_users() {
    let rules = json!({"mine": {"roles": [{"apply_when": {"owner": "%%user.id", "team": "%%user.custom_data.team"}, "read": true}]}});
    for fixture in fixtures(rules, None).await {
        fixture
            .store("mine", [doc! { "_id": 1, "owner": "u1", "team": "red" }, doc! { "_id": 2, "owner": "u2" }])
            .await;
        assert_eq!(ids(&fixture.frame("u1").find("mine", doc! {}).await.expect("a user")), [1]);
        let refused = |id: &'static str| {
            let fixture = &fixture;
            async move { fixture.frame(id).find("mine", doc! {}).await }
        };
        assert_eq!(refused("unknown").await, Err("user not found: 'unknown' (UserNotFound)".to_owned()));
        assert_eq!(refused("disabled").await, Err("user disabled: 'disabled' (UserDisabled)".to_owned()));
    }
}

/// Documents 1 to 6: odd ones are the user's, even ones somebody else's.
fn numbered() -> impl Iterator<Item = Document> {
    (1..=6).map(|id| doc! { "_id": id, "owner": if id % 2 == 1 { "u1" } else { "u2" }, "a": id * 10, "h": id % 3 })
}

/// The same visible documents, found by the database and one by one.
fn both_ways() -> [serde_json::Value; 2] {
    let asked = json!({"owner": {"%and": [{"%eq": "%%user.id"}, {"%regex": "^u"}]}});
    [json!({"owner": "%%user.id"}), asked]
        .map(|apply_when| json!({"t": {"roles": [{"apply_when": apply_when, "read": true}]}}))
}

#[tokio::test]
async fn skip_and_limit_count_what_is_visible() {
    for rules in both_ways() {
        for fixture in fixtures(rules, None).await {
            fixture.store("t", numbered()).await;
            let user = fixture.user("u1");
            let find = |options: Document| {
                let user = &user;
                async move { ids(&user.find_with("t", doc! {}, options).await.expect("find")) }
            };
            assert_eq!(find(doc! { "sort": { "_id": -1 } }).await, [5, 3, 1]);
            assert_eq!(find(doc! { "sort": { "_id": 1 }, "limit": 2 }).await, [1, 3]);
            assert_eq!(find(doc! { "sort": { "_id": 1 }, "skip": 1, "limit": 1 }).await, [3]);
            assert_eq!(find(doc! { "sort": { "_id": 1 }, "batchSize": 1 }).await, [1, 3, 5]);
            let count = |options: Document| {
                let user = &user;
                async move { user.tries("count", "t", doc! { "options": options }).await.expect("count") }
            };
            assert_eq!(count(doc! {}).await, doc! { "value": 3 });
            assert_eq!(count(doc! { "limit": 2 }).await, doc! { "value": 2 });
            assert_eq!(count(doc! { "skip": 2 }).await, doc! { "value": 1 });
            let one = user.tries("findOne", "t", doc! { "filter": { "_id": { "$gt": 1 } } }).await.expect("findOne");
            assert_eq!(one.get_document("value").expect("a document").get_i32("_id").ok(), Some(3));
            let none = user.tries("findOne", "t", doc! { "filter": { "_id": 2 } }).await;
            assert_eq!(none, Ok(doc! { "value": null }));
            let distinct = user.tries("distinct", "t", doc! { "field": "a" }).await.expect("distinct");
            let mut values: Vec<i32> =
                distinct.get_array("value").expect("values").iter().filter_map(Bson::as_i32).collect();
            values.sort_unstable();
            assert_eq!(values, [10, 30, 50]);
            let projected = user.find_with("t", doc! { "_id": 1 }, doc! { "projection": { "a": 1, "_id": 0 } }).await;
            assert_eq!(projected, Ok(vec![doc! { "a": 10 }]));
        }
    }
}

#[tokio::test]
async fn at_most_so_many_documents() {
    let limits = ServiceLimits { documents_per_query_max: 7, ..ServiceLimits::default() };
    for rules in both_ways() {
        for fixture in fixtures_with(rules, None, limits).await {
            fixture.store("t", (0..40).map(|id| doc! { "_id": id, "owner": "u1" })).await;
            let found = fixture.user("u1").find_with("t", doc! {}, doc! { "sort": { "_id": 1 }, "batchSize": 3 }).await;
            assert_eq!(ids(&found.expect("find")), [0, 1, 2, 3, 4, 5, 6]);
        }
    }
}

#[tokio::test]
async fn parts_of_documents() {
    let rules = json!({"t": {"roles": [{"apply_when": {}, "fields": {"a": {"read": true}, "p": {"fields": {"x": {"read": true}}}}}]}});
    for fixture in fixtures(rules, None).await {
        let document = |b: i32| doc! { "a": 1, "b": b, "p": { "x": 1, "y": 2 } };
        fixture.store("t", [document(1), document(2)]).await;
        let user = fixture.user("u1");
        let seen = doc! { "a": 1, "p": { "x": 1 } };
        assert_eq!(user.find("t", doc! {}).await, Ok(vec![seen.clone(), seen.clone()]));
        assert_eq!(user.find("t", doc! { "a": 1, "p.x": 1 }).await, Ok(vec![seen.clone(), seen.clone()]));
        // RU-36
        assert_eq!(user.find("t", doc! { "b": 1 }).await, Ok(vec![]));
        assert_eq!(user.count("t", doc! { "b": { "$gt": 0 } }).await, Ok(0));
        let only_a = user.find_with("t", doc! {}, doc! { "projection": { "a": 1 }, "limit": 1 }).await;
        assert_eq!(only_a, Ok(vec![doc! { "a": 1 }]));
        let distinct = |field: &'static str| {
            let user = &user;
            async move { user.tries("distinct", "t", doc! { "field": field }).await }
        };
        assert_eq!(distinct("a").await, Ok(doc! { "value": [1] }));
        assert_eq!(distinct("b").await, Ok(doc! { "value": [] }));
        assert_eq!(distinct("p.y").await, Ok(doc! { "value": [] }));
    }
}

#[tokio::test]
async fn functions_decide() {
    let role = |name: &str| json!({"apply_when": {"%%true": {"%function": {"name": name, "arguments": ["%%root.owner"]}}}, "read": true});
    for (name, count) in [("yes", 6), ("no", 0), ("throws", 0)] {
        for fixture in fixtures(json!({"t": {"roles": [role(name)]}}), None).await {
            fixture.store("t", numbered()).await;
            assert_eq!(fixture.user("u1").count("t", doc! {}).await, Ok(count), "{name}");
        }
    }
}

#[tokio::test]
async fn filters() {
    let rules = json!({
        "t": {"filters": [{"name": "own", "apply_when": {}, "query": {"owner": "%%user.id"}, "projection": {"h": 0}}],
              "roles": [{"apply_when": {}, "read": true, "write": true}]},
        "missing": {"filters": [{"name": "m", "apply_when": {}, "query": {"owner": "%%user.custom_data.none"}}],
              "roles": [{"apply_when": {}, "read": true, "write": true}]},
        "conflict": {"filters": [{"name": "in", "apply_when": {}, "projection": {"a": 1}}, {"name": "out", "apply_when": {}, "projection": {"h": 0}}],
              "roles": [{"apply_when": {}, "read": true}]},
    });
    for fixture in fixtures(rules, None).await {
        for collection in ["t", "missing", "conflict"] {
            fixture.store(collection, numbered()).await;
        }
        let user = fixture.user("u1");
        let shown = |id: i32| doc! { "_id": id, "owner": "u1", "a": id * 10 };
        // RU-61, RU-64
        assert_eq!(user.find("t", doc! {}).await, Ok(vec![shown(1), shown(3), shown(5)]));
        assert_eq!(user.find("t", doc! { "h": 0 }).await, Ok(vec![]));
        assert_eq!(user.count("t", doc! {}).await, Ok(3));
        assert_eq!(user.count("t", doc! { "h": 0 }).await, Ok(0));
        assert_eq!(user.aggregate("t", vec![doc! { "$match": { "_id": 1 } }]).await, Ok(vec![shown(1)]));
        // RU-63
        assert_eq!(user.find("missing", doc! {}).await, Ok(vec![]));
        // RU-65
        let conflict = user.find("conflict", doc! {}).await.expect_err("a conflict");
        assert!(conflict.ends_with("(BadRequest)"), "{conflict}");
        // RU-66
        assert_eq!(fixture.system().count("missing", doc! {}).await, Ok(6));
        // RU-62
        let update = doc! { "filter": {}, "update": { "$set": { "a": 0 } } };
        let updated = user.tries("updateMany", "t", update).await;
        assert_eq!(updated, Ok(doc! { "matchedCount": 3, "modifiedCount": 3 }));
        assert_eq!(user.tries("deleteMany", "t", doc! {}).await, Ok(doc! { "deletedCount": 3 }));
        assert_eq!(ids(&fixture.stored("t").await), [2, 4, 6]);
    }
}

#[tokio::test]
async fn what_only_the_system_may_use() {
    let rules = json!({"t": {"roles": [{"apply_when": {}, "read": true, "write": true}]}});
    for fixture in fixtures(rules, None).await {
        fixture.store("t", numbered()).await;
        let (user, system) = (fixture.user("u1"), fixture.system());
        for filter in [
            doc! { "owner": { "$regex": "^u" } },
            doc! { "$expr": { "$eq": ["$_id", 1] } },
            doc! { "$or": [{ "a": { "$not": { "$regex": "x" } } }] },
        ] {
            assert!(system.find("t", filter.clone()).await.is_ok(), "{filter}");
            for (action, more) in [
                ("find", doc! {}),
                ("findOne", doc! {}),
                ("count", doc! {}),
                ("distinct", doc! { "field": "a" }),
                ("updateOne", doc! { "update": { "$set": { "a": 1 } } }),
                ("updateMany", doc! { "update": { "$set": { "a": 1 } } }),
                ("replaceOne", doc! { "replacement": {} }),
                ("deleteOne", doc! {}),
                ("deleteMany", doc! {}),
                ("findOneAndUpdate", doc! { "update": { "$set": { "a": 1 } } }),
                ("findOneAndReplace", doc! { "replacement": {} }),
                ("findOneAndDelete", doc! {}),
            ] {
                let mut arguments = doc! { "filter": filter.clone() };
                arguments.extend(more);
                let error = user.tries(action, "t", arguments).await.expect_err("not for application users");
                assert!(error.ends_with("(BadRequest)"), "{action} {filter}: {error}");
            }
        }
        for option in [
            doc! { "collation": { "locale": "en" } },
            doc! { "readConcern": { "level": "local" } },
            doc! { "min": { "_id": 1 }, "hint": { "_id": 1 } },
            doc! { "showRecordId": true },
            doc! { "projection": { "x": { "$function": { "body": "", "args": [], "lang": "js" } } } },
        ] {
            let error = user.find_with("t", doc! {}, option.clone()).await.expect_err("not for application users");
            assert!(error.ends_with("(BadRequest)"), "{option}: {error}");
        }
        for action in ["getCollectionNames", "getDBNames", "aggregate"] {
            let arguments = doc! { "collection": null, "pipeline": [] };
            let error = user.tries(action, "t", arguments).await.expect_err("not for application users");
            assert!(error.ends_with("(BadRequest)"), "{action}: {error}");
        }
        assert_eq!(fixture.stored("t").await, numbered().collect::<Vec<_>>());
    }
}
