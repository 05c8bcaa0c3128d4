//! From BSON to [`Node`].

use bson::{Bson, Document};

use super::operator::{self, Arguments, Operator};
use super::{Base, Node, array, path_in_value, regex};
use crate::error::{CommandError, CommandResult, code};
use crate::query::QueryContext;
use crate::query::value::ValueRef;

/// Nesting at which an expression is refused, as BSON itself is by MongoDB.
const DEPTH_MAX: usize = 200;

/// Reads one expression; knows the variables bound around the part it reads.
pub(super) struct Parser<'a> {
    context: &'a QueryContext,
    bound: Vec<String>,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub fn new(context: &'a QueryContext) -> Self {
        Self { context, bound: Vec::new(), depth: 0 }
    }

    /// Anything that may stand where an expression is expected.
    pub fn operand(&mut self, value: &Bson) -> CommandResult<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(CommandError::new(code::OVERFLOW, format!("expression nested more than {DEPTH_MAX} deep")));
        }
        let node = match value {
            Bson::String(text) if text.starts_with('$') => self.path(text)?,
            Bson::Document(document) => self.object(document)?,
            Bson::Array(items) => {
                Node::Array(items.iter().map(|item| self.operand(item)).collect::<CommandResult<_>>()?)
            }
            other => Node::Constant(Some(other.clone())),
        };
        self.depth -= 1;
        Ok(node)
    }

    /// `{ $operator: arguments }`, or an object of expressions.
    pub fn object(&mut self, document: &Document) -> CommandResult<Node> {
        if let Some((name, argument)) = document.iter().next().filter(|(name, _)| name.starts_with('$')) {
            if document.len() != 1 {
                return Err(CommandError::new(
                    15983,
                    format!(
                        "an object representing an expression must have exactly one field: {}",
                        Bson::Document(document.clone())
                    ),
                ));
            }
            return self.operator(name, argument);
        }
        let mut fields = Vec::with_capacity(document.len());
        for (name, value) in document {
            if name.contains('.') {
                return Err(CommandError::new(16412, "FieldPath field names may not contain '.'."));
            }
            if name.starts_with('$') {
                return Err(CommandError::new(16410, format!("FieldPath field names may not start with '$': {name}")));
            }
            fields.push((name.clone(), self.operand(value)?));
        }
        Ok(Node::Object(fields))
    }

    /// `$a.b`, `$$name`, `$$name.a.b`.
    fn path(&self, text: &str) -> CommandResult<Node> {
        let Some(variable) = text.strip_prefix("$$") else {
            let path = &text[1..];
            if path.is_empty() {
                return Err(CommandError::new(16872, "'$' by itself is not a valid FieldPath"));
            }
            return self.variable("CURRENT", split_path(path)?);
        };
        if variable.is_empty() {
            return Err(CommandError::failed_to_parse("empty variable names are not allowed"));
        }
        match variable.split_once('.') {
            Some((name, path)) => self.variable(name, split_path(path)?),
            None => self.variable(variable, Vec::new()),
        }
    }

    fn variable(&self, name: &str, path: Vec<String>) -> CommandResult<Node> {
        if let Some(slot) = self.bound.iter().rposition(|bound| bound == name) {
            return Ok(Node::Path { base: Base::Slot(slot), path });
        }
        let constant = |value: Bson| Node::Constant(path_in_value(&value, &path));
        Ok(match name {
            "CURRENT" => Node::Path { base: Base::Current, path },
            "ROOT" => Node::Path { base: Base::Root, path },
            "REMOVE" => Node::Constant(None),
            "NOW" => constant(Bson::DateTime(self.context.now)),
            "CLUSTER_TIME" => constant(Bson::Timestamp(self.context.cluster_time)),
            // There are no users, hence no roles.
            "USER_ROLES" => constant(Bson::Array(Vec::new())),
            _ => match self.context.variables.get(name) {
                Some(Bson::Undefined) => Node::Path { base: Base::Unknown, path },
                Some(value) => Node::Constant(path_in_value(value, &path)),
                None => {
                    check_variable_name(name)?;
                    return Err(CommandError::new(17276, format!("Use of undefined variable: {name}")));
                }
            },
        })
    }

    fn operator(&mut self, name: &str, argument: &Bson) -> CommandResult<Node> {
        match name {
            "$literal" | "$const" => return Ok(Node::Constant(Some(argument.clone()))),
            "$let" => return self.let_in(argument),
            "$map" => return self.map(argument),
            "$filter" => return self.filter(argument),
            "$reduce" => return self.reduce(argument),
            "$switch" => return self.switch(argument),
            "$zip" => return self.zip(argument),
            "$sortArray" => return self.sort_array(argument),
            "$regexFind" | "$regexFindAll" | "$regexMatch" => return self.regex(name, argument),
            "$function"
            | "$accumulator"
            | "$meta"
            | "$encStrContains"
            | "$encStrEndsWith"
            | "$encStrStartsWith"
            | "$encStrNormalizedEq"
            | "$score"
            | "$scoreFusion"
            | "$minMaxScaler" => {
                return Err(CommandError::not_supported(format!("The {name} expression")));
            }
            "$cond" if matches!(argument, Bson::Document(_)) => return self.cond(argument),
            "$getField" if !matches!(argument, Bson::Document(document) if is_get_field(document)) => {
                let field = self.operand(argument)?;
                let Some(operator) = operator::find(name) else { return Err(unrecognized(name)) };
                return self.get_field(operator, field, None);
            }
            _ => {}
        }
        let operator = operator::find(name).ok_or_else(|| unrecognized(name))?;
        match operator.arguments {
            Arguments::Count { least, most } => self.positional(operator, argument, least, most),
            Arguments::Named(names) => self.named(operator, argument, names),
            Arguments::DatePart => self.date_part(operator, argument),
        }
    }

    fn positional(
        &mut self,
        operator: &'static Operator,
        argument: &Bson,
        least: usize,
        most: usize,
    ) -> CommandResult<Node> {
        let arguments = match argument {
            Bson::Array(items) => items.iter().map(|item| self.operand(item)).collect::<CommandResult<Vec<_>>>()?,
            other => vec![self.operand(other)?],
        };
        let count = arguments.len();
        if count < least || count > most {
            let name = operator.name;
            return Err(if least == most {
                CommandError::new(
                    16020,
                    format!("Expression {name} takes exactly {least} arguments. {count} were passed in."),
                )
            } else if most == usize::MAX {
                CommandError::new(
                    28667,
                    format!("Expression {name} takes at least {least} arguments, but {count} were passed in."),
                )
            } else {
                CommandError::new(
                    28667,
                    format!(
                        "Expression {name} takes at least {least} arguments, and at most {most}, but {count} were passed in."
                    ),
                )
            });
        }
        Ok(Node::Call { operator, arguments })
    }

    fn named(
        &mut self,
        operator: &'static Operator,
        argument: &Bson,
        names: &[(&'static str, bool)],
    ) -> CommandResult<Node> {
        let name = operator.name;
        let document = object_argument(name, argument)?;
        let mut arguments = vec![Node::Absent; names.len()];
        for (field, value) in document {
            let Some(position) = names.iter().position(|(known, _)| known == field) else {
                return Err(unknown_argument(name, field));
            };
            arguments[position] = self.operand(value)?;
        }
        for ((field, required), argument) in names.iter().zip(&arguments) {
            if *required && matches!(argument, Node::Absent) {
                // MongoDB has a code of its own per operator here; all are internal numbers but this one.
                return Err(missing_argument(name, field));
            }
        }
        if name == "$getField" {
            let input = arguments.pop();
            let field = arguments.pop().unwrap_or(Node::Absent);
            return self.get_field(operator, field, input.filter(|node| !matches!(node, Node::Absent)));
        }
        if matches!(name, "$setField" | "$unsetField") {
            constant_field_name(name, &arguments[0])?;
        }
        super::date::check_arguments(name, &arguments)?;
        Ok(Node::Call { operator, arguments })
    }

    fn get_field(&self, operator: &'static Operator, field: Node, input: Option<Node>) -> CommandResult<Node> {
        constant_field_name("$getField", &field)?;
        let input = match input {
            Some(input) => input,
            None => self.variable("CURRENT", Vec::new())?,
        };
        Ok(Node::Call { operator, arguments: vec![field, input] })
    }

    fn date_part(&mut self, operator: &'static Operator, argument: &Bson) -> CommandResult<Node> {
        let name = operator.name;
        let (date, zone) = match argument {
            Bson::Array(items) => match items.as_slice() {
                [one] => (self.operand(one)?, Node::Absent),
                _ => {
                    return Err(CommandError::new(
                        40536,
                        format!("{name} accepts exactly one argument if given an array, but was given {}", items.len()),
                    ));
                }
            },
            Bson::Document(document) if document.keys().next().is_none_or(|first| !first.starts_with('$')) => {
                let mut date = None;
                let mut zone = Node::Absent;
                for (field, value) in document {
                    match field.as_str() {
                        "date" => date = Some(self.operand(value)?),
                        "timezone" => zone = self.operand(value)?,
                        _ => {
                            return Err(CommandError::new(
                                40535,
                                format!("unrecognized option to {name}: \"{field}\""),
                            ));
                        }
                    }
                }
                let Some(date) = date else {
                    return Err(CommandError::new(40539, format!("missing 'date' argument to {name}")));
                };
                (date, zone)
            }
            other => (self.operand(other)?, Node::Absent),
        };
        Ok(Node::Call { operator, arguments: vec![date, zone] })
    }

    fn let_in(&mut self, argument: &Bson) -> CommandResult<Node> {
        let document = object_argument("$let", argument)?;
        let (mut variables, mut body) = (None, None);
        for (field, value) in document {
            match field.as_str() {
                "vars" => variables = Some(value),
                "in" => body = Some(value),
                _ => return Err(unknown_argument("$let", field)),
            }
        }
        let variables = variables.ok_or_else(|| CommandError::new(16876, "Missing 'vars' parameter to $let"))?;
        let body = body.ok_or_else(|| CommandError::new(16877, "Missing 'in' parameter to $let"))?;
        let Bson::Document(variables) = variables else {
            return Err(CommandError::new(10065, "invalid parameter: expected an object (vars)"));
        };
        let mut values = Vec::with_capacity(variables.len());
        for (name, value) in variables {
            check_bindable_name(name)?;
            values.push((name.clone(), self.operand(value)?));
        }
        let outer = self.bound.len();
        let mut bindings = Vec::with_capacity(values.len());
        for (name, node) in values {
            bindings.push((self.bound.len(), node));
            self.bound.push(name);
        }
        let body = self.operand(body);
        self.bound.truncate(outer);
        Ok(Node::Let { bindings, body: Box::new(body?) })
    }

    /// Reads the body with one or two more variables bound.
    fn body(&mut self, names: &[&str], value: &Bson) -> CommandResult<(usize, Box<Node>)> {
        let outer = self.bound.len();
        self.bound.extend(names.iter().map(|name| (*name).to_owned()));
        let body = self.operand(value);
        self.bound.truncate(outer);
        Ok((outer, Box::new(body?)))
    }

    fn map(&mut self, argument: &Bson) -> CommandResult<Node> {
        let document = object_argument("$map", argument)?;
        let (mut input, mut name, mut body) = (None, "this".to_owned(), None);
        for (field, value) in document {
            match field.as_str() {
                "input" => input = Some(value),
                "as" => name = variable_name(value)?,
                "in" => body = Some(value),
                _ => return Err(unknown_argument("$map", field)),
            }
        }
        let input = input.ok_or_else(|| CommandError::new(16880, "Missing 'input' parameter to $map"))?;
        let body = body.ok_or_else(|| CommandError::new(16882, "Missing 'in' parameter to $map"))?;
        let input = Box::new(self.operand(input)?);
        let (slot, body) = self.body(&[&name], body)?;
        Ok(Node::Map { input, slot, body })
    }

    fn filter(&mut self, argument: &Bson) -> CommandResult<Node> {
        let document = object_argument("$filter", argument)?;
        let (mut input, mut name, mut condition, mut limit) = (None, "this".to_owned(), None, None);
        for (field, value) in document {
            match field.as_str() {
                "input" => input = Some(value),
                "as" => name = variable_name(value)?,
                "cond" => condition = Some(value),
                "limit" => limit = Some(value),
                _ => return Err(unknown_argument("$filter", field)),
            }
        }
        let input = input.ok_or_else(|| CommandError::new(28648, "Missing 'input' parameter to $filter"))?;
        let condition = condition.ok_or_else(|| CommandError::new(28650, "Missing 'cond' parameter to $filter"))?;
        let input = Box::new(self.operand(input)?);
        let limit = limit.map(|limit| self.operand(limit)).transpose()?.map(Box::new);
        let (slot, condition) = self.body(&[&name], condition)?;
        Ok(Node::Filter { input, slot, condition, limit })
    }

    fn reduce(&mut self, argument: &Bson) -> CommandResult<Node> {
        let document = object_argument("$reduce", argument)?;
        let (mut input, mut initial, mut body) = (None, None, None);
        for (field, value) in document {
            match field.as_str() {
                "input" => input = Some(value),
                "initialValue" => initial = Some(value),
                "in" => body = Some(value),
                _ => return Err(unknown_argument("$reduce", field)),
            }
        }
        let input = input.ok_or_else(|| CommandError::new(40077, "$reduce requires 'input' to be specified"))?;
        let initial =
            initial.ok_or_else(|| CommandError::new(40078, "$reduce requires 'initialValue' to be specified"))?;
        let body = body.ok_or_else(|| CommandError::new(40079, "$reduce requires 'in' to be specified"))?;
        let input = Box::new(self.operand(input)?);
        let initial = Box::new(self.operand(initial)?);
        let (slot, body) = self.body(&["value", "this"], body)?;
        Ok(Node::Reduce { input, initial, value_slot: slot, this_slot: slot + 1, body })
    }

    fn cond(&mut self, argument: &Bson) -> CommandResult<Node> {
        let document = object_argument("$cond", argument)?;
        let mut arguments = vec![Node::Absent; 3];
        if document.keys().next().is_some_and(|first| first.starts_with('$')) {
            return Err(CommandError::new(16020, "Expression $cond takes exactly 3 arguments. 1 were passed in."));
        }
        for (field, value) in document {
            let position = match field.as_str() {
                "if" => 0,
                "then" => 1,
                "else" => 2,
                _ => return Err(CommandError::new(17083, format!("Unrecognized parameter to $cond: {field}"))),
            };
            arguments[position] = self.operand(value)?;
        }
        for (argument, (number, field)) in arguments.iter().zip([(17080, "if"), (17081, "then"), (17082, "else")]) {
            if matches!(argument, Node::Absent) {
                return Err(CommandError::new(number, format!("Missing '{field}' parameter to $cond")));
            }
        }
        let operator = operator::find("$cond").ok_or_else(|| unrecognized("$cond"))?;
        Ok(Node::Call { operator, arguments })
    }

    fn switch(&mut self, argument: &Bson) -> CommandResult<Node> {
        let Bson::Document(document) = argument else {
            return Err(CommandError::new(
                40060,
                format!("$switch requires an object as an argument, found: {}", ValueRef::from(argument).type_name()),
            ));
        };
        let (mut branches, mut default) = (Vec::new(), None);
        for (field, value) in document {
            match field.as_str() {
                "branches" => {
                    let Bson::Array(items) = value else {
                        return Err(CommandError::new(
                            40061,
                            format!(
                                "$switch expected an array for 'branches', found: {}",
                                ValueRef::from(value).type_name()
                            ),
                        ));
                    };
                    for item in items {
                        branches.push(self.branch(item)?);
                    }
                }
                "default" => default = Some(Box::new(self.operand(value)?)),
                _ => return Err(CommandError::new(40067, format!("$switch found an unknown argument: {field}"))),
            }
        }
        if branches.is_empty() {
            return Err(CommandError::new(40068, "$switch requires at least one branch."));
        }
        Ok(Node::Switch { branches, default })
    }

    fn branch(&mut self, item: &Bson) -> CommandResult<(Node, Node)> {
        let Bson::Document(branch) = item else {
            return Err(CommandError::new(
                40062,
                format!("$switch expected each branch to be an object, found: {}", ValueRef::from(item).type_name()),
            ));
        };
        let (mut case, mut then) = (None, None);
        for (field, value) in branch {
            match field.as_str() {
                "case" => case = Some(self.operand(value)?),
                "then" => then = Some(self.operand(value)?),
                _ => {
                    return Err(CommandError::new(
                        40063,
                        format!("$switch found an unknown argument to a branch: {field}"),
                    ));
                }
            }
        }
        Ok((
            case.ok_or_else(|| CommandError::new(40064, "$switch requires each branch have a 'case' expression"))?,
            then.ok_or_else(|| CommandError::new(40065, "$switch requires each branch have a 'then' expression."))?,
        ))
    }

    fn zip(&mut self, argument: &Bson) -> CommandResult<Node> {
        let Bson::Document(document) = argument else {
            return Err(CommandError::new(34460, "$zip only supports an object as an argument"));
        };
        let (mut inputs, mut longest, mut defaults) = (Vec::new(), false, Vec::new());
        for (field, value) in document {
            match (field.as_str(), value) {
                ("inputs", Bson::Array(items)) => {
                    for item in items {
                        inputs.push(self.operand(item)?);
                    }
                }
                ("inputs", other) => {
                    return Err(CommandError::new(
                        34461,
                        format!("inputs must be an array of expressions, found {}", ValueRef::from(other).type_name()),
                    ));
                }
                ("defaults", Bson::Array(items)) => {
                    for item in items {
                        defaults.push(self.operand(item)?);
                    }
                }
                ("defaults", other) => {
                    return Err(CommandError::new(
                        34462,
                        format!(
                            "defaults must be an array of expressions, found {}",
                            ValueRef::from(other).type_name()
                        ),
                    ));
                }
                ("useLongestLength", Bson::Boolean(flag)) => longest = *flag,
                ("useLongestLength", other) => {
                    return Err(CommandError::new(
                        34463,
                        format!("useLongestLength must be a bool, found {}", ValueRef::from(other).type_name()),
                    ));
                }
                _ => return Err(CommandError::new(34464, format!("$zip found an unknown argument: {field}"))),
            }
        }
        if inputs.is_empty() {
            return Err(CommandError::new(34465, "$zip requires at least one input array"));
        }
        if !defaults.is_empty() && !longest {
            return Err(CommandError::new(34466, "cannot specify defaults unless useLongestLength is true"));
        }
        if !defaults.is_empty() && defaults.len() != inputs.len() {
            return Err(CommandError::new(34467, "defaults and inputs must have the same length"));
        }
        Ok(Node::Zip { inputs, longest, defaults })
    }

    fn sort_array(&mut self, argument: &Bson) -> CommandResult<Node> {
        let document = object_argument("$sortArray", argument)?;
        let (mut input, mut order) = (None, None);
        for (field, value) in document {
            match field.as_str() {
                "input" => input = Some(Box::new(self.operand(value)?)),
                "sortBy" => order = Some(array::ArrayOrder::parse(value, self.context)?),
                _ => return Err(unknown_argument("$sortArray", field)),
            }
        }
        match (input, order) {
            (Some(input), Some(order)) => Ok(Node::SortArray { input, order }),
            (None, _) => Err(CommandError::new(2_942_502, "$sortArray requires 'input' to be specified")),
            (_, None) => Err(CommandError::new(2_942_503, "$sortArray requires 'sortBy' to be specified")),
        }
    }

    fn regex(&mut self, name: &str, argument: &Bson) -> CommandResult<Node> {
        let Bson::Document(document) = argument else {
            return Err(CommandError::new(
                51103,
                format!(
                    "{name} expects an object of named arguments but found: {}",
                    ValueRef::from(argument).type_name()
                ),
            ));
        };
        let (mut input, mut pattern, mut options) = (None, None, None);
        for (field, value) in document {
            match field.as_str() {
                "input" => input = Some(self.operand(value)?),
                "regex" => pattern = Some(self.operand(value)?),
                "options" => options = Some(self.operand(value)?),
                _ => return Err(CommandError::new(31024, format!("{name} found an unknown argument: {field}"))),
            }
        }
        let input = input.ok_or_else(|| CommandError::new(31022, format!("{name} requires 'input' parameter")))?;
        let pattern = pattern.ok_or_else(|| CommandError::new(31023, format!("{name} requires 'regex' parameter")))?;
        Ok(Node::Regex(Box::new(regex::RegexNode::new(name, input, pattern, options.unwrap_or(Node::Absent)))))
    }
}

fn is_get_field(document: &Document) -> bool {
    document.keys().next().is_none_or(|first| !first.starts_with('$'))
}

fn constant_field_name(name: &str, field: &Node) -> CommandResult<()> {
    // $getField takes computed names since MongoDB 7.2, the others only constant ones.
    match field {
        Node::Constant(Some(Bson::String(_))) => Ok(()),
        Node::Constant(other) => Err(CommandError::new(
            5_654_602,
            format!("{name} requires 'field' to evaluate to type String, but got {}", super::type_name(other)),
        )),
        Node::Path { .. } | Node::Call { .. } if name == "$getField" => Ok(()),
        Node::Path { .. } if name != "$getField" => Err(CommandError::new(
            4_161_108,
            format!(
                "'{name}' field path reference is not supported; write a name that starts with '$' inside $literal"
            ),
        )),
        Node::Call { .. } => Ok(()),
        _ => Err(CommandError::new(4_161_106, format!("{name} requires 'field' to evaluate to a constant"))),
    }
}

fn unrecognized(name: &str) -> CommandError {
    CommandError::new(code::INVALID_PIPELINE_OPERATOR, format!("Unrecognized expression '{name}'"))
}

fn object_argument<'a>(name: &str, argument: &'a Bson) -> CommandResult<&'a Document> {
    match argument {
        Bson::Document(document) => Ok(document),
        other => Err(CommandError::new(
            match name {
                "$let" => 16874,
                "$map" => 16878,
                "$filter" => 28646,
                "$reduce" => 40075,
                "$trim" | "$ltrim" | "$rtrim" => 50696,
                "$replaceOne" | "$replaceAll" => 51751,
                "$dateToString" => 18629,
                "$dateFromString" => 40540,
                "$dateFromParts" => 40519,
                "$dateToParts" => 40524,
                "$dateDiff" => 5_166_301,
                "$dateTrunc" => 5_439_007,
                "$dateAdd" | "$dateSubtract" => 5_166_400,
                "$convert" => return Err(CommandError::failed_to_parse(convert_needs_object(other))),
                "$rand" => 3_040_501,
                _ => 2_942_500,
            },
            format!("{name} only supports an object as its argument, found {}", ValueRef::from(other).type_name()),
        )),
    }
}

fn convert_needs_object(found: &Bson) -> String {
    format!("$convert expects an object of named arguments but found: {}", ValueRef::from(found).type_name())
}

fn unknown_argument(name: &str, field: &str) -> CommandError {
    let message = format!("{name} found an unknown argument: {field}");
    match name {
        "$convert" => CommandError::failed_to_parse(message),
        _ => CommandError::new(40541, message),
    }
}

fn missing_argument(name: &str, field: &str) -> CommandError {
    let message = format!("Missing '{field}' parameter to {name}");
    match name {
        "$convert" => CommandError::failed_to_parse(message),
        _ => CommandError::new(40542, message),
    }
}

fn variable_name(value: &Bson) -> CommandResult<String> {
    let name = match value {
        Bson::String(name) => name.clone(),
        other => {
            return Err(CommandError::new(
                10065,
                format!("invalid parameter: expected a string (as), found {}", ValueRef::from(other).type_name()),
            ));
        }
    };
    check_bindable_name(&name)?;
    Ok(name)
}

/// Names a user may give: a lower-case letter or a character beyond ASCII first; `CURRENT` may be bound anew.
pub(in crate::aggregate) fn check_bindable_name(name: &str) -> CommandResult<()> {
    if name == "CURRENT" {
        return Ok(());
    }
    let Some(first) = name.chars().next() else {
        return Err(CommandError::failed_to_parse("empty variable names are not allowed"));
    };
    if first.is_ascii() && !first.is_ascii_lowercase() {
        return Err(CommandError::failed_to_parse(format!(
            "'{name}' starts with an invalid character for a user variable name"
        )));
    }
    check_variable_characters(name)
}

fn check_variable_name(name: &str) -> CommandResult<()> {
    let first = name.chars().next().unwrap_or('\0');
    if first.is_ascii() && !first.is_ascii_alphabetic() {
        return Err(CommandError::failed_to_parse(format!(
            "'{name}' starts with an invalid character for a variable name"
        )));
    }
    check_variable_characters(name)
}

fn check_variable_characters(name: &str) -> CommandResult<()> {
    match name.chars().find(|char| !(char.is_ascii_alphanumeric() || *char == '_' || !char.is_ascii())) {
        Some(wrong) => Err(CommandError::failed_to_parse(format!(
            "'{name}' contains an invalid character for a variable name: '{wrong}'"
        ))),
        None => Ok(()),
    }
}

/// The components of a path, each of them valid.
pub(in crate::aggregate) fn split_path(path: &str) -> CommandResult<Vec<String>> {
    if path.is_empty() {
        return Err(CommandError::new(40352, "FieldPath cannot be constructed with empty string"));
    }
    if path.ends_with('.') {
        return Err(CommandError::new(40353, "FieldPath must not end with a '.'."));
    }
    let components: Vec<String> = path.split('.').map(str::to_owned).collect();
    if components.len() > DEPTH_MAX {
        return Err(CommandError::new(code::OVERFLOW, format!("FieldPath is more than {DEPTH_MAX} components long")));
    }
    for component in &components {
        if component.is_empty() {
            return Err(CommandError::new(15998, "FieldPath field names may not be empty strings."));
        }
        if component.starts_with('$') && !matches!(component.as_str(), "$id" | "$ref" | "$db") {
            return Err(CommandError::new(
                16410,
                format!(
                    "FieldPath field names may not start with '$'. Consider using $getField or $setField: {component}"
                ),
            ));
        }
        if component.contains('\0') {
            return Err(CommandError::new(16411, "FieldPath field names may not contain '\\0'."));
        }
    }
    Ok(components)
}
