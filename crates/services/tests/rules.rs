//! The mongodb-atlas service as application users meet it, against the embedded store, and against a real deployment where
//! `SELVEDGE_TEST_MONGODB` names one.

#[path = "rules/aggregate.rs"]
mod aggregate;
#[path = "rules/bypass.rs"]
mod bypass;
#[path = "rules/cost.rs"]
mod cost;
#[path = "rules/fixture.rs"]
mod fixture;
#[path = "rules/read.rs"]
mod read;
#[path = "rules/same_answer.rs"]
mod same_answer;
#[path = "rules/watch.rs"]
mod watch;
#[path = "rules/write.rs"]
mod write;
