//! Projections in the process, where the database must not see them: they come after the rules (rules-and-users 2.5, 2.6).

use bson::{Bson, Document};

use crate::Permitted;

/// Which fields of a document are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    includes: bool,
    /// Without `_id`.
    paths: Vec<Vec<String>>,
    shows_id: bool,
    slices: Vec<(Vec<String>, Slice)>,
}

/// A projection that is none, or one that only the database can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionRefused {
    /// Some paths include and some exclude.
    #[error("a projection cannot both include and exclude fields")]
    Mixed,
    /// An operator or expression.
    #[error(
        "the projection of '{path}' is not available where rules decide about single documents: write 1, 0 or $slice"
    )]
    Operator {
        /// The path.
        path: String,
    },
    /// `$slice` with something else than its arguments.
    #[error("$slice of '{path}' takes a number, or a position and a number above 0")]
    Slice {
        /// The path.
        path: String,
    },
}

/// Elements of an array: skips some, from the end when negative, and takes some.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slice {
    skip: i64,
    take: i64,
}

impl Projection {
    /// Reads what a caller wrote; `None` when it shows everything.
    ///
    /// # Errors
    /// See [`ProjectionRefused`].
    pub fn parse(written: &Document) -> Result<Option<Self>, ProjectionRefused> {
        let mut paths = Vec::new();
        let mut slices = Vec::new();
        gather(written, "", &mut paths, &mut slices)?;
        let sliced: Vec<(Vec<String>, Slice)> =
            slices.into_iter().map(|(path, slice)| (segments(&path), slice)).collect();
        let projection = match Self::of_paths(paths)? {
            None if sliced.is_empty() => return Ok(None),
            None => Self { includes: false, paths: Vec::new(), shows_id: true, slices: sliced },
            Some(mut projection) => {
                if projection.includes {
                    projection.paths.extend(sliced.iter().map(|(path, _)| path.clone()));
                }
                Self { slices: sliced, ..projection }
            }
        };
        Ok(Some(projection))
    }

    pub(crate) fn of_paths(paths: impl IntoIterator<Item = (String, bool)>) -> Result<Option<Self>, ProjectionRefused> {
        let mut id = None;
        let mut others = Vec::new();
        for (path, shown) in paths {
            if path == "_id" { id = Some(shown) } else { others.push((path, shown)) }
        }
        let Some(includes) = others.first().map(|(_, shown)| *shown).or(id) else { return Ok(None) };
        if others.iter().any(|(_, shown)| *shown != includes) {
            return Err(ProjectionRefused::Mixed);
        }
        let paths = others.iter().map(|(path, _)| segments(path)).collect();
        Ok(Some(Self { includes, paths, shows_id: id.unwrap_or(true), slices: Vec::new() }))
    }

    /// The fields of a document that are shown.
    pub fn apply(&self, document: Permitted<Document>) -> Permitted<Document> {
        Permitted::new(self.shown(document.into_inner()))
    }

    /// As the database writes it, slices apart.
    pub(crate) fn to_document(&self) -> Document {
        let mut written: Document =
            self.paths.iter().map(|path| (path.join("."), Bson::Int32(i32::from(self.includes)))).collect();
        // With other exclusions an inclusion of `_id` would be refused.
        if !self.shows_id || written.is_empty() {
            written.insert("_id", i32::from(self.shows_id));
        }
        written
    }

    /// Whether something at a path, `_id` excepted, may be left out.
    pub(crate) fn may_hide(&self, path: &[String]) -> bool {
        let is_prefix = |short: &[String], long: &[String]| long.len() >= short.len() && long[..short.len()] == *short;
        match self.includes {
            true => !self.paths.iter().any(|shown| is_prefix(shown, path)),
            false => self.paths.iter().any(|hidden| is_prefix(hidden, path) || is_prefix(path, hidden)),
        }
    }

    fn shown(&self, document: Document) -> Document {
        let mut shown = Document::new();
        let paths: Vec<&[String]> = self.paths.iter().map(Vec::as_slice).collect();
        for (name, value) in document {
            if name == "_id" {
                if self.shows_id {
                    shown.insert(name, value);
                }
            } else if let Some(value) = self.field(&name, value, &paths) {
                shown.insert(name, value);
            }
        }
        for (path, slice) in &self.slices {
            slice.cut(&mut shown, path);
        }
        shown
    }

    fn field(&self, name: &str, value: Bson, paths: &[&[String]]) -> Option<Bson> {
        let below: Vec<&[String]> = paths
            .iter()
            .filter(|path| path.first().is_some_and(|first| first == name))
            .map(|path| &path[1..])
            .collect();
        if below.is_empty() {
            return (!self.includes).then_some(value);
        }
        if below.iter().any(|path| path.is_empty()) {
            return self.includes.then_some(value);
        }
        self.inside(value, &below)
    }

    fn inside(&self, value: Bson, paths: &[&[String]]) -> Option<Bson> {
        match value {
            Bson::Document(document) => {
                let shown = document
                    .into_iter()
                    .filter_map(|(name, value)| self.field(&name, value, paths).map(|value| (name, value)));
                Some(Bson::Document(shown.collect()))
            }
            Bson::Array(elements) => {
                Some(Bson::Array(elements.into_iter().filter_map(|element| self.inside(element, paths)).collect()))
            }
            // A path that goes on inside of a value that has no inside shows nothing of it.
            other => (!self.includes).then_some(other),
        }
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn gather(
    written: &Document,
    prefix: &str,
    paths: &mut Vec<(String, bool)>,
    slices: &mut Vec<(String, Slice)>,
) -> Result<(), ProjectionRefused> {
    for (name, value) in written {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let refused = || ProjectionRefused::Operator { path: path.clone() };
        if path.split('.').any(|segment| segment.is_empty() || segment.starts_with('$')) {
            return Err(refused());
        }
        let shown = match value {
            Bson::Boolean(shown) => *shown,
            Bson::Int32(number) => *number != 0,
            Bson::Int64(number) => *number != 0,
            Bson::Double(number) => *number != 0.0,
            Bson::Document(inner) if inner.is_empty() => return Err(refused()),
            Bson::Document(inner) if inner.len() == 1 && inner.contains_key("$slice") => {
                let slice = inner.get("$slice").and_then(Slice::parse);
                slices.push((path.clone(), slice.ok_or(ProjectionRefused::Slice { path })?));
                continue;
            }
            Bson::Document(inner) if inner.keys().all(|key| !key.starts_with('$')) => {
                gather(inner, &path, paths, slices)?;
                continue;
            }
            _ => return Err(refused()),
        };
        paths.push((path, shown));
    }
    Ok(())
}

impl Slice {
    fn parse(argument: &Bson) -> Option<Self> {
        let whole = |value: &Bson| match value {
            Bson::Int32(number) => Some(i64::from(*number)),
            Bson::Int64(number) => Some(*number),
            Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Some(*number as i64),
            _ => None,
        };
        match argument {
            Bson::Array(pair) => match pair.as_slice() {
                [skip, take] => Some(Self { skip: whole(skip)?, take: whole(take).filter(|take| *take > 0)? }),
                _ => None,
            },
            // A negative number counts from the end.
            one => whole(one).map(|number| match number < 0 {
                true => Self { skip: number, take: number.saturating_neg() },
                false => Self { skip: 0, take: number },
            }),
        }
    }

    fn cut(self, document: &mut Document, path: &[String]) {
        let Some((first, rest)) = path.split_first() else { return };
        let Some(value) = document.get_mut(first) else { return };
        if rest.is_empty() {
            if let Bson::Array(elements) = value {
                let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
                let start = match self.skip < 0 {
                    true => length.saturating_add(self.skip).max(0),
                    false => self.skip.min(length),
                };
                let end = start.saturating_add(self.take).min(length);
                let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
                *elements = elements.get(range).unwrap_or_default().to_vec();
            }
            return;
        }
        match value {
            Bson::Document(inner) => self.cut(inner, rest),
            Bson::Array(elements) => {
                for element in elements {
                    if let Bson::Document(inner) = element {
                        self.cut(inner, rest);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn check(projection: Document, expected: Result<Document, &str>) {
        let document = doc! { "_id": 1, "a": 1, "p": { "x": 1, "y": 2 }, "l": [{ "x": 1, "y": 2 }, 3, { "x": 4 }] };
        let found = Projection::parse(&projection).map(|parsed| match parsed {
            None => document.clone(),
            Some(parsed) => parsed.shown(document.clone()),
        });
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{projection}"),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{projection}: {error}"),
            (found, _) => panic!("{projection}: {found:?}"),
        }
    }

    #[test]
    fn what_callers_write() {
        let all = doc! { "_id": 1, "a": 1, "p": { "x": 1, "y": 2 }, "l": [{ "x": 1, "y": 2 }, 3, { "x": 4 }] };
        check(doc! {}, Ok(all.clone()));
        check(doc! { "a": 1 }, Ok(doc! { "_id": 1, "a": 1 }));
        check(doc! { "a": true, "_id": 0 }, Ok(doc! { "a": 1 }));
        check(doc! { "_id": 1 }, Ok(doc! { "_id": 1 }));
        check(doc! { "l": 0, "p": false }, Ok(doc! { "_id": 1, "a": 1 }));
        check(doc! { "p.x": 1, "l.x": 1 }, Ok(doc! { "_id": 1, "p": { "x": 1 }, "l": [{ "x": 1 }, { "x": 4 }] }));
        check(doc! { "p": { "x": 1 }, "_id": 0 }, Ok(doc! { "p": { "x": 1 } }));
        check(doc! { "p.x": 0, "l.x": 0, "_id": 0 }, Ok(doc! { "a": 1, "p": { "y": 2 }, "l": [{ "y": 2 }, 3, {}] }));
        check(doc! { "a": 1, "l": { "$slice": 1 } }, Ok(doc! { "_id": 1, "a": 1, "l": [{ "x": 1, "y": 2 }] }));
        let mut sliced = all.clone();
        sliced.insert("l", vec![Bson::Document(doc! { "x": 4 })]);
        check(doc! { "l": { "$slice": -1 } }, Ok(sliced.clone()));
        check(doc! { "l": { "$slice": [2, 5] } }, Ok(sliced.clone()));
        check(doc! { "l": { "$slice": [-1, 5] } }, Ok(sliced));
        check(doc! { "a": 1, "p": 0 }, Err("both include and exclude"));
        check(doc! { "a": "$p" }, Err("projection of 'a'"));
        check(doc! { "l": { "$elemMatch": { "x": 1 } } }, Err("projection of 'l'"));
        check(doc! { "l.$": 1 }, Err("projection of 'l.$'"));
        check(doc! { "l": { "$slice": "a" } }, Err("$slice of 'l'"));
    }
}
