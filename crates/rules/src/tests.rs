//! Roles, permissions and filters: the worked examples of rules-and-users 2.11 and the statements RU-25 to RU-60 that
//! need no database.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use app_model::{CallFunction, FunctionCall, FunctionFailure};
use bson::{Bson, Document, bson, doc};
use serde_json::{Value as Json, json};

use crate::{Access, Candidates, Permitted, Readable, RuleSet, Surroundings, Touched};

#[derive(Default)]
pub(crate) struct Functions(BTreeMap<&'static str, Bson>);

impl CallFunction for Functions {
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>> {
        let result =
            self.0.get(call.name.as_str()).cloned().ok_or_else(|| FunctionFailure { message: "unknown".to_owned() });
        Box::pin(async move { result })
    }
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing in these tests waits"),
    }
}

fn user(id: &str) -> Surroundings {
    Surroundings::from_parts(
        doc! { "id": id, "type": "normal", "data": {}, "custom_data": { "team": "red" }, "identities": [] },
        doc! {},
        doc! { "teams": ["red", "blue"] },
        doc! { "tag": "", "values": {} },
    )
}

/// One collection's rules as one user meets them.
struct As {
    rules: RuleSet,
    surroundings: Surroundings,
    functions: Functions,
}

impl As {
    fn new(id: &str, rules: &Json) -> Self {
        let rules = RuleSet::parse(rules).unwrap_or_else(|errors| panic!("{errors:?}"));
        Self {
            rules,
            surroundings: user(id),
            functions: Functions(BTreeMap::from([("yes", Bson::Boolean(true)), ("no", Bson::Boolean(false))])),
        }
    }

    /// A rule file with this one role, which applies to everybody.
    fn role(mut role: Json) -> Self {
        role["apply_when"] = json!({});
        Self::new("u1", &json!({ "roles": [role] }))
    }

    fn access(&self) -> Access<'_> {
        Access { surroundings: &self.surroundings, functions: &self.functions }
    }

    /// `None` when the document is withheld or hidden.
    fn reads(&self, document: Document) -> Option<Document> {
        let document = Bson::Document(document);
        let role = wait(self.access().role_of_stored(&self.rules.roles, &document))?;
        wait(self.access().read(role, &document)).into_document().map(Permitted::into_inner)
    }

    /// `None` when the document is withheld.
    fn updates(&self, before: Document, after: Document) -> Option<bool> {
        let (before, after) = (Bson::Document(before), Bson::Document(after));
        let role = wait(self.access().role_of_stored(&self.rules.roles, &before))?;
        let shown =
            wait(self.access().read(role, &before)).into_document().map(Permitted::into_inner).unwrap_or_default();
        let untouched = Touched::nothing();
        Some(wait(self.access().may_update(role, &before, &after, &untouched, &shown)))
    }

    fn inserts(&self, document: Document) -> bool {
        let document = Bson::Document(document);
        let role = wait(self.access().role_of_new(&self.rules.roles, &document));
        role.is_some_and(|role| wait(self.access().may_insert(role, &document)))
    }

    fn deletes(&self, document: Document) -> Option<bool> {
        let document = Bson::Document(document);
        let role = wait(self.access().role_of_stored(&self.rules.roles, &document))?;
        Some(wait(self.access().may_delete(role, &document)))
    }
}

#[test]
fn worked_examples() {
    let rules = json!({"roles": [
        {"name": "owner", "apply_when": {"owner": "%%user.id"}, "read": true, "write": true, "insert": true, "delete": true},
        {"name": "reader", "apply_when": {"shared": "%%user.id"}, "insert": false, "delete": false,
         "fields": {"title": {"read": true}, "views": {"read": true, "write": {"%%this": {"$gt": "%%prev"}}}}, "additional_fields": {}}
    ]});
    let a = doc! { "_id": 1, "owner": "u1", "shared": ["u2"], "title": "t", "views": 3, "body": "x" };
    let b = doc! { "_id": 2, "owner": "u3", "shared": [] };
    let set = |name: &str, value: Bson| {
        let mut after = a.clone();
        after.insert(name, value);
        after
    };
    let [u1, u2, u3, u9] = ["u1", "u2", "u3", "u9"].map(|id| As::new(id, &rules));
    assert_eq!(u1.reads(a.clone()), Some(a.clone()));
    assert_eq!(u1.reads(b.clone()), None);
    assert_eq!(u2.reads(a.clone()), Some(doc! { "title": "t", "views": 3 }));
    assert_eq!(u9.reads(a.clone()), None);
    assert_eq!(u2.updates(a.clone(), set("views", bson!(4))), Some(true));
    assert_eq!(u2.updates(a.clone(), set("views", bson!(2))), Some(false));
    assert_eq!(u2.updates(a.clone(), set("title", bson!("z"))), Some(false));
    assert_eq!(u2.deletes(a.clone()), Some(false));
    assert!(u2.inserts(doc! { "_id": 3, "owner": "u2", "title": "n" }));
    assert!(!u2.inserts(doc! { "_id": 3, "owner": "u1", "shared": ["u2"] }));
    assert_eq!(u3.updates(a.clone(), set("title", bson!("q"))), None);
    assert_eq!(u3.updates(b.clone(), doc! { "_id": 2, "owner": "u3", "shared": [], "title": "q" }), Some(true));
    assert_eq!(u1.updates(a.clone(), set("owner", bson!("u9"))), Some(true));
}

#[test]
fn what_a_role_shows() {
    let document =
        || doc! { "_id": 1, "a": 1, "b": 2, "p": { "x": 1, "y": 2 }, "list": [{ "x": 1, "y": 2 }, 5, { "y": 3 }] };
    let all = || Some(document());
    for (role, expected) in [
        (json!({"read": true}), all()),
        (json!({"write": true}), all()),
        (json!({}), None),
        (json!({"read": false, "write": false}), None),
        (json!({"read": false, "fields": {"a": {"read": true}}}), Some(doc! { "a": 1 })),
        (json!({"fields": {"a": {"write": true}}}), Some(doc! { "a": 1 })),
        (
            json!({"fields": {"b": {}, "p": {}, "list": {}}, "additional_fields": {"read": true}}),
            Some(doc! { "_id": 1, "a": 1 }),
        ),
        (json!({"fields": {"p": {"fields": {"x": {"read": true}}}}}), Some(doc! { "p": { "x": 1 } })),
        (
            json!({"fields": {"p": {"read": true, "fields": {"x": {"read": false}}}}}),
            Some(doc! { "p": { "x": 1, "y": 2 } }),
        ),
        (json!({"fields": {"p": {"read": false, "fields": {"x": {"read": true}}}}}), None),
        (json!({"fields": {"p": {"read": false, "fields": {"x": {"write": true}}}}}), Some(doc! { "p": { "x": 1 } })),
        (json!({"fields": {"list": {"fields": {"x": {"read": true}}}}}), Some(doc! { "list": [{ "x": 1 }] })),
        (json!({"fields": {"a": {"fields": {"x": {"read": true}}}}}), None),
        (json!({"additional_fields": {"fields": {"x": {"read": true}}}}), None),
        (json!({"additional_fields": {"read": {"%%this": 1}}}), Some(doc! { "_id": 1, "a": 1 })),
        (json!({"document_filters": {"read": false, "write": false}, "read": true}), None),
        (json!({"document_filters": {"read": true, "write": false}, "write": true}), None),
        (json!({"document_filters": {"read": true, "write": false}, "read": true}), all()),
        (json!({"document_filters": {"write": true}, "read": true}), None),
        (json!({"document_filters": {"write": true}, "write": true}), all()),
        (json!({"document_filters": {"read": {"a": 1}}, "read": true}), all()),
        (json!({"document_filters": {}, "read": true}), all()),
        (json!({"insert": true, "write": {"%%prevRoot": {"%exists": false}}}), None),
        (json!({"read": {"%%true": {"%function": {"name": "yes"}}}}), all()),
        (json!({"read": {"%%true": {"%function": {"name": "throws"}}}}), None),
        (json!({"read": {"%%this.a": 1}}), all()),
    ] {
        assert_eq!(As::role(role.clone()).reads(document()), expected, "{role}");
    }
    // The platform's own field of a running transaction is never shown.
    assert_eq!(
        As::role(json!({"read": true})).reads(doc! { "_id": 1, "_id__baas_transaction": 2 }),
        Some(doc! { "_id": 1 })
    );
    // The first role that applies decides, also when it shows nothing.
    let rules = json!({"roles": [{"apply_when": {"a": 1}}, {"apply_when": {}, "read": true}, {"read": true}]});
    let user = As::new("u1", &rules);
    assert_eq!(user.reads(doc! { "a": 1 }), None);
    assert_eq!(user.reads(doc! { "a": 2 }), Some(doc! { "a": 2 }));
    assert!(RuleSet::parse(&json!({})).unwrap().roles.is_empty());
}

#[test]
fn what_a_role_lets_write() {
    let before = || doc! { "_id": 1, "a": 1, "b": 2, "p": { "x": 1, "y": 2 }, "list": [{ "x": 1, "y": 2 }] };
    let with = |edit: fn(&mut Document)| {
        let mut after = before();
        edit(&mut after);
        after
    };
    let set_a = || with(|document| drop(document.insert("a", 5)));
    let cases = [
        (json!({"write": true}), set_a(), true),
        (json!({"read": true}), set_a(), false),
        (json!({"read": true}), before(), true),
        (json!({"write": {"a": 5}}), set_a(), true),
        (json!({"write": {"%%prevRoot.a": 5}}), set_a(), false),
        (json!({"fields": {"a": {"write": true}}}), set_a(), true),
        (json!({"fields": {"a": {"write": true}}}), with(|document| drop(document.insert("b", 1))), false),
        (json!({"fields": {"a": {"write": true}}}), with(|document| drop(document.remove("b"))), false),
        (json!({"fields": {"a": {"write": true}}}), with(|document| drop(document.remove("a"))), true),
        (json!({"fields": {"a": {"write": true}}}), with(|document| drop(document.insert("a", 1))), true),
        // The type is part of the value.
        (json!({"fields": {"b": {"write": true}}}), with(|document| drop(document.insert("a", 1_i64))), false),
        (
            json!({"read": true, "fields": {"a": {"write": false}}, "additional_fields": {"write": true}}),
            set_a(),
            false,
        ),
        (
            json!({"fields": {"a": {"write": false}}, "additional_fields": {"write": true}}),
            with(|document| drop(document.insert("new", 1))),
            true,
        ),
        (json!({"fields": {"a": {"write": {"%%this": {"$lte": "%%prev"}}}}}), set_a(), false),
        (
            json!({"fields": {"a": {"write": {"%%this": {"$lte": "%%prev"}}}}}),
            with(|document| drop(document.insert("a", 0))),
            true,
        ),
        (
            json!({"fields": {"p": {"fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.insert("p", doc! { "x": 9, "y": 2 }))),
            true,
        ),
        (
            json!({"fields": {"p": {"fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.insert("p", doc! { "x": 9, "y": 3 }))),
            false,
        ),
        (
            json!({"fields": {"p": {"fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.insert("p", 1))),
            false,
        ),
        (
            json!({"fields": {"p": {"write": false, "fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.insert("p", doc! { "x": 9, "y": 2 }))),
            false,
        ),
        (
            json!({"fields": {"p": {"fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.remove("p"))),
            false,
        ),
        (
            json!({"fields": {"list": {"fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.insert("list", vec![doc! { "x": 7, "y": 2 }]))),
            true,
        ),
        (
            json!({"fields": {"list": {"fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.insert("list", vec![doc! { "x": 7, "y": 3 }]))),
            false,
        ),
        (
            json!({"fields": {"list": {"fields": {"x": {"write": true}}}}}),
            with(|document| drop(document.insert("list", Vec::<Bson>::new()))),
            false,
        ),
        (json!({"document_filters": {"write": {"a": 1}}, "write": true}), set_a(), false),
        (json!({"document_filters": {"write": {"b": 2}}, "write": true}), set_a(), true),
        (json!({"document_filters": {"read": true}, "write": true}), set_a(), false),
    ];
    for (role, after, expected) in cases {
        assert_eq!(As::role(role.clone()).updates(before(), after.clone()), Some(expected), "{role} to {after}");
    }
}

#[test]
fn what_a_role_lets_insert_and_delete() {
    let document = || doc! { "_id": 1, "a": 1 };
    let only_new = json!({"%%prev": {"$exists": false}});
    for (role, inserts, deletes) in [
        (json!({"insert": true}), false, false),
        (json!({"write": true}), true, true),
        (json!({"insert": false, "write": true}), false, true),
        (json!({"insert": true, "delete": false, "write": true}), true, false),
        (json!({"delete": true}), false, true),
        (json!({"delete": {"a": 1}}), false, true),
        (json!({"delete": {"a": 2}, "write": true}), true, false),
        (json!({"insert": true, "write": {"%%prevRoot": {"%exists": false}}}), true, false),
        (
            json!({"insert": true, "fields": {"_id": {"write": false}}, "additional_fields": {"write": true}}),
            false,
            false,
        ),
        (json!({"fields": {"_id": {"write": only_new}}, "additional_fields": {"write": true}}), true, false),
        (json!({"additional_fields": {"write": true}}), true, true),
        (json!({"fields": {"a": {"write": true}}}), false, false),
        (json!({"document_filters": {"read": true, "write": false}, "write": true, "delete": true}), false, false),
        (json!({"insert": {"%%true": {"%function": {"name": "throws"}}}, "write": true}), false, true),
    ] {
        let user = As::role(role.clone());
        assert_eq!((user.inserts(document()), user.deletes(document())), (inserts, Some(deletes)), "{role}");
    }
}

#[test]
fn what_the_database_can_find() {
    let check = |roles: Json, exact: bool, expected: Candidates<'_>| {
        let user = As::new("u1", &json!({ "roles": roles }));
        let plan = wait(user.access().plan_reads(&user.rules));
        assert_eq!((plan.is_exact(), plan.candidates()), (exact, expected), "{roles}");
    };
    let all = json!({"apply_when": {"%%user.id": "u1"}, "read": true});
    let own = json!({"apply_when": {"owner": "%%user.id"}, "read": true});
    let never = json!({"apply_when": {"%%user.type": "server"}, "read": true});
    let part = json!({"apply_when": {}, "fields": {"a": {"read": true}}});
    let owned = doc! { "owner": { "$eq": "u1" } };
    check(json!([never]), true, Candidates::Nothing);
    check(json!([never, all, own]), true, Candidates::Everything);
    check(json!([never, own]), true, Candidates::Matching(&owned));
    check(json!([own, all]), true, Candidates::Everything);
    check(json!([own, part]), false, Candidates::Everything);
    check(json!([own, {"apply_when": {}, "read": false}]), true, Candidates::Matching(&owned));
    check(json!([{"apply_when": {}, "read": {"owner": "%%user.id"}}]), true, Candidates::Matching(&owned));
    check(
        json!([{"apply_when": {}, "document_filters": {"read": {"owner": "%%user.id"}, "write": false}, "read": true}]),
        true,
        Candidates::Matching(&owned),
    );
    // A role that hides what it applies to comes before the one that would show it.
    let hidden = doc! { "$nor": [{ "hidden": { "$eq": true } }] };
    check(json!([{"apply_when": {"hidden": true}}, all]), true, Candidates::Matching(&hidden));
    // A pattern is not MongoDB's, so the documents are asked for.
    check(json!([{"apply_when": {"name": {"%regex": "^a"}}, "read": true}]), false, Candidates::Everything);
    let both = doc! { "owner": { "$eq": "u1" } };
    check(
        json!([{"apply_when": {"owner": "%%user.id", "name": {"%regex": "^a"}}, "read": true}]),
        false,
        Candidates::Matching(&both),
    );
    // Called once, since no document is among its arguments.
    let by_function = |name: &str| json!([{"apply_when": {"%%true": {"%function": {"name": name, "arguments": ["%%user.id"]}}}, "read": true}]);
    check(by_function("yes"), true, Candidates::Everything);
    check(by_function("no"), true, Candidates::Nothing);
    check(by_function("unknown"), true, Candidates::Nothing);
}

#[test]
fn search() {
    let user = As::new("u1", &json!({"roles": [{"search": {"%%user.id": "u1"}}, {"search": false}, {}]}));
    let may: Vec<bool> = user.rules.roles.iter().map(|role| wait(user.access().may_search(role))).collect();
    assert_eq!(may, [true, false, true]);
}

#[test]
fn filters() {
    let narrowed = |filters: Json, query: Document| {
        let user = As::new("u1", &json!({ "filters": filters }));
        wait(user.access().filters(&user.rules.filters)).map(|set| set.narrow(query))
    };
    let nothing = || doc! { "$nor": [{}] };
    for (filters, expected) in [
        (json!([]), doc! {}),
        (json!([{"query": {"owner": "%%user.id"}}]), doc! { "owner": "u1" }),
        (json!([{"apply_when": {"%%user.id": "u2"}, "query": {"a": 1}}]), doc! {}),
        (json!([{"apply_when": {"%%user.id": "%%user.data.none"}, "query": {"a": 1}}]), nothing()),
        (json!([{"apply_when": {}, "query": {"a": 1, "b": 2}}]), doc! { "$and": [{ "a": 1 }, { "b": 2 }] }),
        (json!([{"query": {"a": 1}}, {"query": {"b": 2}}]), doc! { "$and": [{ "a": 1 }, { "b": 2 }] }),
        (
            json!([{"query": {"%or": [{"team": {"%in": "%%values.teams"}}, {"owner": "%%user.data.none"}]}}]),
            doc! { "$or": [{ "team": { "$in": ["red", "blue"] } }, { "$nor": [{}] }] },
        ),
        (json!([{"query": {"$nor": [{"owner": "%%user.data.none"}]}}]), nothing()),
        (json!([{"query": {"owner": {"%not": {"%eq": "%%user.data.none"}}}}]), nothing()),
        (json!([{"query": {"a": {"$gt": {"$numberLong": "5"}}}}]), doc! { "a": { "$gt": 5_i64 } }),
        (
            json!([{"query": {"a": {"%function": {"name": "yes"}}, "b": {"%function": {"name": "throws"}}}}]),
            doc! { "$and": [{ "a": true }, { "$nor": [{}] }] },
        ),
        (
            json!([{"query": {"a": {"%stringToOid": "5f6aae9a82989d521a606369"}}}]),
            doc! { "a": bson::oid::ObjectId::parse_str("5f6aae9a82989d521a606369").unwrap() },
        ),
        (json!([{"query": {"a": {"%stringToOid": "%%user.id"}}}]), nothing()),
    ] {
        assert_eq!(narrowed(filters.clone(), doc! {}).unwrap(), expected, "{filters}");
        if !expected.is_empty() && !expected.contains_key("$and") {
            assert_eq!(narrowed(filters, doc! { "q": 1 }).unwrap(), doc! { "$and": [{ "q": 1 }, expected] });
        }
    }
    let document = doc! { "_id": 1, "a": 1, "p": { "x": 1, "y": 2 }, "list": [{ "x": 1, "y": 2 }, 7] };
    for (filters, expected) in [
        (json!([{"projection": {"a": 1}}]), Some(doc! { "_id": 1, "a": 1 })),
        (json!([{"project": {"a": true, "_id": 0}}]), Some(doc! { "a": 1 })),
        (
            json!([{"projection": {"p.x": 1, "list.y": 1}}]),
            Some(doc! { "_id": 1, "p": { "x": 1 }, "list": [{ "y": 2 }] }),
        ),
        (json!([{"projection": {"p.x": 0, "list": 0}}]), Some(doc! { "_id": 1, "a": 1, "p": { "y": 2 } })),
        (json!([{"projection": {"list.x": 0, "p": 0}}]), Some(doc! { "_id": 1, "a": 1, "list": [{ "y": 2 }, 7] })),
        (
            json!([{"projection": {"_id": 0}}]),
            Some(doc! { "a": 1, "p": { "x": 1, "y": 2 }, "list": [{ "x": 1, "y": 2 }, 7] }),
        ),
        (
            json!([{"projection": {"a": 1}}, {"projection": {"p": 1, "_id": 0}}]),
            Some(doc! { "a": 1, "p": { "x": 1, "y": 2 } }),
        ),
        (json!([{"projection": {"a": 1}}, {"projection": {"p": 0}}]), None),
        (json!([{"projection": {"a": 1, "p": 0}}]), None),
        (
            json!([{"projection": {"a": 1}}, {"apply_when": false, "projection": {"p": 0}}]),
            Some(doc! { "_id": 1, "a": 1 }),
        ),
    ] {
        let user = As::new("u1", &json!({ "filters": filters }));
        let found = wait(user.access().filters(&user.rules.filters)).ok().map(|set| {
            let readable = Readable::Whole(Permitted::granted_without_rules_to_the_system_user(document.clone()));
            set.project(readable.into_document().unwrap()).into_inner()
        });
        assert_eq!(found, expected, "{filters}");
    }
}

#[test]
fn mistakes_in_rule_files() {
    let errors = RuleSet::parse(&json!({
        "roles": [
            {"apply_when": {"%%user.id": "%%nobody"}, "read": "yes", "fields": {"a": {"write": {"%xor": []}, "fields": {"b": 1}}}, "search": {"%%root.a": 1}},
            7,
            {"document_filters": [], "fields": 1, "additional_fields": {"read": {"%%args": 1}}}
        ],
        "filters": [{"apply_when": {"a": 1}, "query": {"%%user.id": 1}, "projection": {"a": "$b"}}, {"query": []}]
    }))
    .unwrap_err();
    let mut paths: Vec<&str> = errors.iter().map(|error| error.path()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "filters.0.apply_when.a",
            "filters.0.projection.a",
            "filters.0.query",
            "filters.1.query",
            "roles.0.apply_when.%%user.id",
            "roles.0.fields.a.fields.b",
            "roles.0.fields.a.write.%xor",
            "roles.0.read",
            "roles.0.search.%%root.a",
            "roles.1",
            "roles.2.additional_fields.read.%%args",
            "roles.2.document_filters",
            "roles.2.fields",
        ]
    );
    let odd = RuleSet::parse(&json!({"roles": [{"apply_when": {"apply_when": {"%%true": true}}}, {"apply_when": {}}]}))
        .unwrap();
    assert_eq!(
        odd.warnings.iter().map(|warning| warning.path()).collect::<Vec<_>>(),
        ["roles.0.apply_when.apply_when"]
    );
    assert!(RuleSet::parse(&json!([])).is_err());
    assert!(RuleSet::parse(&json!({"roles": {}})).is_err());
}
