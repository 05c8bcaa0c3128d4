//! Attempts to learn or change what the rules keep from a user. `h` is what the user may not see.

use bson::{Document, doc};
use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, fixtures};

/// Everybody reads `_id` and `a`, writes `w`, and may insert.
fn shows_a(more: Json) -> Json {
    let mut role = json!({
        "apply_when": {},
        "insert": true,
        "fields": {"_id": {"write": {"%%prev": {"%exists": false}}}, "a": {"read": true}, "w": {"write": true}, "h": {"write": {"%%prevRoot": {"%exists": false}}}, "p": {"fields": {"x": {"read": true, "write": true}}}},
    });
    for (key, value) in more.as_object().expect("an object") {
        role[key] = value.clone();
    }
    json!({"t": {"roles": [role]}})
}

fn secrets() -> [Document; 3] {
    [
        doc! { "_id": 1, "a": 1, "h": 30, "p": { "x": 1, "y": 7 }, "w": 0, "list": [{ "k": 5 }] },
        doc! { "_id": 2, "a": 1, "h": 10, "p": { "x": 1, "y": 8 }, "w": 0 },
        doc! { "_id": 3, "a": 1, "h": 20, "p": { "x": 1 }, "w": 0 },
    ]
}

async fn with_secrets(rules: Json) -> Vec<Fixture> {
    let fixtures = fixtures(rules, None).await;
    for fixture in &fixtures {
        fixture.store("t", secrets()).await;
    }
    fixtures
}

/// What a user who may not see `h` gets for two guesses about it, one right and one wrong, must be the same.
#[tokio::test]
async fn guesses_tell_nothing() {
    for fixture in with_secrets(shows_a(json!({}))).await {
        let user = fixture.user("u1");
        let guesses: [(Document, Document); 9] = [
            (doc! { "h": 30 }, doc! { "h": 31 }),
            (doc! { "_id": 1, "h": 30 }, doc! { "_id": 1, "h": 31 }),
            (doc! { "h": { "$gt": 25 } }, doc! { "h": { "$gt": 35 } }),
            (doc! { "h": { "$ne": 31 }, "_id": 1 }, doc! { "h": { "$ne": 30 }, "_id": 1 }),
            (doc! { "$or": [{ "h": 30 }, { "a": 99 }] }, doc! { "$or": [{ "h": 31 }, { "a": 99 }] }),
            (doc! { "$nor": [{ "h": 31 }], "_id": 1 }, doc! { "$nor": [{ "h": 30 }], "_id": 1 }),
            (doc! { "p.y": 7 }, doc! { "p.y": 6 }),
            (doc! { "p": { "x": 1, "y": 7 } }, doc! { "p": { "x": 1, "y": 6 } }),
            (doc! { "list.0.k": { "$in": [5] } }, doc! { "list.0.k": { "$in": [6] } }),
        ];
        for (right, wrong) in guesses {
            for (action, more) in [
                ("find", doc! {}),
                ("findOne", doc! {}),
                ("count", doc! {}),
                ("distinct", doc! { "field": "_id" }),
                ("updateOne", doc! { "update": { "$set": { "w": 1 } } }),
                ("updateMany", doc! { "update": { "$set": { "w": 1 } } }),
                ("findOneAndUpdate", doc! { "update": { "$set": { "w": 1 } } }),
                ("replaceOne", doc! { "replacement": { "w": 1 } }),
                ("deleteOne", doc! {}),
                ("deleteMany", doc! {}),
                ("findOneAndDelete", doc! {}),
            ] {
                let with = |filter: &Document| {
                    let mut arguments = doc! { "filter": filter.clone() };
                    arguments.extend(more.clone());
                    arguments
                };
                let answers =
                    (user.tries(action, "t", with(&right)).await, user.tries(action, "t", with(&wrong)).await);
                assert_eq!(answers.0, answers.1, "{action} {right}");
            }
            let in_pipeline = |filter: &Document| vec![doc! { "$match": filter.clone() }, doc! { "$count": "n" }];
            let late = |filter: &Document| {
                vec![doc! { "$skip": 0 }, doc! { "$match": filter.clone() }, doc! { "$count": "n" }]
            };
            for pipeline in [in_pipeline, late] {
                let answers =
                    (user.aggregate("t", pipeline(&right)).await, user.aggregate("t", pipeline(&wrong)).await);
                assert_eq!(answers.0, answers.1, "aggregate {right}");
            }
        }
        assert_eq!(fixture.stored("t").await, secrets());
    }
}

#[tokio::test]
async fn an_order_tells_nothing() {
    for fixture in with_secrets(shows_a(json!({}))).await {
        let user = fixture.user("u1");
        for path in ["h", "p.y", "p", "list.k"] {
            let sorted = |direction: i32| {
                let (user, options) = (&user, doc! { "sort": { path: direction }, "limit": 1 });
                async move { user.find_with("t", doc! {}, options).await }
            };
            assert_eq!(sorted(1).await, sorted(-1).await, "{path}");
            let modified = |direction: i32| {
                let options = doc! { "sort": { path: direction } };
                let arguments = doc! { "filter": {}, "update": { "$set": { "w": 0 } }, "options": options };
                let user = &user;
                async move { user.tries("findOneAndUpdate", "t", arguments).await }
            };
            assert_eq!(modified(1).await, modified(-1).await, "{path}");
            let stages = |direction: i32| vec![doc! { "$sort": { path: direction } }, doc! { "$limit": 1 }];
            let by_id = |direction: i32| vec![doc! { "$sort": { path: direction, "_id": 1 } }, doc! { "$limit": 1 }];
            if path != "p" {
                assert_eq!(user.aggregate("t", by_id(1)).await, user.aggregate("t", by_id(-1)).await, "{path}");
            }
            assert!(user.aggregate("t", stages(1)).await.is_ok());
        }
        let order = doc! { "sort": { "x": { "$meta": "textScore" } } };
        assert!(user.find_with("t", doc! {}, order).await.expect_err("no order").ends_with("(BadRequest)"));
    }
}

#[tokio::test]
async fn nothing_is_copied_into_sight() {
    for fixture in with_secrets(shows_a(json!({}))).await {
        let user = fixture.user("u1");
        let own = |update: bson::Bson| doc! { "filter": { "_id": 1 }, "update": update };
        for update in [
            bson::bson!([{ "$set": { "w": "$h" } }]),
            bson::bson!([{ "$set": { "w": "$$ROOT" } }]),
            bson::bson!([{ "$set": { "w": { "$cond": [{ "$gt": ["$h", 25] }, 1, 2] } } }]),
            bson::bson!([{ "$replaceWith": { "_id": 1, "w": "$h" } }]),
            bson::bson!({ "$rename": { "h": "w" } }),
            bson::bson!({ "$rename": { "p.y": "p.x" } }),
            bson::bson!({ "$rename": { "p.y": "w" } }),
        ] {
            for action in ["updateOne", "updateMany", "findOneAndUpdate"] {
                let result = user.tries(action, "t", own(update.clone())).await;
                assert_eq!(result, Err("update not permitted (NoMatchingRuleFound)".to_owned()), "{action} {update}");
            }
        }
        assert_eq!(fixture.stored("t").await, secrets());
        for projection in [
            doc! { "x": "$h" },
            doc! { "x": { "$literal": 1 } },
            doc! { "list": { "$elemMatch": { "k": 5 } } },
            doc! { "list.$": 1 },
        ] {
            let error = user.find_with("t", doc! {}, doc! { "projection": projection.clone() }).await;
            assert!(error.expect_err("no projection").ends_with("(BadRequest)"), "{projection}");
        }
        let shown = user.find_with("t", doc! { "_id": 1 }, doc! { "projection": { "h": 1, "a": 1 } }).await;
        assert_eq!(shown, Ok(vec![doc! { "a": 1 }]));
    }
}

/// Whether a field already has a value must not decide whether setting it is refused.
#[tokio::test]
async fn setting_a_hidden_field_to_what_it_is_tells_nothing() {
    for fixture in with_secrets(shows_a(json!({}))).await {
        let user = fixture.user("u1");
        for (right, wrong) in [
            (doc! { "$set": { "h": 30 } }, doc! { "$set": { "h": 31 } }),
            (doc! { "$max": { "h": 1 } }, doc! { "$max": { "h": 99 } }),
            (doc! { "$inc": { "h": 0 } }, doc! { "$inc": { "h": 1 } }),
            (doc! { "$set": { "p.y": 7 } }, doc! { "$set": { "p.y": 8 } }),
            (doc! { "$set": { "p": { "x": 1, "y": 7 } } }, doc! { "$set": { "p": { "x": 1, "y": 8 } } }),
            (doc! { "$set": { "list.0.k": 5 } }, doc! { "$set": { "list.0.k": 6 } }),
            (doc! { "$addToSet": { "list": { "k": 5 } } }, doc! { "$addToSet": { "list": { "k": 6 } } }),
            (doc! { "$pull": { "list": { "k": 6 } } }, doc! { "$pull": { "list": { "k": 5 } } }),
            // The database's own errors would quote the value.
            (doc! { "$set": { "h.z": 1 } }, doc! { "$set": { "h": "x" } }),
            (doc! { "$push": { "h": 1 } }, doc! { "$set": { "h": "x" } }),
            (doc! { "$push": { "p.y": 1 } }, doc! { "$inc": { "list": 1 } }),
        ] {
            let answers = (
                user.update("t", doc! { "_id": 1 }, right.clone()).await,
                user.update("t", doc! { "_id": 1 }, wrong).await,
            );
            assert_eq!(answers.0, Err("update not permitted (NoMatchingRuleFound)".to_owned()), "{right}");
            assert_eq!(answers.0, answers.1, "{right}");
        }
        let [one, ..] = secrets();
        let mut wrong = one.clone();
        wrong.insert("h", 31);
        for replacement in [one, wrong] {
            let result =
                user.tries("replaceOne", "t", doc! { "filter": { "_id": 1 }, "replacement": replacement }).await;
            assert_eq!(result, Err("update not permitted (NoMatchingRuleFound)".to_owned()));
        }
        assert_eq!(fixture.stored("t").await, secrets());
    }
}

#[tokio::test]
async fn upserts_neither_tell_nor_change_what_is_hidden() {
    let mut rules = shows_a(json!({"apply_when": {"%%true": true}}));
    rules["own"] = json!({
        "roles": [{"apply_when": {"owner": "%%user.id"}, "write": true}],
        "filters": [{"apply_when": {}, "query": {"owner": "%%user.id", "live": true}}],
    });
    for fixture in with_secrets(rules).await {
        let user = fixture.user("u1");
        // A predicate on a hidden field matches nothing, so both guesses insert.
        for (id, h) in [(10, 30), (11, 31)] {
            let upsert = doc! { "filter": { "h": h }, "update": { "$setOnInsert": { "_id": id } }, "options": { "upsert": true } };
            let result = user.tries("updateOne", "t", upsert).await;
            assert_eq!(result, Ok(doc! { "matchedCount": 0, "modifiedCount": 0, "upsertedId": id }));
        }
        assert_eq!(fixture.stored("t").await[..3], secrets());
        // Documents that a filter takes away are not updated by an upsert, and its fields are not copied.
        fixture.store("own", [doc! { "_id": 1, "owner": "u1", "live": false, "name": "n" }]).await;
        let upsert = |id: i32, owner: &str| doc! { "filter": { "name": "n", "owner": owner }, "update": { "$set": { "x": 1 }, "$setOnInsert": { "_id": id } }, "options": { "upsert": true } };
        let result = user.tries("updateOne", "own", upsert(2, "u1")).await;
        assert_eq!(result, Ok(doc! { "matchedCount": 0, "modifiedCount": 0, "upsertedId": 2 }));
        assert_eq!(
            fixture.stored("own").await,
            [
                doc! { "_id": 1, "owner": "u1", "live": false, "name": "n" },
                doc! { "_id": 2, "name": "n", "owner": "u1", "x": 1 },
            ]
        );
        let result = user.tries("updateOne", "own", upsert(3, "u2")).await;
        assert_eq!(result, Err("insert not permitted (NoMatchingRuleFound)".to_owned()));
        let nameless =
            doc! { "filter": { "name": "m" }, "update": { "$set": { "x": 1 } }, "options": { "upsert": true } };
        let result = user.tries("updateOne", "own", nameless).await;
        assert_eq!(result, Err("insert not permitted (NoMatchingRuleFound)".to_owned()));
    }
}

#[tokio::test]
async fn arrays_and_positions() {
    let rules = json!({"t": {"roles": [{"apply_when": {"members": "%%user.id"}, "fields": {"members": {"read": true}, "list": {"fields": {"x": {"read": true, "write": true}}}}}]}});
    for fixture in fixtures(rules, None).await {
        let document = || doc! { "_id": 1, "members": ["u1"], "list": [{ "x": 1, "y": 1 }, { "x": 2, "y": 2 }, 5] };
        fixture.store("t", [document(), doc! { "_id": 2, "members": ["u2"], "list": [] }]).await;
        let user = fixture.user("u1");
        let seen = doc! { "members": ["u1"], "list": [{ "x": 1 }, { "x": 2 }] };
        assert_eq!(user.find("t", doc! {}).await, Ok(vec![seen]));
        let denied = Err("update not permitted (NoMatchingRuleFound)".to_owned());
        for update in [
            doc! { "$set": { "list.0.y": 9 } },
            doc! { "$set": { "list.$[].y": 9 } },
            doc! { "$set": { "list.1": { "x": 2 } } },
            doc! { "$push": { "list": { "x": 3 } } },
            doc! { "$pop": { "list": 1 } },
            doc! { "$push": { "members": "u3" } },
            doc! { "$addToSet": { "members": "u3" } },
            doc! { "$set": { "members.0": "u3" } },
        ] {
            assert_eq!(user.update("t", doc! {}, update.clone()).await, denied, "{update}");
        }
        let positional = |field: &str| {
            let path = format!("list.$.{field}");
            doc! { "filter": { "list.x": 2 }, "update": { "$set": { path: 9 } } }
        };
        assert_eq!(user.tries("updateOne", "t", positional("y")).await, denied);
        let done = Ok(doc! { "matchedCount": 1, "modifiedCount": 1 });
        assert_eq!(user.tries("updateOne", "t", positional("x")).await, done);
        let filtered = |condition: Document| {
            doc! { "filter": {}, "update": { "$set": { "list.$[e].x": 7 } }, "options": { "arrayFilters": [condition] } }
        };
        assert_eq!(user.tries("updateOne", "t", filtered(doc! { "e.x": 9 })).await, done);
        let error = user.tries("updateOne", "t", filtered(doc! { "e.x": { "$regex": "x" } })).await;
        assert!(error.expect_err("no pattern").ends_with("(BadRequest)"));
        let stored = doc! { "_id": 1, "members": ["u1"], "list": [{ "x": 1, "y": 1 }, { "x": 7, "y": 2 }, 5] };
        assert_eq!(fixture.stored("t").await[0], stored);
    }
}

/// Array filters on what is not shown would tell by what they change.
#[tokio::test]
async fn array_filters_are_predicates() {
    let rules = json!({"t": {"roles": [{"apply_when": {}, "fields": {"list": {"fields": {"x": {"read": true, "write": true}}}}}]}});
    for fixture in fixtures(rules, None).await {
        fixture.store("t", [doc! { "_id": 1, "list": [{ "x": 1, "y": 5 }] }]).await;
        let user = fixture.user("u1");
        let guess = |y: i32| {
            doc! { "filter": {}, "update": { "$set": { "list.$[e].x": 7 } }, "options": { "arrayFilters": [{ "e.y": y }] } }
        };
        let answers = (user.tries("updateOne", "t", guess(5)).await, user.tries("updateOne", "t", guess(6)).await);
        assert_eq!(answers.0, answers.1);
        assert_eq!(fixture.stored("t").await, [doc! { "_id": 1, "list": [{ "x": 1, "y": 5 }] }]);
    }
}

#[tokio::test]
async fn a_case_insensitive_collection_shows_no_more() {
    let rules = json!({"t": {"roles": [{"apply_when": {"owner": "%%user.id"}, "write": true}]}});
    for fixture in fixtures(rules, None).await {
        if !fixture.create_case_insensitive("t").await {
            eprintln!("the store keeps no collation for a collection");
            continue;
        }
        let system = fixture.system();
        for (id, owner) in [(1, "u1"), (2, "U1")] {
            system.insert("t", doc! { "_id": id, "owner": owner }).await.expect("the system inserts");
        }
        assert_eq!(system.count("t", doc! { "owner": "U1" }).await, Ok(2), "the collation is in force");
        let user = fixture.user("u1");
        assert_eq!(user.find("t", doc! {}).await, Ok(vec![doc! { "_id": 1, "owner": "u1" }]));
        assert_eq!(user.count("t", doc! {}).await, Ok(1));
        assert_eq!(user.tries("deleteMany", "t", doc! {}).await, Ok(doc! { "deletedCount": 1 }));
        assert_eq!(fixture.stored("t").await, [doc! { "_id": 2, "owner": "U1" }]);
    }
}
