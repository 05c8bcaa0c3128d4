//! From source text to a function of the run's realm (function-environment 1.1, 1.2).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use deno_core::v8;
use parking_lot::Mutex;

use crate::{AppCode, FunctionSource, SourceError};

/// Stands before the source on its first line. The script's column offset is the negative of its length, so lines
/// and columns are the file's own. `exports` is a parameter of the inner function, so that `const exports` is an error
/// while `const context` or `let require` are not.
const PREFIX: &str = "(function (require, context) { return (function (exports) {";
/// The line break ends a trailing line comment.
const SUFFIX: &str = "\n; return exports; }); })";

/// Why a source does not compile.
#[derive(Debug, Clone)]
pub(crate) struct SyntaxProblem {
    pub(crate) message: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Compiled sources of one isolate.
pub(crate) struct Scripts {
    code: Arc<AppCode>,
    by_name: HashMap<String, usize>,
    compiled: RefCell<HashMap<ScriptKey, Compiled>>,
    cache: Arc<CodeCache>,
}

/// Identifies a source within one isolate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ScriptKey {
    /// An app function, by index.
    Function(usize),
    /// A source of its own, by file and text.
    Source(String, String),
}

struct Compiled {
    script: Result<v8::Global<v8::UnboundScript>, SyntaxProblem>,
    /// Whether the pool's code cache already holds it, or must not.
    cached: bool,
}

/// Code caches of one deployment, shared by its isolates.
#[derive(Default)]
pub(crate) struct CodeCache {
    scripts: Mutex<HashMap<ScriptKey, Arc<[u8]>>>,
}

impl Scripts {
    pub(crate) fn new(code: Arc<AppCode>, cache: Arc<CodeCache>) -> Self {
        // The first of two functions of one name wins, as in the order of the app's files.
        let mut by_name = HashMap::new();
        for (index, function) in code.functions.iter().enumerate() {
            by_name.entry(function.name.clone()).or_insert(index);
        }
        Self { code, by_name, compiled: RefCell::new(HashMap::new()), cache }
    }

    /// An app function that has a source.
    pub(crate) fn function(&self, name: &str) -> Option<(ScriptKey, &FunctionSource)> {
        let index = *self.by_name.get(name)?;
        let function = self.code.functions.get(index)?;
        function.source.as_ref()?;
        Some((ScriptKey::Function(index), function))
    }

    /// The wrapper `function (require, context)` of a source, in the current realm. `None` with a pending exception
    /// when V8 gave up (termination, out of stack).
    pub(crate) fn wrapper<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        key: &ScriptKey,
        file: &str,
        text: &str,
    ) -> Option<Result<v8::Local<'s, v8::Function>, SyntaxProblem>> {
        let known = self.compiled.borrow().get(key).map(|compiled| compiled.script.clone());
        let script = match known {
            Some(script) => script,
            None => {
                let cache = self.cache.scripts.lock().get(key).cloned();
                let (script, cached) = match compile(scope, file, text, cache.as_deref())? {
                    Ok((script, from_cache)) => (Ok(v8::Global::new(scope, script)), from_cache),
                    Err(problem) => (Err(problem), true),
                };
                self.compiled.borrow_mut().insert(key.clone(), Compiled { script: script.clone(), cached });
                script
            }
        };
        let script = match script {
            Ok(script) => v8::Local::new(scope, script),
            Err(problem) => return Some(Err(problem)),
        };
        let value = script.bind_to_current_context(scope).run(scope)?;
        Some(Ok(v8::Local::<v8::Function>::try_from(value).ok()?))
    }

    /// After a run: offers the code of scripts that have run to the other isolates of the deployment.
    pub(crate) fn publish_code(&self, scope: &mut v8::PinScope<'_, '_>) {
        for (key, compiled) in self.compiled.borrow_mut().iter_mut().filter(|(_, compiled)| !compiled.cached) {
            compiled.cached = true;
            let Ok(script) = &compiled.script else { continue };
            let script = v8::Local::new(scope, script);
            if let Some(data) = script.create_code_cache() {
                self.cache.scripts.lock().insert(key.clone(), Arc::from(&data[..]));
            }
        }
    }
}

/// The text V8 sees: without byte order mark, with `#!` as a comment so that positions stay.
fn clean(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.strip_prefix("#!") {
        Some(rest) => Cow::Owned(format!("//{rest}")),
        None => Cow::Borrowed(text),
    }
}

fn origin<'s>(scope: &mut v8::PinScope<'s, '_>, file: &str, column: i32) -> Option<v8::ScriptOrigin<'s>> {
    let name = v8::String::new(scope, file)?;
    Some(v8::ScriptOrigin::new(scope, name.into(), 0, column, false, -1, None, false, false, false, None))
}

/// Compiles one source; the flag says whether the code cache was used. `None` with a pending exception when V8 gave up.
fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    file: &str,
    text: &str,
    cache: Option<&[u8]>,
) -> Option<Result<(v8::Local<'s, v8::UnboundScript>, bool), SyntaxProblem>> {
    let mut text = clean(text);
    if cache.is_none() {
        // The wrapper is text around text, so a source such as `} {` would fit into it. V8's own function compiler
        // decides what is a source; nothing in the code cache gets around it.
        if let Err(problem) = check(scope, file, &text)? {
            let Some(rewritten) = rewrite_imports(&text) else { return Some(Err(problem)) };
            if check(scope, file, &rewritten)?.is_err() {
                return Some(Err(problem));
            }
            text = Cow::Owned(rewritten);
        }
    } else if let Some(rewritten) = rewrite_imports(&text) {
        text = Cow::Owned(rewritten);
    }
    let Some(source) = v8::String::new(scope, &format!("{PREFIX}{text}{SUFFIX}")) else {
        return Some(Err(SyntaxProblem { message: "SyntaxError: source too long".to_owned(), line: 1, column: 1 }));
    };
    let offset = -i32::try_from(PREFIX.len()).expect("a short constant");
    let origin = origin(scope, file, offset)?;
    let (mut source, options) = match cache {
        Some(data) => (
            v8::script_compiler::Source::new_with_cached_data(
                source,
                Some(&origin),
                v8::script_compiler::CachedData::new(data),
            ),
            v8::script_compiler::CompileOptions::ConsumeCodeCache,
        ),
        None => (
            v8::script_compiler::Source::new(source, Some(&origin)),
            v8::script_compiler::CompileOptions::NoCompileOptions,
        ),
    };
    let reason = v8::script_compiler::NoCacheReason::NoReason;
    let script = v8::script_compiler::compile_unbound_script(scope, &mut source, options, reason)?;
    let from_cache = cache.is_some() && source.get_cached_data().is_some_and(|data| !data.rejected());
    Some(Ok((script, from_cache)))
}

/// Whether V8 accepts the text as the body of `function (exports)`. `None` with a pending exception when it gave up.
fn check(scope: &mut v8::PinScope<'_, '_>, file: &str, text: &str) -> Option<Result<(), SyntaxProblem>> {
    v8::tc_scope!(let scope, scope);
    let exports = v8::String::new(scope, "exports")?;
    let origin = origin(scope, file, 0)?;
    let Some(source) = v8::String::new(scope, text) else {
        return Some(Err(SyntaxProblem { message: "SyntaxError: source too long".to_owned(), line: 1, column: 1 }));
    };
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    let function = v8::script_compiler::compile_function(
        scope,
        &mut source,
        &[exports],
        &[],
        v8::script_compiler::CompileOptions::NoCompileOptions,
        v8::script_compiler::NoCacheReason::NoReason,
    );
    if function.is_some() {
        return Some(Ok(()));
    }
    if scope.has_terminated() {
        scope.terminate_execution();
        return None;
    }
    let (mut message, mut line, mut column) = ("SyntaxError".to_owned(), 1, 1);
    if let Some(found) = scope.message() {
        let whole = found.get(scope).to_rust_string_lossy(scope);
        message = whole.strip_prefix("Uncaught ").unwrap_or(&whole).to_owned();
        line = found.get_line_number(scope).and_then(|line| u32::try_from(line).ok()).unwrap_or(1);
        column = u32::try_from(found.get_start_column()).unwrap_or(0) + 1;
    }
    Some(Err(SyntaxProblem { message, line, column }))
}

/// Compiles a source without running it, in any context. Used by `check_source`.
pub(crate) fn check_only(scope: &mut v8::PinScope<'_, '_>, file: &str, text: &str) -> Result<(), SourceError> {
    match compile(scope, file, text, None) {
        Some(Ok(_)) => Ok(()),
        Some(Err(SyntaxProblem { message, line, column })) => {
            Err(SourceError { file: file.to_owned(), line, column, message })
        }
        None => Err(SourceError {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message: "RangeError: too deeply nested to compile".to_owned(),
        }),
    }
}

/// Rewrites the import declarations a source begins with to `require` calls on the same lines. `None` when it begins
/// with none.
fn rewrite_imports(text: &str) -> Option<String> {
    let mut output = String::with_capacity(text.len() + 64);
    let mut rest = text;
    let mut found = false;
    loop {
        let blank = rest.len() - skip_blank(rest).len();
        output.push_str(&rest[..blank]);
        rest = &rest[blank..];
        let Some((declaration, replacement)) = import_declaration(rest) else { break };
        output.push_str(&replacement);
        // Later lines keep their numbers.
        output.extend(rest[..declaration].chars().filter(|character| *character == '\n'));
        rest = &rest[declaration..];
        found = true;
    }
    output.push_str(rest);
    found.then_some(output)
}

/// The text after leading blanks, comments, semicolons and a directive prologue of `"use strict"`.
fn skip_blank(text: &str) -> &str {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(|character: char| character.is_whitespace() || character == ';');
        let next = if let Some(comment) = trimmed.strip_prefix("//") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if let Some(comment) = trimmed.strip_prefix("/*") {
            comment.find("*/").map_or("", |end| &comment[end + 2..])
        } else if let Some(after) =
            trimmed.strip_prefix("\"use strict\"").or_else(|| trimmed.strip_prefix("'use strict'"))
        {
            after
        } else {
            return trimmed;
        };
        rest = next;
    }
}

/// One import declaration at the start of the text: its length and the statement that replaces it.
fn import_declaration(text: &str) -> Option<(usize, String)> {
    let mut parser = ImportParser { text, position: 0 };
    parser.word("import")?;
    let mut statements = String::new();
    if let Some(module) = parser.string() {
        statements.push_str(&format!("require({module});"));
    } else {
        let mut default = None;
        let mut namespace = None;
        let mut named = None;
        if let Some(name) = parser.identifier() {
            default = Some(name);
            parser.symbol(',');
        }
        if parser.symbol('*').is_some() {
            parser.word("as")?;
            namespace = Some(parser.identifier()?);
        } else if parser.symbol('{').is_some() {
            named = Some(parser.names()?);
        }
        if default.is_none() && namespace.is_none() && named.is_none() {
            return None;
        }
        parser.word("from")?;
        let module = parser.string()?;
        if let Some(name) = default {
            statements
                .push_str(&format!("const {name} = (m => m && m.__esModule ? m.default : m)(require({module}));"));
        }
        if let Some(name) = namespace {
            statements.push_str(&format!("const {name} = require({module});"));
        }
        if let Some(names) = named {
            statements.push_str(&format!("const {{{names}}} = require({module});"));
        }
    }
    parser.symbol(';');
    Some((parser.position, statements))
}

struct ImportParser<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> ImportParser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.position..]
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    fn symbol(&mut self, symbol: char) -> Option<()> {
        let before = self.position;
        self.blank();
        if self.rest().starts_with(symbol) {
            self.position += symbol.len_utf8();
            return Some(());
        }
        self.position = before;
        None
    }

    fn identifier(&mut self) -> Option<&'t str> {
        let before = self.position;
        self.blank();
        let rest = self.rest();
        let end = rest
            .find(|character: char| !character.is_alphanumeric() && character != '_' && character != '$')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || name.starts_with(|character: char| character.is_ascii_digit()) {
            self.position = before;
            return None;
        }
        self.position += end;
        Some(name)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let before = self.position;
        if self.identifier() == Some(word) {
            return Some(());
        }
        self.position = before;
        None
    }

    /// A string literal without escapes, quotes included.
    fn string(&mut self) -> Option<&'t str> {
        let before = self.position;
        self.blank();
        let rest = self.rest();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let Some(end) = rest[1..].find([quote, '\\', '\n']).filter(|end| rest[1 + end..].starts_with(quote)) else {
            self.position = before;
            return None;
        };
        self.position += end + 2;
        Some(&rest[..end + 2])
    }

    /// `a, b as c, default as d }` as the inside of an object pattern.
    fn names(&mut self) -> Option<String> {
        let mut names = Vec::new();
        while self.symbol('}').is_none() {
            let name = self.identifier()?;
            let alias = if self.word("as").is_some() { Some(self.identifier()?) } else { None };
            names.push(alias.map_or_else(|| name.to_owned(), |alias| format!("{name}: {alias}")));
            if self.symbol(',').is_none() {
                self.symbol('}')?;
                break;
            }
        }
        Some(names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::rewrite_imports;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(rewrite_imports(source).as_deref(), Some(expected));
    }

    #[test]
    fn import_declarations_become_require_calls_on_the_same_lines() {
        check("import * as n from 'p'\nx", "const n = require('p');\nx");
        check("// c\nimport {\n a,\n b as c,\n} from \"p\";\nx", "// c\nconst {a, b: c} = require(\"p\");\n\n\n\nx");
        check("import 'p';", "require('p');");
        check(
            "import d, {a} from 'p'; import 'q'",
            "const d = (m => m && m.__esModule ? m.default : m)(require('p'));const {a} = require('p'); require('q');",
        );
    }

    #[test]
    fn other_sources_are_left_alone() {
        assert_eq!(rewrite_imports("exports = 1"), None);
        assert_eq!(rewrite_imports("importance = 1"), None);
        assert_eq!(rewrite_imports("import('x')"), None);
        assert_eq!(rewrite_imports(""), None);
    }
}
