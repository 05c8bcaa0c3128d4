//! Roles and filters of one collection, as a rule file has them (rules-and-users 2.1).

use serde_json::{Map, Value as Json};

use crate::expression::Fields;
use crate::filter::Filter;
use crate::{Expression, Place, RuleError};

/// Roles and filters of one collection, or the default ones of a data source.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// In file order, which decides.
    pub roles: Vec<Role>,
    /// In file order.
    pub filters: Vec<Filter>,
    /// What was loaded but never holds.
    pub warnings: Vec<RuleError>,
    /// Fields of a document that decide its role and whether it is shown as a whole.
    pub(crate) deciding_fields: Fields,
}

/// One role. Of all that apply to a document the first one decides.
#[derive(Debug, Clone)]
pub struct Role {
    /// For logs.
    pub name: String,
    /// `None`, when absent, never applies.
    pub apply_when: Option<Expression>,
    /// `None` when neither half is there.
    pub document_filters: Option<DocumentFilters>,
    /// Read the whole document.
    pub read: Option<Expression>,
    /// Write the whole document, and with it read it.
    pub write: Option<Expression>,
    /// Absent: allowed.
    pub insert: Option<Expression>,
    /// Absent: whoever may write all of it.
    pub delete: Option<Expression>,
    /// Absent: allowed.
    pub search: Option<Expression>,
    /// Permissions of single fields.
    pub fields: Vec<(String, FieldPermissions)>,
    /// Permissions of all other fields; its own `fields` have no meaning.
    pub additional_fields: FieldPermissions,
}

/// Gates before the permissions of a role; an absent half is closed.
#[derive(Debug, Clone, Default)]
pub struct DocumentFilters {
    /// Gate of `read` permissions.
    pub read: Option<Expression>,
    /// Gate of `write` permissions.
    pub write: Option<Expression>,
}

/// Permissions of one field.
#[derive(Debug, Clone, Default)]
pub struct FieldPermissions {
    /// Read the field.
    pub read: Option<Expression>,
    /// Write the field, and with it read it.
    pub write: Option<Expression>,
    /// Permissions of fields inside of it, which count where it has none itself.
    pub fields: Vec<(String, FieldPermissions)>,
}

impl RuleSet {
    /// Reads a rule file.
    ///
    /// # Errors
    /// All mistakes at once, with paths such as `roles.0.apply_when`. A collection with any of them denies everything: a
    /// role left out would hand its documents to the roles after it.
    pub fn parse(json: &Json) -> Result<Self, Vec<RuleError>> {
        let mut reader = Reader::default();
        let mut rules = Self::default();
        match json {
            Json::Object(object) => {
                for (index, role) in reader.array(object, "", "roles").iter().enumerate() {
                    let path = format!("roles.{index}");
                    if let Some(role) = reader.element(role, &path) {
                        let role = reader.role(role, &path);
                        rules.roles.push(role);
                    }
                }
                for (index, filter) in reader.array(object, "", "filters").iter().enumerate() {
                    let path = format!("filters.{index}");
                    let Some(filter) = reader.element(filter, &path) else { continue };
                    match Filter::parse(filter) {
                        Ok(filter) => {
                            reader.warnings.extend(
                                filter.warnings().map(|warning| warning.clone().within(&join(&path, "apply_when"))),
                            );
                            rules.filters.push(filter);
                        }
                        Err(errors) => reader.errors.extend(errors.into_iter().map(|error| error.within(&path))),
                    }
                }
            }
            other => reader.wrong("", other, "an object"),
        }
        rules.warnings = reader.warnings;
        for role in &rules.roles {
            let gates = role.document_filters.iter().flat_map(|gates| [&gates.read, &gates.write]);
            for expression in [&role.apply_when, &role.read, &role.write].into_iter().chain(gates).flatten() {
                rules.deciding_fields.extend(expression.fields());
            }
        }
        if reader.errors.is_empty() { Ok(rules) } else { Err(reader.errors) }
    }
}

impl RuleSet {
    /// All expressions of roles.
    pub(crate) fn expressions(&self) -> Vec<&Expression> {
        let mut all = Vec::new();
        for role in &self.roles {
            let gates = role.document_filters.iter().flat_map(|gates| [&gates.read, &gates.write]);
            let own = [&role.apply_when, &role.read, &role.write, &role.insert, &role.delete, &role.search];
            all.extend(own.into_iter().chain(gates).flatten());
            role.additional_fields.gather(&mut all);
            for (_, permissions) in &role.fields {
                permissions.gather(&mut all);
            }
        }
        all
    }
}

impl FieldPermissions {
    fn gather<'a>(&'a self, all: &mut Vec<&'a Expression>) {
        all.extend([&self.read, &self.write].into_iter().flatten());
        for (_, permissions) in &self.fields {
            permissions.gather(all);
        }
    }
}

/// Reads parts of a rule file and collects what is wrong with them.
#[derive(Default)]
struct Reader {
    errors: Vec<RuleError>,
    warnings: Vec<RuleError>,
}

impl Reader {
    fn role(&mut self, object: &Map<String, Json>, path: &str) -> Role {
        let document_filters = self.object(object, path, "document_filters").map(|filters| {
            let path = join(path, "document_filters");
            DocumentFilters {
                read: self.expression(filters, &path, "read", Place::RolePermission),
                write: self.expression(filters, &path, "write", Place::RolePermission),
            }
        });
        Role {
            name: object.get("name").and_then(Json::as_str).unwrap_or_default().to_owned(),
            apply_when: self.expression(object, path, "apply_when", Place::RoleApplyWhen),
            document_filters: document_filters.filter(|filters| filters.read.is_some() || filters.write.is_some()),
            read: self.expression(object, path, "read", Place::RolePermission),
            write: self.expression(object, path, "write", Place::RolePermission),
            insert: self.expression(object, path, "insert", Place::RolePermission),
            delete: self.expression(object, path, "delete", Place::RolePermission),
            search: self.expression(object, path, "search", Place::RoleSearch),
            fields: self.fields(object, path),
            additional_fields: match self.object(object, path, "additional_fields") {
                // Fields inside of fields that have no name have no meaning.
                Some(permissions) => FieldPermissions {
                    fields: Vec::new(),
                    ..self.permissions(permissions, &join(path, "additional_fields"))
                },
                None => FieldPermissions::default(),
            },
        }
    }

    fn fields(&mut self, object: &Map<String, Json>, path: &str) -> Vec<(String, FieldPermissions)> {
        let Some(fields) = self.object(object, path, "fields") else { return Vec::new() };
        let path = join(path, "fields");
        let mut permissions = Vec::with_capacity(fields.len());
        for (name, field) in fields {
            let path = join(&path, name);
            if let Some(field) = self.element(field, &path) {
                permissions.push((name.clone(), self.permissions(field, &path)));
            }
        }
        permissions
    }

    fn permissions(&mut self, object: &Map<String, Json>, path: &str) -> FieldPermissions {
        FieldPermissions {
            read: self.expression(object, path, "read", Place::FieldPermission),
            write: self.expression(object, path, "write", Place::FieldPermission),
            fields: self.fields(object, path),
        }
    }

    /// `null` is as good as absent.
    fn expression(&mut self, object: &Map<String, Json>, path: &str, key: &str, place: Place) -> Option<Expression> {
        let json = object.get(key).filter(|json| !json.is_null())?;
        match Expression::parse(json, place) {
            Ok(expression) => {
                self.warnings
                    .extend(expression.warnings().iter().map(|warning| warning.clone().within(&join(path, key))));
                Some(expression)
            }
            Err(error) => {
                self.errors.push(error.within(&join(path, key)));
                None
            }
        }
    }

    fn object<'a>(&mut self, object: &'a Map<String, Json>, path: &str, key: &str) -> Option<&'a Map<String, Json>> {
        let json = object.get(key).filter(|json| !json.is_null())?;
        self.element(json, &join(path, key))
    }

    fn element<'a>(&mut self, json: &'a Json, path: &str) -> Option<&'a Map<String, Json>> {
        match json {
            Json::Object(object) => Some(object),
            other => {
                self.wrong(path, other, "an object");
                None
            }
        }
    }

    fn array<'a>(&mut self, object: &'a Map<String, Json>, path: &str, key: &str) -> &'a [Json] {
        match object.get(key) {
            None | Some(Json::Null) => &[],
            Some(Json::Array(elements)) => elements,
            Some(other) => {
                self.wrong(&join(path, key), other, "an array");
                &[]
            }
        }
    }

    fn wrong(&mut self, path: &str, json: &Json, expected: &'static str) {
        self.errors.push(RuleError::Shape { path: path.to_owned(), found: type_name(json), expected });
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub(crate) fn type_name(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}
