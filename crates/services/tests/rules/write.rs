//! Writes: RU-43 to RU-60 and RU-67 to RU-71, each where the database may decide and where each document is asked for.

use bson::{Bson, Document, bson, doc};
use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, fixtures, ids};

fn denied<T>(action: &str) -> Result<T, String> {
    Err(format!("{action} not permitted (NoMatchingRuleFound)"))
}

fn counts(matched: i32, modified: i32) -> Result<Document, String> {
    Ok(doc! { "matchedCount": matched, "modifiedCount": modified })
}

async fn one_role(role: Json) -> Vec<Fixture> {
    let mut role = role;
    if role.get("apply_when").is_none() {
        role["apply_when"] = json!({});
    }
    fixtures(json!({"t": {"roles": [role]}}), None).await
}

#[tokio::test]
async fn inserts() {
    for (role, permitted) in [
        // RU-43
        (json!({"insert": true}), false),
        // RU-44
        (json!({"insert": false, "write": true}), false),
        // RU-45
        (json!({"insert": true, "write": {"%%prevRoot": {"%exists": false}}}), true),
        // RU-46
        (json!({"insert": true, "fields": {"_id": {"write": false}}, "additional_fields": {"write": true}}), false),
        (
            json!({"fields": {"_id": {"write": {"%%prev": {"$exists": false}}}}, "additional_fields": {"write": true}}),
            true,
        ),
        (json!({"apply_when": {"owner": "%%user.id"}, "write": true}), false),
    ] {
        for fixture in one_role(role.clone()).await {
            let user = fixture.user("u1");
            let one = user.insert("t", doc! { "_id": 1, "a": 1 }).await;
            let many = user.tries("insertMany", "t", doc! { "documents": [{ "_id": 2 }, { "a": 1 }] }).await;
            assert_eq!((one.is_ok(), many.is_ok()), (permitted, permitted), "{role}");
            let bulk = doc! { "operations": [{ "kind": "insertOne", "document": { "_id": 3 } }] };
            assert_eq!(user.tries("bulkWrite", "t", bulk).await.is_ok(), permitted, "{role}");
            assert_eq!(fixture.stored("t").await.len(), if permitted { 4 } else { 0 }, "{role}");
            if !permitted {
                assert_eq!(one, denied("insert"));
            }
        }
    }
    // RU-45: the same user neither sees nor changes it.
    for fixture in one_role(json!({"insert": true, "write": {"%%prevRoot": {"%exists": false}}})).await {
        let user = fixture.user("u1");
        assert_eq!(user.insert("t", doc! { "_id": 1 }).await, Ok(doc! { "insertedId": 1 }));
        assert_eq!(user.find("t", doc! {}).await, Ok(vec![]));
        assert_eq!(user.update("t", doc! {}, doc! { "$set": { "a": 1 } }).await, denied("update"));
    }
    // All are checked before any is stored.
    for fixture in one_role(json!({"apply_when": {"owner": "%%user.id"}, "write": true})).await {
        let documents = doc! { "documents": [{ "_id": 1, "owner": "u1" }, { "_id": 2, "owner": "u2" }] };
        assert_eq!(fixture.user("u1").tries("insertMany", "t", documents).await, denied("insert"));
        assert_eq!(fixture.stored("t").await, [] as [Document; 0]);
    }
}

#[tokio::test]
async fn updates_of_fields() {
    let only_a = json!({"fields": {"a": {"write": true}}});
    let not_a = json!({"read": true, "fields": {"a": {"write": false}}, "additional_fields": {"write": true}});
    let down = json!({"read": true, "fields": {"a": {"write": {"%%this": {"$lte": "%%prev"}}}}});
    let inner = json!({"read": true, "fields": {"p": {"fields": {"x": {"write": true}}}}});
    for (role, update, permitted) in [
        // RU-47
        (&only_a, doc! { "$set": { "a": 1 } }, true),
        (&only_a, doc! { "$set": { "b": 1 } }, false),
        (&only_a, doc! { "$unset": { "b": "" } }, false),
        (&only_a, doc! { "$rename": { "b": "a" } }, false),
        (&only_a, doc! { "$rename": { "a": "b" } }, false),
        (&only_a, doc! { "$inc": { "a": 5, "b": 1 } }, false),
        (&only_a, doc! { "$currentDate": { "a": true } }, true),
        // RU-48
        (&not_a, doc! { "$set": { "a": 1 } }, false),
        (&not_a, doc! { "$set": { "b": 1 } }, true),
        (&not_a, doc! { "$set": { "new": 1 } }, true),
        (&not_a, doc! { "$unset": { "a": "" } }, false),
        // RU-49
        (&down, doc! { "$inc": { "a": -1 } }, true),
        (&down, doc! { "$inc": { "a": 1 } }, false),
        // RU-50
        (&down, doc! { "$set": { "b": 20 } }, true),
        (&not_a, doc! { "$set": { "a": 10, "b": 1 } }, true),
        (&inner, doc! { "$set": { "p.x": 5 } }, true),
        (&inner, doc! { "$set": { "p.y": 5 } }, false),
        (&inner, doc! { "$set": { "p": { "x": 5, "y": 2 } } }, true),
        (&inner, doc! { "$set": { "p": { "x": 5 } } }, false),
        (&inner, doc! { "$push": { "list": 5 } }, false),
    ] {
        for fixture in one_role(role.clone()).await {
            let before = doc! { "_id": 1, "a": 10, "b": 20, "p": { "x": 1, "y": 2 }, "list": [1] };
            fixture.store("t", [before.clone()]).await;
            let user = fixture.user("u1");
            let result = user.update("t", doc! {}, update.clone()).await;
            assert_eq!(result.is_ok(), permitted, "{role} {update}: {result:?}");
            if !permitted {
                assert_eq!(result, denied("update"));
                assert_eq!(fixture.stored("t").await, std::slice::from_ref(&before), "{role} {update}");
            }
            fixture.store("t", [before.clone()]).await;
            for action in ["updateMany", "findOneAndUpdate"] {
                let result = user.tries(action, "t", doc! { "filter": {}, "update": update.clone() }).await;
                assert_eq!(result.is_ok(), permitted, "{action} {role} {update}: {result:?}");
                fixture.store("t", [before.clone()]).await;
            }
            let bulk =
                doc! { "filter": [{}], "operations": [{ "kind": "updateOne", "filter": 0, "update": update.clone() }] };
            assert_eq!(user.tries("bulkWrite", "t", bulk).await.is_ok(), permitted, "bulkWrite {role} {update}");
        }
    }
}

#[tokio::test]
async fn updates_of_documents() {
    // Found by the database, and asked for one by one.
    let roles = [
        json!([{"apply_when": {"owner": "%%user.id"}, "write": true}, {"apply_when": {"owner": "all"}, "read": true}]),
        json!([{"apply_when": {"owner": {"%regex": "^u1$"}}, "write": true}, {"apply_when": {"owner": "all"}, "read": true}]),
        json!([{"apply_when": {"owner": "%%user.id"}, "write": true}]),
    ];
    for roles in roles {
        let has_denying_role = roles.as_array().is_some_and(|roles| roles.len() == 2);
        for fixture in fixtures(json!({"t": {"roles": roles}}), None).await {
            let document = |id: i32, owner: &str| doc! { "_id": id, "owner": owner };
            let user = fixture.user("u1");
            let all = || doc! { "filter": {}, "update": { "$set": { "x": 1 } } };
            fixture.store("t", [document(1, "u2"), document(2, "u1"), document(3, "u1")]).await;
            // RU-52
            assert_eq!(user.tries("updateMany", "t", all()).await, counts(2, 2));
            assert_eq!(user.tries("updateOne", "t", all()).await, counts(1, 0));
            assert_eq!(fixture.stored("t").await[0], document(1, "u2"));
            let replace = doc! { "filter": { "_id": 2 }, "replacement": { "owner": "u9" } };
            assert_eq!(user.tries("replaceOne", "t", replace.clone()).await, counts(1, 1));
            assert_eq!(user.tries("replaceOne", "t", replace).await, counts(0, 0));
            let by_document = doc! { "filter": { "_id": 3 }, "update": { "owner": "u1", "y": 1 } };
            assert_eq!(user.tries("updateOne", "t", by_document).await, counts(1, 1));
            let by_stages = doc! { "filter": { "_id": 3 }, "update": [{ "$set": { "z": "$y" } }] };
            assert_eq!(user.tries("updateOne", "t", by_stages).await, counts(1, 1));
            assert_eq!(fixture.stored("t").await[2], doc! { "_id": 3, "owner": "u1", "y": 1, "z": 1 });
            // RU-51
            fixture.store("t", [document(1, "u1"), document(2, "all")]).await;
            let result = user.tries("updateMany", "t", all()).await;
            if has_denying_role {
                assert_eq!(result, denied("update"));
                assert_eq!(fixture.stored("t").await, [document(1, "u1"), document(2, "all")]);
            } else {
                assert_eq!(result, counts(1, 1));
            }
            // RU-53
            fixture.store("t", [document(1, "u2")]).await;
            let upsert = |filter: Document| doc! { "filter": filter, "update": { "$set": { "x": 1 } }, "options": { "upsert": true } };
            assert_eq!(user.tries("updateOne", "t", upsert(doc! { "_id": 1 })).await, denied("update"));
            // RU-54
            assert_eq!(user.tries("updateOne", "t", upsert(doc! { "_id": 2 })).await, denied("insert"));
            let own = user.tries("updateOne", "t", upsert(doc! { "_id": 2, "owner": "u1" })).await;
            assert_eq!(own, Ok(doc! { "matchedCount": 0, "modifiedCount": 0, "upsertedId": 2 }));
            assert_eq!(fixture.stored("t").await, [document(1, "u2"), doc! { "_id": 2, "owner": "u1", "x": 1 }]);
        }
    }
}

#[tokio::test]
async fn find_and_modify() {
    let part = json!({"fields": {"_id": {"read": true}, "a": {"write": true}}});
    for fixture in one_role(part).await {
        fixture.store("t", [doc! { "_id": 1, "a": 1, "b": 2 }, doc! { "_id": 2, "a": 5 }]).await;
        let user = fixture.user("u1");
        let modify = |options: Document| doc! { "filter": {}, "update": { "$inc": { "a": 10 } }, "options": options };
        // RU-58
        let found = user.tries("findOneAndUpdate", "t", modify(doc! { "sort": { "a": 1 } })).await;
        assert_eq!(found, Ok(doc! { "value": { "_id": 1, "a": 1 } }));
        let options = doc! { "sort": { "a": -1 }, "returnNewDocument": true, "projection": { "a": 1, "_id": 0 } };
        let found = user.tries("findOneAndUpdate", "t", modify(options)).await;
        assert_eq!(found, Ok(doc! { "value": { "a": 21 } }));
        let deleted = user.tries("findOneAndDelete", "t", doc! { "filter": {} }).await;
        assert_eq!(deleted, denied("delete"));
        assert_eq!(ids(&fixture.stored("t").await), [1, 2]);
    }
    for apply_when in [json!({"owner": "%%user.id"}), json!({"owner": {"%regex": "^u1$"}})] {
        for fixture in one_role(json!({"apply_when": apply_when, "write": true})).await {
            let documents = || [doc! { "_id": 1, "owner": "u2" }, doc! { "_id": 2, "owner": "u1" }];
            fixture.store("t", documents()).await;
            let user = fixture.user("u1");
            // Taken out of the user's sight.
            let give = doc! { "filter": {}, "update": { "$set": { "owner": "u9" } }, "options": { "returnNewDocument": true } };
            assert_eq!(user.tries("findOneAndUpdate", "t", give).await, Ok(doc! { "value": null }));
            fixture.store("t", documents()).await;
            let replaced = doc! { "filter": {}, "replacement": { "owner": "u1", "x": 1 }, "options": { "returnNewDocument": true } };
            let found = user.tries("findOneAndReplace", "t", replaced).await;
            assert_eq!(found, Ok(doc! { "value": { "_id": 2, "owner": "u1", "x": 1 } }));
            let found = user.tries("findOneAndDelete", "t", doc! { "filter": {} }).await;
            assert_eq!(found, Ok(doc! { "value": { "_id": 2, "owner": "u1", "x": 1 } }));
            assert_eq!(user.tries("findOneAndDelete", "t", doc! { "filter": {} }).await, Ok(doc! { "value": null }));
            let upsert = doc! { "filter": { "_id": 7, "owner": "u1" }, "update": { "$set": { "x": 1 } }, "options": { "upsert": true, "returnNewDocument": true } };
            let found = user.tries("findOneAndUpdate", "t", upsert).await;
            assert_eq!(found, Ok(doc! { "value": { "_id": 7, "owner": "u1", "x": 1 } }));
            assert_eq!(ids(&fixture.stored("t").await), [1, 7]);
        }
    }
}

#[tokio::test]
async fn deletes() {
    for (role, permitted) in [
        // RU-55 to RU-57
        (json!({"delete": false, "write": true}), false),
        (json!({"delete": true, "read": true}), true),
        (json!({"read": true}), false),
        (json!({"write": true}), true),
        (json!({"delete": {"owner": "%%user.id"}, "read": true}), true),
        (json!({"delete": {"owner": "u9"}, "read": true}), false),
        (json!({"document_filters": {"read": true, "write": false}, "delete": true, "read": true}), false),
    ] {
        for fixture in one_role(role.clone()).await {
            let user = fixture.user("u1");
            for action in ["deleteOne", "deleteMany", "findOneAndDelete"] {
                fixture.store("t", [doc! { "_id": 1, "owner": "u1" }]).await;
                let result = user.tries(action, "t", doc! { "filter": { "_id": 1 } }).await;
                assert_eq!(result.is_ok(), permitted, "{action} {role}: {result:?}");
                assert_eq!(fixture.stored("t").await.is_empty(), permitted, "{action} {role}");
                if !permitted {
                    assert_eq!(result, denied("delete"));
                }
            }
        }
    }
}

#[tokio::test]
async fn bulk_writes_are_all_or_nothing() {
    for fixture in
        one_role(json!({"apply_when": {"owner": "%%user.id"}, "write": true, "delete": {"keep": {"%exists": false}}}))
            .await
    {
        let documents = || [doc! { "_id": 1, "owner": "u1" }, doc! { "_id": 2, "owner": "u1", "keep": 1 }];
        fixture.store("t", documents()).await;
        let user = fixture.user("u1");
        let bulk = |last: i32, ordered: bool| {
            doc! {
                "filter": [{ "_id": 1 }, { "_id": last }, { "_id": 5, "owner": "u1" }],
                "options": { "ordered": ordered },
                "operations": [
                    { "kind": "insertOne", "document": { "_id": 3, "owner": "u1" } },
                    { "kind": "updateOne", "filter": 0, "update": { "$set": { "x": 1 } } },
                    { "kind": "replaceOne", "filter": 2, "replacement": { "owner": "u1" }, "upsert": true },
                    { "kind": "deleteOne", "filter": 1 },
                ],
            }
        };
        for ordered in [true, false] {
            // RU-59
            assert_eq!(user.tries("bulkWrite", "t", bulk(2, ordered)).await, denied("delete"));
            assert_eq!(fixture.stored("t").await, documents());
        }
        let done = user.tries("bulkWrite", "t", bulk(1, true)).await;
        let expected = doc! {
            "insertedCount": 1, "matchedCount": 1, "modifiedCount": 1, "deletedCount": 1, "upsertedCount": 1,
            "insertedIds": { "0": 3 }, "upsertedIds": { "2": 5 },
        };
        assert_eq!(done, Ok(expected));
        assert_eq!(ids(&fixture.stored("t").await), [2, 3, 5]);
    }
}

#[tokio::test]
async fn gates_hold_before_and_after() {
    // RU-60
    let role = json!({"document_filters": {"read": true, "write": {"state": "open"}}, "read": true, "write": true});
    for fixture in one_role(role).await {
        fixture.store("t", [doc! { "_id": 1, "state": "open" }, doc! { "_id": 2, "state": "done" }]).await;
        let user = fixture.user("u1");
        let set = |id: i32, state: &str| (doc! { "_id": id }, doc! { "$set": { "state": state } });
        for (id, state) in [(1, "done"), (2, "open")] {
            let (filter, update) = set(id, state);
            assert_eq!(user.update("t", filter, update).await, denied("update"));
        }
        assert_eq!(user.update("t", doc! { "_id": 1 }, doc! { "$set": { "x": 1 } }).await, counts(1, 1));
        assert_eq!(user.insert("t", doc! { "_id": 3, "state": "done" }).await, denied("insert"));
    }
}

#[tokio::test]
async fn schemas() {
    let schema = json!({"bsonType": "object", "required": ["name"], "additionalProperties": false, "properties": {
        "name": {"bsonType": "string"}, "note": {"bsonType": "string"},
        "age": {"bsonType": "int", "validate": {"%or": [{"%%prev": {"%exists": false}}, {"%%this": {"%gte": "%%prev"}}]}},
    }});
    let rules = json!({"t": {"roles": [{"apply_when": {}, "write": true}], "schema": schema}});
    for fixture in fixtures(rules, None).await {
        let (user, system) = (fixture.user("u1"), fixture.system());
        let refused = |action: &str| Err(format!("{action} not permitted (SchemaValidationFailedWrite)"));
        // RU-67
        assert_eq!(user.insert("t", doc! { "_id": 1 }).await, refused("insert"));
        assert!(system.insert("t", doc! { "_id": 1 }).await.is_ok());
        // RU-68
        let two = doc! { "documents": [{ "_id": 2, "name": "n" }, { "_id": 3 }] };
        assert_eq!(user.tries("insertMany", "t", two).await, refused("insert"));
        assert_eq!(ids(&fixture.stored("t").await), [1]);
        // RU-70, RU-71
        assert_eq!(user.insert("t", doc! { "name": "n", "note": null }).await, refused("insert"));
        assert_eq!(user.insert("t", doc! { "name": "n", "other": 1 }).await, refused("insert"));
        // RU-69
        assert!(user.insert("t", doc! { "_id": 4, "name": "n", "age": 5 }).await.is_ok());
        let age = |age: Bson| doc! { "$set": { "age": age } };
        assert_eq!(user.update("t", doc! { "_id": 4 }, age(bson!(6))).await, counts(1, 1));
        assert_eq!(user.update("t", doc! { "_id": 4 }, age(bson!(5))).await, refused("update"));
        assert_eq!(user.update("t", doc! { "_id": 4 }, age(bson!("x"))).await, refused("update"));
        // A document from before the schema can be repaired.
        assert_eq!(user.update("t", doc! { "_id": 1 }, age(bson!(1))).await, refused("update"));
        assert_eq!(user.update("t", doc! { "_id": 1 }, doc! { "$set": { "name": "n" } }).await, counts(1, 1));
        let upsert = doc! { "filter": { "_id": 9 }, "update": { "$set": { "age": 1 } }, "options": { "upsert": true } };
        assert_eq!(user.tries("updateOne", "t", upsert).await, refused("insert"));
        assert_eq!(ids(&fixture.stored("t").await), [1, 4]);
    }
}

#[tokio::test]
async fn transactions_of_callers() {
    for fixture in one_role(json!({"apply_when": {"owner": "%%user.id"}, "write": {"%%root.owner": "%%user.id"}})).await
    {
        fixture.store("t", [doc! { "_id": 1, "owner": "u1" }]).await;
        let user = fixture.user("u1");
        let session = |number: i32| doc! { "id": 1, "transaction": { "number": number } };
        let within = |number: i32, mut arguments: Document| {
            arguments.insert("session", session(number));
            arguments
        };
        let set = |x: i32| doc! { "filter": { "_id": 1 }, "update": { "$set": { "x": x } } };
        assert_eq!(user.tries("updateOne", "t", within(1, set(1))).await, counts(1, 1));
        let seen = user.tries("findOne", "t", within(1, doc! {})).await.expect("findOne");
        assert_eq!(seen, doc! { "value": { "_id": 1, "owner": "u1", "x": 1 } });
        assert_eq!(fixture.stored("t").await, [doc! { "_id": 1, "owner": "u1" }]);
        user.tries("commitTransaction", "t", doc! { "session": session(1) }).await.expect("commit");
        assert_eq!(fixture.stored("t").await, [doc! { "_id": 1, "owner": "u1", "x": 1 }]);
        // A denied write takes the whole transaction with it, and nothing after it happens outside of one.
        assert_eq!(user.tries("updateOne", "t", within(2, set(2))).await, counts(1, 1));
        let give = doc! { "filter": { "_id": 1 }, "update": { "$set": { "owner": "u9" } } };
        assert_eq!(user.tries("updateOne", "t", within(2, give)).await, denied("update"));
        let after = user.tries("updateOne", "t", within(2, set(3))).await.expect_err("the transaction is gone");
        assert!(after.starts_with("(NoSuchTransaction)"), "{after}");
        let commit = user.tries("commitTransaction", "t", doc! { "session": session(2) }).await;
        assert!(commit.expect_err("the transaction is gone").starts_with("(NoSuchTransaction)"));
        assert_eq!(fixture.stored("t").await, [doc! { "_id": 1, "owner": "u1", "x": 1 }]);
        assert_eq!(user.tries("updateOne", "t", within(3, set(4))).await, counts(1, 1));
        user.tries("abortTransaction", "t", doc! { "session": session(3) }).await.expect("abort");
        assert_eq!(fixture.stored("t").await, [doc! { "_id": 1, "owner": "u1", "x": 1 }]);
    }
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    let role = json!({"apply_when": {}, "write": {"%%root.n": {"%lte": 1000}}});
    for fixture in one_role(role).await {
        fixture.store("t", [doc! { "_id": 1, "n": 0 }]).await;
        let users: Vec<_> = (0..8).map(|_| fixture.user("u1")).collect();
        let writes = users.iter().map(|user| async move {
            for _ in 0..5 {
                user.update("t", doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).await.expect("an update");
            }
        });
        futures::future::join_all(writes).await;
        assert_eq!(fixture.stored("t").await, [doc! { "_id": 1, "n": 40 }]);
    }
}
