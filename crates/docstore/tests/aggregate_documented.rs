//! Aggregation that came after MongoDB 4.4: small cases after the examples and rules of MongoDB's manual
//! (https://www.mongodb.com/docs/manual/reference/operator/aggregation/…), each naming its page.

#![expect(clippy::unwrap_used, reason = "a test ends where its own data is not what it has to be")]

use std::sync::Arc;

use bson::{Bson, Document};
use docstore::CommandError;
use docstore::aggregate::{CollectionAccess, Pipeline, PipelineOptions, Row, Rows, UpdatePipeline};
use docstore::query::{Filter, QueryContext};

struct Memory {
    documents: Vec<Document>,
    other: Vec<Document>,
}

type Result<T> = std::result::Result<T, CommandError>;

impl CollectionAccess for Memory {
    fn find(&self, _: &str, collection: &str, filter: &Document, context: &QueryContext) -> Result<Rows> {
        let filter = Filter::parse(filter, context)?;
        let documents = if collection == "other" { &self.other } else { &self.documents };
        let mut found = Vec::new();
        for document in documents {
            if filter.matches(document)? {
                found.push(Ok(Row::Owned(document.clone())));
            }
        }
        Ok(Box::new(found.into_iter()))
    }
    fn has_index_on(&self, _: &str, _: &str, _: &str) -> bool {
        false
    }
    fn has_unique_index(&self, _: &str, _: &str, fields: &[String]) -> bool {
        fields == ["_id"]
    }
    fn geo_indexes(&self, _: &str, _: &str) -> Vec<Document> {
        Vec::new()
    }
    fn insert(&self, _: &str, _: &str, _: Document) -> Result<()> {
        Ok(())
    }
    fn update(&self, _: &str, _: &str, _: &Document, _: &Bson, _: &QueryContext) -> Result<bool> {
        Ok(true)
    }
    fn replace_collection(&self, _: &str, _: &str, _: Vec<Document>) -> Result<()> {
        Ok(())
    }
    fn collection_stats(&self, _: &str, _: &str, _: &Document) -> Result<Document> {
        Ok(Document::new())
    }
    fn index_stats(&self, _: &str, _: &str) -> Result<Vec<Document>> {
        Ok(Vec::new())
    }
    fn current_operations(&self, _: &Document) -> Result<Vec<Document>> {
        Ok(Vec::new())
    }
}

/// Extended JSON with single quotes for double ones.
fn json(text: &str) -> Bson {
    let value: serde_json::Value =
        serde_json::from_str(&text.replace('\'', "\"")).unwrap_or_else(|error| panic!("{error} in {text}"));
    Bson::try_from(value).unwrap()
}

fn list(text: &str) -> Vec<Document> {
    match json(text) {
        Bson::Array(items) => items.into_iter().map(|item| item.as_document().cloned().unwrap()).collect(),
        other => panic!("not a list: {other}"),
    }
}

fn run_with(
    options: &PipelineOptions,
    documents: Vec<Document>,
    other: Vec<Document>,
    stages: &[Bson],
) -> Result<Vec<Bson>> {
    let memory = Arc::new(Memory { documents, other });
    let context = QueryContext::default();
    let pipeline = Pipeline::parse(stages, options, &context)?;
    let source = memory.find("test", "c", &Document::new(), &context)?;
    pipeline.run(source, memory)?.map(|row| row.map(|row| Bson::Document(row.into_document()))).collect()
}

fn run(documents: &str, other: &str, pipeline: &str) -> Result<Vec<Bson>> {
    let Bson::Array(stages) = json(pipeline) else { panic!("not a list: {pipeline}") };
    run_with(&PipelineOptions::new("test", Some("c")), list(documents), list(other), &stages)
}

/// The pipeline makes these documents of those.
#[track_caller]
fn check(page: &str, documents: &str, pipeline: &str, expected: &str) {
    let got = run(documents, "[]", pipeline).unwrap_or_else(|error| panic!("{page}: {pipeline}: {error}"));
    assert_eq!(Bson::Array(got), json(expected), "{page}: {pipeline}");
}

/// The expression has this value for the document `{ _id: 1 }` with these further fields.
#[track_caller]
fn value(page: &str, document: &str, expression: &str, expected: &str) {
    let pipeline = format!("[{{'$replaceWith': {{'v': {expression}}}}}]");
    let expected = if expected.is_empty() { "[{}]".to_owned() } else { format!("[{{'v': {expected}}}]") };
    check(page, &format!("[{document}]"), &pipeline, &expected);
}

/// The pipeline fails with this code.
#[track_caller]
fn fails(page: &str, documents: &str, pipeline: &str, code: i32) {
    match run(documents, "[]", pipeline) {
        Ok(got) => panic!("{page}: {pipeline}: wanted error {code}, got {}", Bson::Array(got)),
        Err(error) => assert_eq!(error.code, code, "{page}: {pipeline}: {error}"),
    }
}

#[test]
fn date_arithmetic() {
    let date = |text: &str| format!("{{'$date': '{text}'}}");
    let page = "$dateAdd";
    let add = |start: &str, unit: &str, amount: i32, zone: &str| {
        let zone = if zone.is_empty() { String::new() } else { format!(", 'timezone': '{zone}'") };
        format!("{{'$dateAdd': {{'startDate': {}, 'unit': '{unit}', 'amount': {amount}{zone}}}}}", date(start))
    };
    value(page, "{}", &add("2020-10-31T12:10:05Z", "month", 1, ""), &date("2020-11-30T12:10:05Z"));
    value(page, "{}", &add("2020-02-29T00:00:00Z", "year", 1, ""), &date("2021-02-28T00:00:00Z"));
    value(page, "{}", &add("2020-12-31T12:10:05Z", "quarter", -1, ""), &date("2020-09-30T12:10:05Z"));
    value(page, "{}", &add("2021-03-13T17:00:00Z", "day", 1, "America/New_York"), &date("2021-03-14T16:00:00Z"));
    value(page, "{}", &add("2021-03-13T17:00:00Z", "hour", 24, "America/New_York"), &date("2021-03-14T17:00:00Z"));
    value(page, "{'d': null}", "{'$dateAdd': {'startDate': '$d', 'unit': 'day', 'amount': 1}}", "null");
    value(
        "$dateSubtract",
        "{}",
        &format!(
            "{{'$dateSubtract': {{'startDate': {}, 'unit': 'month', 'amount': 1}}}}",
            date("2021-03-31T00:00:00Z")
        ),
        &date("2021-02-28T00:00:00Z"),
    );
    fails(page, "[{}]", &format!("[{{'$project': {{'v': {}}}}}]", add("2020-01-01T00:00:00Z", "fortnight", 1, "")), 9);
}

#[test]
fn date_difference() {
    let diff = |start: &str, end: &str, unit: &str, rest: &str| {
        format!(
            "{{'$dateDiff': {{'startDate': {{'$date': '{start}'}}, 'endDate': {{'$date': '{end}'}}, 'unit': '{unit}'{rest}}}}}"
        )
    };
    let long = |number: i64| format!("{{'$numberLong': '{number}'}}");
    let page = "$dateDiff";
    value(page, "{}", &diff("2020-12-31T23:59:59Z", "2021-01-01T00:00:00Z", "year", ""), &long(1));
    value(page, "{}", &diff("2021-01-01T00:00:00Z", "2021-12-31T00:00:00Z", "month", ""), &long(11));
    value(page, "{}", &diff("2021-01-01T00:00:00Z", "2021-04-01T00:00:00Z", "quarter", ""), &long(1));
    value(page, "{}", &diff("2021-01-02T00:00:00Z", "2021-01-03T00:00:00Z", "week", ""), &long(1));
    value(
        page,
        "{}",
        &diff("2021-01-02T00:00:00Z", "2021-01-03T00:00:00Z", "week", ", 'startOfWeek': 'monday'"),
        &long(0),
    );
    value(page, "{}", &diff("2021-01-03T00:00:00Z", "2021-01-01T00:00:00Z", "day", ""), &long(-2));
    value(
        page,
        "{}",
        &diff("2021-03-14T05:30:00Z", "2021-03-14T08:30:00Z", "hour", ", 'timezone': 'America/New_York'"),
        &long(3),
    );
    value(page, "{}", &diff("2021-01-01T00:00:00Z", "2021-01-01T00:00:01Z", "millisecond", ""), &long(1000));
}

#[test]
fn date_truncation() {
    let trunc = |date: &str, rest: &str| format!("{{'$dateTrunc': {{'date': {{'$date': '{date}'}}, {rest}}}}}");
    let date = |text: &str| format!("{{'$date': '{text}'}}");
    let page = "$dateTrunc";
    value(page, "{}", &trunc("2021-03-20T11:30:05Z", "'unit': 'month'"), &date("2021-03-01T00:00:00Z"));
    value(page, "{}", &trunc("2021-03-20T11:30:05Z", "'unit': 'hour', 'binSize': 2"), &date("2021-03-20T10:00:00Z"));
    value(
        page,
        "{}",
        &trunc("2020-05-18T14:10:30Z", "'unit': 'week', 'startOfWeek': 'monday'"),
        &date("2020-05-18T00:00:00Z"),
    );
    value(
        page,
        "{}",
        &trunc("2020-05-18T14:10:30Z", "'unit': 'day', 'timezone': 'America/Los_Angeles'"),
        &date("2020-05-18T07:00:00Z"),
    );
    // The page's example: two-week bins count from the first Monday of 2000.
    value(page, "{}", &trunc("2021-11-29T14:10:30Z", "'unit': 'quarter', 'binSize': 2"), &date("2021-07-01T00:00:00Z"));
    value(page, "{}", &trunc("1999-12-31T23:59:59Z", "'unit': 'year', 'binSize': 10"), &date("1990-01-01T00:00:00Z"));
}

#[test]
fn fields_with_awkward_names() {
    value("$getField", "{'a.b': 1, '$c': 2}", "{'$getField': 'a.b'}", "1");
    value("$getField", "{'a.b': 1, '$c': 2}", "{'$getField': {'$literal': '$c'}}", "2");
    value("$getField", "{'d': {'x.y': 3}}", "{'$getField': {'field': 'x.y', 'input': '$d'}}", "3");
    value("$getField", "{}", "{'$getField': 'none'}", "");
    value(
        "$setField",
        "{'d': {'x': 1}}",
        "{'$setField': {'field': 'p.q', 'input': '$d', 'value': 2}}",
        "{'x': 1, 'p.q': 2}",
    );
    value(
        "$setField",
        "{'d': {'x': 1, 'y': 2}}",
        "{'$setField': {'field': 'x', 'input': '$d', 'value': '$$REMOVE'}}",
        "{'y': 2}",
    );
    value("$unsetField", "{'d': {'p.q': 1, 'y': 2}}", "{'$unsetField': {'field': 'p.q', 'input': '$d'}}", "{'y': 2}");
    value("$setField", "{'d': null}", "{'$setField': {'field': 'x', 'input': '$d', 'value': 2}}", "null");
}

#[test]
fn arrays() {
    value("$sortArray", "{'a': [3, 1, 2]}", "{'$sortArray': {'input': '$a', 'sortBy': 1}}", "[1, 2, 3]");
    value(
        "$sortArray",
        "{'t': [{'n': 'pat', 'a': 30}, {'n': 'dallas', 'a': 36}, {'n': 'charlie', 'a': 42}]}",
        "{'$sortArray': {'input': '$t', 'sortBy': {'a': -1, 'n': 1}}}",
        "[{'n': 'charlie', 'a': 42}, {'n': 'dallas', 'a': 36}, {'n': 'pat', 'a': 30}]",
    );
    value(
        "$sortArray",
        "{'a': [20, 4, {'$numberDouble': '21.5'}, null, 'Gratis', {'k': 0}]}",
        "{'$sortArray': {'input': '$a', 'sortBy': 1}}",
        "[null, 4, 20, {'$numberDouble': '21.5'}, 'Gratis', {'k': 0}]",
    );
    value("$firstN", "{'a': [1, 2, 3]}", "{'$firstN': {'input': '$a', 'n': 2}}", "[1, 2]");
    value("$lastN", "{'a': [1, 2, 3]}", "{'$lastN': {'input': '$a', 'n': 2}}", "[2, 3]");
    value("$maxN", "{'a': [1, null, 3, 2]}", "{'$maxN': {'input': '$a', 'n': 2}}", "[3, 2]");
    value("$minN", "{'a': [1, null, 3, 2]}", "{'$minN': {'input': '$a', 'n': 2}}", "[1, 2]");
    value(
        "$filter",
        "{'a': [1, 2, 3, 4]}",
        "{'$filter': {'input': '$a', 'cond': {'$gt': ['$$this', 1]}, 'limit': 2}}",
        "[2, 3]",
    );
    value("$ifNull", "{'b': 2}", "{'$ifNull': ['$a', null, '$b', 3]}", "2");
}

#[test]
fn bits_and_numbers() {
    value("$bitAnd", "{'a': 12}", "{'$bitAnd': ['$a', 10]}", "8");
    value("$bitAnd", "{}", "{'$bitAnd': [{'$numberLong': '12'}, 10]}", "{'$numberLong': '8'}");
    value("$bitOr", "{}", "{'$bitOr': [12, 10]}", "14");
    value("$bitXor", "{}", "{'$bitXor': [12, 10]}", "6");
    value("$bitNot", "{}", "{'$bitNot': 0}", "-1");
    value("$bitAnd", "{}", "{'$bitAnd': [12, null]}", "null");
    fails("$bitAnd", "[{}]", "[{'$project': {'v': {'$bitAnd': [1.5, 1]}}}]", 14);
    value("$sigmoid", "{}", "{'$sigmoid': 0}", "{'$numberDouble': '0.5'}");
    value("$tsSecond", "{'t': {'$timestamp': {'t': 7, 'i': 3}}}", "{'$tsSecond': '$t'}", "{'$numberLong': '7'}");
    value("$tsIncrement", "{'t': {'$timestamp': {'t': 7, 'i': 3}}}", "{'$tsIncrement': '$t'}", "{'$numberLong': '3'}");
    value(
        "$median",
        "{'a': [25, 30, 40, 45, 45]}",
        "{'$median': {'input': '$a', 'method': 'approximate'}}",
        "{'$numberDouble': '40'}",
    );
    value(
        "$percentile",
        "{'a': [1, 2, 3, 4]}",
        "{'$percentile': {'input': '$a', 'p': [0.5, 1], 'method': 'continuous'}}",
        "[{'$numberDouble': '2.5'}, {'$numberDouble': '4'}]",
    );
}

#[test]
fn conversions() {
    value(
        "$convert",
        "{}",
        "{'$convert': {'input': 'aGVsbG8=', 'to': 'binData', 'format': 'base64'}}",
        "{'$binary': {'base64': 'aGVsbG8=', 'subType': '00'}}",
    );
    value(
        "$convert",
        "{'b': {'$binary': {'base64': 'aGVsbG8=', 'subType': '00'}}}",
        "{'$convert': {'input': '$b', 'to': 'string', 'format': 'utf8'}}",
        "'hello'",
    );
    value(
        "$convert",
        "{'b': {'$binary': {'base64': 'aGVsbG8=', 'subType': '00'}}}",
        "{'$convert': {'input': '$b', 'to': 'string', 'format': 'hex'}}",
        "'68656C6C6F'",
    );
    value(
        "$toUUID",
        "{}",
        "{'$toUUID': '0e3b9063-8abd-4eb3-9f9f-f4c59fd30a60'}",
        "{'$binary': {'base64': 'DjuQY4q9TrOfn/TFn9MKYA==', 'subType': '04'}}",
    );
    value(
        "$convert",
        "{}",
        "{'$convert': {'input': 1, 'to': 'binData'}}",
        "{'$binary': {'base64': 'AQAAAA==', 'subType': '00'}}",
    );
    value(
        "$convert",
        "{}",
        "{'$convert': {'input': {'$binary': {'base64': 'AAAAAQ==', 'subType': '00'}}, 'to': 'int', 'byteOrder': 'big'}}",
        "1",
    );
    fails("$toInt", "[{}]", "[{'$project': {'v': {'$toInt': 'x'}}}]", 241);
    fails("$convert", "[{}]", "[{'$project': {'v': {'$convert': {'input': 1, 'to': 'nothing'}}}}]", 2);
}

#[test]
fn group_accumulators() {
    let games = "[{'_id': 1, 'g': 'G1', 'p': 'P1', 's': 31}, {'_id': 2, 'g': 'G1', 'p': 'P2', 's': 33}, {'_id': 3, 'g': 'G1', 'p': 'P3', 's': 99}, {'_id': 4, 'g': 'G1', 'p': 'P4', 's': 1}]";
    let group = |accumulator: &str| format!("[{{'$group': {{'_id': '$g', 'v': {accumulator}}}}}]");
    let gives = |page: &str, accumulator: &str, expected: &str| {
        check(page, games, &group(accumulator), &format!("[{{'_id': 'G1', 'v': {expected}}}]"));
    };
    gives("$top", "{'$top': {'output': ['$p', '$s'], 'sortBy': {'s': -1}}}", "['P3', 99]");
    gives("$bottom", "{'$bottom': {'output': '$p', 'sortBy': {'s': -1}}}", "'P4'");
    gives("$topN", "{'$topN': {'n': 2, 'output': '$s', 'sortBy': {'s': -1}}}", "[99, 33]");
    gives("$bottomN", "{'$bottomN': {'n': 2, 'output': '$s', 'sortBy': {'s': -1}}}", "[31, 1]");
    gives("$firstN", "{'$firstN': {'n': 2, 'input': '$s'}}", "[31, 33]");
    gives("$lastN", "{'$lastN': {'n': 2, 'input': '$s'}}", "[99, 1]");
    gives(
        "$maxN",
        "{'$maxN': {'n': {'$cond': {'if': {'$eq': ['$g', 'G2']}, 'then': 1, 'else': 3}}, 'input': '$s'}}",
        "[99, 33, 31]",
    );
    gives("$minN", "{'$minN': {'n': 2, 'input': '$s'}}", "[1, 31]");
    gives("$count", "{'$count': {}}", "4");
    gives("$median", "{'$median': {'input': '$s', 'method': 'approximate'}}", "{'$numberDouble': '31'}");
    check(
        "$concatArrays (accumulator)",
        "[{'a': [1]}, {'a': [2, 3]}, {}]",
        "[{'$group': {'_id': null, 'v': {'$concatArrays': '$a'}}}]",
        "[{'_id': null, 'v': [1, 2, 3]}]",
    );
    fails("$top", games, &group("{'$top': {'output': '$p'}}"), 5_787_906);
}

#[test]
fn windows() {
    let cakes = "[{'_id': 0, 't': 'CA', 'd': 1, 'q': 120}, {'_id': 1, 't': 'CA', 'd': 3, 'q': 162}, {'_id': 2, 't': 'WA', 'd': 1, 'q': 134}, {'_id': 3, 't': 'WA', 'd': 2, 'q': 104}, {'_id': 4, 't': 'CA', 'd': 2, 'q': 145}]";
    let window = |output: &str| {
        format!(
            "[{{'$setWindowFields': {{'partitionBy': '$t', 'sortBy': {{'d': 1}}, 'output': {{'v': {output}}}}}}}, {{'$project': {{'v': 1}}}}]"
        )
    };
    let gives = |page: &str, output: &str, values: [&str; 5]| {
        // In the order of partitions, then of `d`.
        let rows: Vec<String> =
            [0, 4, 1, 2, 3].iter().zip(values).map(|(id, value)| format!("{{'_id': {id}, 'v': {value}}}")).collect();
        check(page, cakes, &window(output), &format!("[{}]", rows.join(", ")));
    };
    gives(
        "$setWindowFields",
        "{'$sum': '$q', 'window': {'documents': ['unbounded', 'current']}}",
        ["120", "265", "427", "134", "238"],
    );
    gives("$setWindowFields", "{'$sum': '$q', 'window': {'documents': [-1, 0]}}", ["120", "265", "307", "134", "238"]);
    gives(
        "$setWindowFields",
        "{'$max': '$q', 'window': {'range': [-1, 'current']}}",
        ["120", "145", "162", "134", "134"],
    );
    gives(
        "$setWindowFields",
        "{'$push': '$q'}",
        ["[120, 145, 162]", "[120, 145, 162]", "[120, 145, 162]", "[134, 104]", "[134, 104]"],
    );
    gives("$documentNumber", "{'$documentNumber': {}}", ["1", "2", "3", "1", "2"]);
    gives("$rank", "{'$rank': {}}", ["1", "2", "3", "1", "2"]);
    gives(
        "$shift",
        "{'$shift': {'output': '$q', 'by': 1, 'default': 'none'}}",
        ["145", "162", "'none'", "104", "'none'"],
    );
    gives("$shift", "{'$shift': {'output': '$q', 'by': -1}}", ["null", "120", "145", "null", "134"]);
    gives(
        "$derivative",
        "{'$derivative': {'input': '$q'}, 'window': {'documents': [-1, 0]}}",
        ["null", "{'$numberDouble': '25'}", "{'$numberDouble': '17'}", "null", "{'$numberDouble': '-30'}"],
    );
    gives(
        "$expMovingAvg",
        "{'$expMovingAvg': {'input': '$q', 'N': 1}}",
        ["120", "{'$numberDouble': '145'}", "{'$numberDouble': '162'}", "134", "{'$numberDouble': '104'}"],
    );
    check(
        "$rank, $denseRank",
        "[{'_id': 1, 's': 5}, {'_id': 2, 's': 5}, {'_id': 3, 's': 7}]",
        "[{'$setWindowFields': {'sortBy': {'s': 1}, 'output': {'r': {'$rank': {}}, 'd': {'$denseRank': {}}}}}]",
        "[{'_id': 1, 's': 5, 'r': 1, 'd': 1}, {'_id': 2, 's': 5, 'r': 1, 'd': 1}, {'_id': 3, 's': 7, 'r': 3, 'd': 2}]",
    );
    check(
        "$locf, $linearFill",
        "[{'_id': 0, 'p': {'$numberDouble': '10'}}, {'_id': 1, 'p': null}, {'_id': 2}, {'_id': 3, 'p': {'$numberDouble': '40'}}]",
        "[{'$setWindowFields': {'sortBy': {'_id': 1}, 'output': {'l': {'$locf': '$p'}, 'f': {'$linearFill': '$p'}}}}, {'$unset': 'p'}]",
        "[{'_id': 0, 'l': {'$numberDouble': '10'}, 'f': {'$numberDouble': '10'}}, {'_id': 1, 'l': {'$numberDouble': '10'}, 'f': {'$numberDouble': '20'}}, {'_id': 2, 'l': {'$numberDouble': '10'}, 'f': {'$numberDouble': '30'}}, {'_id': 3, 'l': {'$numberDouble': '40'}, 'f': {'$numberDouble': '40'}}]",
    );
    check(
        "$setWindowFields, range with unit",
        "[{'_id': 1, 'd': {'$date': '2020-01-01T00:00:00Z'}}, {'_id': 2, 'd': {'$date': '2020-01-31T00:00:00Z'}}, {'_id': 3, 'd': {'$date': '2020-03-15T00:00:00Z'}}]",
        "[{'$setWindowFields': {'sortBy': {'d': 1}, 'output': {'ids': {'$push': '$_id', 'window': {'range': [-1, 0], 'unit': 'month'}}}}}, {'$unset': 'd'}]",
        "[{'_id': 1, 'ids': [1]}, {'_id': 2, 'ids': [1, 2]}, {'_id': 3, 'ids': [3]}]",
    );
    fails("$rank", cakes, "[{'$setWindowFields': {'output': {'v': {'$rank': {}}}}}]", 5_371_602);
}

#[test]
fn densify_and_fill() {
    check(
        "$densify",
        "[{'_id': 1, 'v': 1}, {'_id': 2, 'v': 4}]",
        "[{'$densify': {'field': 'v', 'range': {'step': 1, 'bounds': 'full'}}}]",
        "[{'_id': 1, 'v': 1}, {'v': 2}, {'v': 3}, {'_id': 2, 'v': 4}]",
    );
    check(
        "$densify",
        "[{'d': {'$date': '2021-05-18T00:00:00Z'}}, {'d': {'$date': '2021-05-18T08:00:00Z'}}]",
        "[{'$densify': {'field': 'd', 'range': {'step': 4, 'unit': 'hour', 'bounds': [{'$date': '2021-05-18T00:00:00Z'}, {'$date': '2021-05-18T12:00:00Z'}]}}}]",
        "[{'d': {'$date': '2021-05-18T00:00:00Z'}}, {'d': {'$date': '2021-05-18T04:00:00Z'}}, {'d': {'$date': '2021-05-18T08:00:00Z'}}]",
    );
    check(
        "$densify, full bounds with partitions",
        "[{'c': 'x', 'v': 0}, {'c': 'x', 'v': 2}, {'c': 'y', 'v': 1}]",
        "[{'$densify': {'field': 'v', 'partitionByFields': ['c'], 'range': {'step': 1, 'bounds': 'full'}}}]",
        "[{'c': 'x', 'v': 0}, {'c': 'x', 'v': 1}, {'c': 'x', 'v': 2}, {'c': 'y', 'v': 0}, {'c': 'y', 'v': 1}, {'c': 'y', 'v': 2}]",
    );
    check(
        "$densify, partition bounds",
        "[{'c': 'x', 'v': 0}, {'c': 'x', 'v': 2}, {'c': 'y', 'v': 1}]",
        "[{'$densify': {'field': 'v', 'partitionByFields': ['c'], 'range': {'step': 1, 'bounds': 'partition'}}}]",
        "[{'c': 'x', 'v': 0}, {'c': 'x', 'v': 1}, {'c': 'x', 'v': 2}, {'c': 'y', 'v': 1}]",
    );
    check(
        "$fill",
        "[{'_id': 1, 's': 10}, {'_id': 2, 's': null}, {'_id': 3}]",
        "[{'$fill': {'output': {'s': {'value': 0}}}}]",
        "[{'_id': 1, 's': 10}, {'_id': 2, 's': 0}, {'_id': 3, 's': 0}]",
    );
    check(
        "$fill",
        "[{'_id': 1, 's': 10}, {'_id': 2}, {'_id': 3, 's': 30}, {'_id': 4}]",
        "[{'$fill': {'sortBy': {'_id': 1}, 'output': {'s': {'method': 'locf'}}}}]",
        "[{'_id': 1, 's': 10}, {'_id': 2, 's': 10}, {'_id': 3, 's': 30}, {'_id': 4, 's': 30}]",
    );
}

#[test]
fn sources_and_joins() {
    let database = PipelineOptions::new("test", None);
    let Bson::Array(stages) = json("[{'$documents': [{'x': 10}, {'x': {'$add': [1, 1]}}]}, {'$match': {'x': 2}}]")
    else {
        unreachable!()
    };
    assert_eq!(run_with(&database, Vec::new(), Vec::new(), &stages).unwrap(), vec![json("{'x': 2}")], "$documents");
    let joined = run(
        "[{'_id': 1, 'k': 'a'}, {'_id': 2, 'k': 'b'}]",
        "[{'_id': 10, 'k': 'a', 'n': 1}, {'_id': 11, 'k': 'a', 'n': 5}]",
        "[{'$lookup': {'from': 'other', 'localField': 'k', 'foreignField': 'k', 'let': {'id': '$_id'}, 'pipeline': [{'$match': {'$expr': {'$gt': ['$n', '$$id']}}}, {'$project': {'_id': 0, 'n': 1}}], 'as': 'j'}}]",
    )
    .unwrap();
    // "Use a Concise Correlated Subquery" on the page of $lookup.
    assert_eq!(Bson::Array(joined), json("[{'_id': 1, 'k': 'a', 'j': [{'n': 5}]}, {'_id': 2, 'k': 'b', 'j': []}]"));
    let joined =
        run("[{'_id': 1}]", "[]", "[{'$lookup': {'pipeline': [{'$documents': [{'a': 1}]}], 'as': 'j'}}]").unwrap();
    assert_eq!(Bson::Array(joined), json("[{'_id': 1, 'j': [{'a': 1}]}]"), "$lookup with $documents");
}

#[test]
fn refusals() {
    fails("$search", "[]", "[{'$search': {}}]", 115);
    fails("$vectorSearch", "[]", "[{'$vectorSearch': {}}]", 115);
    fails("stages", "[]", "[{'$nope': 1}]", 40324);
    fails("$function", "[]", "[{'$project': {'v': {'$function': {}}}}]", 115);
    fails("expressions", "[]", "[{'$project': {'v': {'$nope': 1}}}]", 168);
    fails("$out", "[]", "[{'$out': 'x'}, {'$match': {}}]", 40601);
    fails("$lookup", "[]", "[{'$lookup': {'from': 'o', 'pipeline': [{'$out': 'x'}], 'as': 'j'}}]", 51047);
    fails("$facet", "[]", "[{'$facet': {'a': [{'$out': 'x'}]}}]", 40600);
    fails("variables", "[]", "[{'$project': {'v': '$$nope'}}]", 17276);
    let parsed = UpdatePipeline::parse(&[json("{'$match': {}}")], &QueryContext::default());
    assert_eq!(parsed.unwrap_err().code, 72, "update pipelines");
}

#[test]
fn updates_by_pipeline() {
    let Bson::Array(stages) = json(
        "[{'$set': {'a': {'$add': ['$a', 1]}, 'n': '$$NOW'}}, {'$unset': 'b'}, {'$replaceWith': {'$mergeObjects': ['$$ROOT', {'c': 3}]}}]",
    ) else {
        unreachable!()
    };
    let update = UpdatePipeline::parse(&stages, &QueryContext::default()).unwrap();
    let updated = update.apply(json("{'_id': 1, 'a': 1, 'b': 2}").as_document().unwrap()).unwrap();
    assert_eq!(Bson::Document(updated), json("{'_id': 1, 'a': 2, 'n': {'$date': '1970-01-01T00:00:00Z'}, 'c': 3}"));
}

/// What outgrows memory goes to disk when it may, and fails as MongoDB does when it may not.
#[test]
fn memory_limits() {
    let documents: Vec<Document> = (0..2000)
        .map(|number| bson::doc! { "_id": number, "k": (number * 7919) % 2000, "pad": "x".repeat(100) })
        .collect();
    let stages = |text: &str| match json(text) {
        Bson::Array(stages) => stages,
        _ => unreachable!(),
    };
    let small = PipelineOptions { bytes_max: 20_000, ..PipelineOptions::new("test", Some("c")) };
    let sort = stages("[{'$sort': {'k': 1}}, {'$project': {'_id': 0, 'k': 1}}]");
    let sorted = run_with(&small, documents.clone(), Vec::new(), &sort).unwrap();
    let expected: Vec<Bson> = (0..2000).map(|number| Bson::Document(bson::doc! { "k": number })).collect();
    assert_eq!(sorted, expected);
    let group = stages("[{'$group': {'_id': {'$mod': ['$k', 500]}, 'n': {'$sum': 1}}}, {'$sort': {'_id': 1}}]");
    let grouped = run_with(&small, documents.clone(), Vec::new(), &group).unwrap();
    let expected: Vec<Bson> = (0..500).map(|number| Bson::Document(bson::doc! { "_id": number, "n": 4 })).collect();
    assert_eq!(grouped, expected);
    let strict = PipelineOptions { allow_disk_use: false, ..small };
    for stages in [sort, group] {
        assert_eq!(run_with(&strict, documents.clone(), Vec::new(), &stages).unwrap_err().code, 292);
    }
}

/// A short expression that doubles a value again and again ends in an error, not in all memory.
#[test]
fn values_are_bounded() {
    for body in
        ["['$$value', '$$value']", "{'a': '$$value', 'b': '$$value'}", "{'$concatArrays': [['$$value'], ['$$value']]}"]
    {
        let pipeline = format!(
            "[{{'$project': {{'v': {{'$size': {{'$objectToArray': {{'$reduce': {{'input': {{'$range': [0, 60]}}, 'initialValue': {{'x': 1}}, 'in': {body}}}}}}}}}}}}}]"
        );
        fails("memory", "[{}]", &pipeline, 146);
    }
    fails(
        "memory",
        "[{}]",
        "[{'$project': {'v': {'$reduce': {'input': {'$range': [0, 60]}, 'initialValue': 'xx', 'in': {'$concat': ['$$value', '$$value']}}}}}]",
        146,
    );
    fails("memory", "[{}]", "[{'$project': {'v': {'$size': {'$range': [0, 2000000000]}}}}]", 146);
}
