//! FN-01 to FN-10 and the first steps.

use crate::harness::{case, payload};
use crate::trials;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    trials![smoke, http]
}

fn smoke() {
    assert_eq!(case("exports = function () { return 'a'; };").answer(), "\"a\"");
}

fn http() {
    let outcome = case(
        "exports = function ({query, headers, body}, response) {
           console.log(query.a, Object.keys(query), headers['X-Many'] == 'a,b', body.text());
           response.setStatusCode(201).setHeader('X-A', 'b').setBody('hi ' + body.text()); };",
    )
    .http(payload("body"))
    .run();
    println!("{outcome:?}");
    assert_eq!(outcome.result.expect("success").response.status, Some(201));
}
