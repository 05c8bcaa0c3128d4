//! Answers in XML as documents, without the service's model: text stays text, except for members known by name.

use bson::{Bson, DateTime, Document};
use roxmltree::Node;

/// Members that are lists even when there is one or none.
const LISTS: [&str; 10] = [
    "Contents",
    "CommonPrefixes",
    "Deleted",
    "Errors",
    "Buckets",
    "Versions",
    "DeleteMarkers",
    "Grants",
    "Identities",
    "VerificationAttributes",
];
const NUMBERS: [&str; 7] =
    ["Size", "MaxKeys", "KeyCount", "ContentLength", "Max24HourSend", "MaxSendRate", "SentLast24Hours"];
const FLAGS: [&str; 2] = ["IsTruncated", "IsLatest"];
const DATES: [&str; 3] = ["LastModified", "CreationDate", "Timestamp"];

/// The document an element stands for.
pub(super) fn document(node: Node<'_, '_>) -> Document {
    let mut fields = Document::new();
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let value = value(name, child);
        match fields.get_mut(name) {
            // A list without a wrapper repeats its element.
            Some(Bson::Array(values)) => match value {
                Bson::Array(more) => values.extend(more),
                one => values.push(one),
            },
            Some(before) => {
                let first = std::mem::replace(before, Bson::Null);
                *before = Bson::Array(vec![first, value]);
            }
            None => {
                fields.insert(name, value);
            }
        }
    }
    fields
}

fn value(name: &str, node: Node<'_, '_>) -> Bson {
    let elements: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    let is_list = LISTS.contains(&name);
    let is_wrapper = |member: &str| {
        member == "member" || (name == "Buckets" && member == "Bucket") || (name == "Grants" && member == "Grant")
    };
    if !elements.is_empty() && elements.iter().all(|element| is_wrapper(element.tag_name().name())) {
        return Bson::Array(elements.into_iter().map(|element| value("", element)).collect());
    }
    let is_map = !elements.is_empty() && elements.iter().all(|element| element.tag_name().name() == "entry");
    if is_map {
        let mut map = Document::new();
        for entry in elements {
            let part = |tag: &str| entry.children().find(|child| child.tag_name().name() == tag);
            if let (Some(key), Some(inner)) = (part("key"), part("value")) {
                map.insert(key.text().unwrap_or_default(), value("", inner));
            }
        }
        return Bson::Document(map);
    }
    let single =
        if elements.is_empty() { scalar(name, node.text().unwrap_or_default()) } else { document(node).into() };
    match is_list {
        true if elements_empty(&single) => Bson::Array(Vec::new()),
        true => Bson::Array(vec![single]),
        false => single,
    }
}

fn elements_empty(value: &Bson) -> bool {
    matches!(value, Bson::String(text) if text.trim().is_empty())
}

fn scalar(name: &str, text: &str) -> Bson {
    let text = text.trim();
    if NUMBERS.contains(&name) {
        if let Ok(number) = text.parse::<i64>() {
            return super::integer(number);
        }
        if let Ok(number) = text.parse::<f64>() {
            return Bson::Double(number);
        }
    }
    if FLAGS.contains(&name)
        && let Ok(flag) = text.parse::<bool>()
    {
        return Bson::Boolean(flag);
    }
    if DATES.contains(&name)
        && let Ok(date) = DateTime::parse_rfc3339_str(text)
    {
        return Bson::DateTime(date);
    }
    // As the SDK shows it: S3 writes its entity tags with quotes.
    Bson::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn check(xml: &str, expected: Document) {
        let parsed = roxmltree::Document::parse(xml).expect("XML");
        assert_eq!(document(parsed.root_element()), expected, "{xml}");
    }

    #[test]
    fn lists_maps_and_scalars() {
        check("<R><MessageId>1</MessageId></R>", doc! { "MessageId": "1" });
        check(
            "<R><Identities><member>a</member><member>b</member></Identities></R>",
            doc! { "Identities": ["a", "b"] },
        );
        check(
            "<R><Contents><Key>k</Key><Size>5</Size></Contents></R>",
            doc! { "Contents": [{ "Key": "k", "Size": 5 }] },
        );
        check(
            "<R><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></R>",
            doc! { "IsTruncated": false, "Contents": [{ "Key": "a" }, { "Key": "b" }] },
        );
        check("<R><Buckets/></R>", doc! { "Buckets": [] });
        check(
            "<R><Attributes><entry><key>Owner</key><value>me</value></entry></Attributes></R>",
            doc! { "Attributes": { "Owner": "me" } },
        );
    }
}
