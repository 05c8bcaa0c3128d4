//! Aggregation under rules (rules-and-users 2.6, DB-72, DB-75, RU-39 to RU-41).

use bson::{Document, doc};
use serde_json::{Value as Json, json};

use crate::fixture::fixtures;

fn collections(apply_when: Json) -> Json {
    json!({
        "t": {"roles": [{"apply_when": apply_when, "read": true}]},
        "parts": {"roles": [{"apply_when": {}, "fields": {"_id": {"read": true}, "a": {"read": true}}}]},
        "own": {"roles": [{"apply_when": {"owner": "%%user.id"}, "read": true}], "filters": [{"apply_when": {}, "query": {"live": true}, "projection": {"secret": 0}}]},
        "each": {"roles": [{"apply_when": {"owner": {"%regex": "^u1$"}}, "read": true}]},
    })
}

fn owned(id: i32) -> Document {
    doc! { "_id": id, "owner": if id % 2 == 1 { "u1" } else { "u2" }, "a": id, "live": id < 6, "secret": id * 7 }
}

#[tokio::test]
async fn later_stages_see_visible_documents_only() {
    for apply_when in [json!({"owner": "%%user.id"}), json!({"owner": {"%regex": "^u1$"}})] {
        for fixture in fixtures(collections(apply_when), None).await {
            fixture.store("t", (1..=8).map(owned)).await;
            fixture.store("parts", (1..=3).map(owned)).await;
            let user = fixture.user("u1");
            let total = vec![doc! { "$group": { "_id": null, "sum": { "$sum": "$a" } } }];
            assert_eq!(user.aggregate("t", total).await, Ok(vec![doc! { "_id": null, "sum": 16 }]));
            let matched = vec![doc! { "$match": { "a": { "$gt": 4 } } }, doc! { "$count": "n" }];
            assert_eq!(user.aggregate("t", matched).await, Ok(vec![doc! { "n": 2 }]));
            let sorted = vec![doc! { "$sort": { "a": -1 } }, doc! { "$limit": 1 }, doc! { "$project": { "a": 1 } }];
            assert_eq!(user.aggregate("t", sorted).await, Ok(vec![doc! { "_id": 7, "a": 7 }]));
            assert_eq!(user.aggregate("t", vec![doc! { "$match": { "_id": 2 } }]).await, Ok(vec![]));
            let hidden = vec![doc! { "$group": { "_id": null, "sum": { "$sum": "$secret" } } }];
            assert_eq!(user.aggregate("parts", hidden).await, Ok(vec![doc! { "_id": null, "sum": 0 }]));
            let alias = vec![doc! { "$project": { "x": "$secret", "y": "$$ROOT", "_id": 0 } }, doc! { "$limit": 1 }];
            assert_eq!(user.aggregate("parts", alias).await, Ok(vec![doc! { "y": { "_id": 1, "a": 1 } }]));
            let by_hidden = vec![doc! { "$match": { "secret": 7 } }];
            assert_eq!(user.aggregate("parts", by_hidden).await, Ok(vec![]));
            let later = vec![doc! { "$limit": 9 }, doc! { "$match": { "secret": { "$exists": true } } }];
            assert_eq!(user.aggregate("parts", later).await, Ok(vec![]));
            let nobody = fixture.user("u9");
            assert_eq!(
                nobody.aggregate("t", vec![doc! { "$count": "n" }]).await.map(|found| found.len() < 5),
                Ok(true)
            );
        }
    }
}

#[tokio::test]
async fn other_collections_have_rules_too() {
    for fixture in fixtures(collections(json!({"owner": "%%user.id"})), None).await {
        for collection in ["t", "own", "each", "closed", "parts"] {
            fixture.store(collection, (1..=8).map(owned)).await;
        }
        let user = fixture.user("u1");
        let lookup = |from: &str| doc! { "$lookup": { "from": from, "localField": "owner", "foreignField": "owner", "as": "others" } };
        let first = doc! { "$match": { "_id": 1 } };
        let shown = |id: i32| doc! { "_id": id, "owner": "u1", "a": id, "live": true };
        let joined = user.aggregate("t", vec![first.clone(), lookup("own")]).await.expect("a lookup");
        let mut expected = owned(1);
        expected.insert("others", vec![shown(1), shown(3), shown(5)]);
        assert_eq!(joined, [expected.clone()]);
        let with_pipeline = doc! { "$lookup": { "from": "own", "let": { "x": "$secret" }, "pipeline": [{ "$match": { "secret": { "$gt": 0 } } }], "as": "others" } };
        expected.insert("others", Vec::<Document>::new());
        assert_eq!(user.aggregate("t", vec![first.clone(), with_pipeline]).await, Ok(vec![expected]));
        let all = doc! { "$lookup": { "from": "own", "pipeline": [], "as": "others" } };
        let joined = user.aggregate("t", vec![first.clone(), all]).await.expect("a lookup");
        assert_eq!(joined[0].get_array("others").expect("a list").len(), 3);
        for union in [doc! { "$unionWith": "own" }, doc! { "$unionWith": { "coll": "own", "pipeline": [] } }] {
            let found = user.aggregate("t", vec![doc! { "$match": { "_id": 99 } }, union]).await;
            assert_eq!(found, Ok(vec![shown(1), shown(3), shown(5)]));
        }
        // Inside of each other.
        let nested =
            doc! { "$lookup": { "from": "own", "pipeline": [{ "$limit": 1 }, { "$unionWith": "closed" }], "as": "x" } };
        let error = user.aggregate("t", vec![nested]).await.expect_err("a closed collection");
        assert!(error.ends_with("(NoMatchingRuleFound)"), "{error}");
        for (other, code) in [("closed", "NoMatchingRuleFound"), ("each", "BadRequest"), ("parts", "BadRequest")] {
            for stage in [lookup(other), doc! { "$unionWith": other }, doc! { "$unionWith": { "coll": other } }] {
                let error = user.aggregate("t", vec![stage.clone()]).await.expect_err("not visible");
                assert!(error.ends_with(&format!("({code})")), "{stage}: {error}");
            }
        }
        for from in [json!({"db": "other", "coll": "own"}), json!(null)] {
            let from = bson::Bson::try_from(from).expect("a value");
            let error =
                user.aggregate("t", vec![doc! { "$lookup": { "from": from, "pipeline": [], "as": "x" } }]).await;
            assert!(error.expect_err("no collection").ends_with("(BadRequest)"));
        }
    }
}

#[tokio::test]
async fn stages_that_only_the_system_may_use() {
    for fixture in fixtures(collections(json!({"owner": "%%user.id"})), None).await {
        fixture.store("t", (1..=3).map(owned)).await;
        let user = fixture.user("u1");
        for stage in [
            doc! { "$out": "stolen" },
            doc! { "$merge": { "into": "stolen" } },
            doc! { "$facet": { "x": [] } },
            doc! { "$graphLookup": { "from": "own", "startWith": "$a", "connectFromField": "a", "connectToField": "a", "as": "x" } },
            doc! { "$indexStats": {} },
            doc! { "$collStats": {} },
            doc! { "$currentOp": {} },
            doc! { "$changeStream": {} },
            doc! { "$lookup": { "from": "own", "pipeline": [{ "$facet": { "x": [] } }], "as": "x" } },
            doc! { "$unionWith": { "coll": "own", "pipeline": [{ "$out": "stolen" }] } },
        ] {
            for at in 0..2 {
                let mut pipeline = vec![doc! { "$match": {} }];
                pipeline.insert(at, stage.clone());
                let error = user.aggregate("t", pipeline).await.expect_err("not for application users");
                assert!(error.ends_with("(BadRequest)"), "{stage}: {error}");
            }
        }
        assert_eq!(fixture.stored("stolen").await, Vec::<Document>::new());
    }
}
