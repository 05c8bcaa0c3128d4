//! Finds `require(…)` calls in a source without running or parsing it.

/// Every call of `require` in a source: line and column of the word, both from 1 (the column in UTF-16 units, as V8
/// counts), and the module's name, empty when it is computed.
///
/// Knows comments, strings, template literals and regular expressions, so that the word inside of them does not count.
pub fn require_calls(source: &str) -> Vec<(usize, usize, String)> {
    let mut scanner = Scanner { rest: source, line: 1, column: 1, calls: Vec::new(), last: Last::Operator };
    scanner.run();
    scanner.calls
}

/// The token before, as far as it decides whether `/` divides and whether a word is a property.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// After it an expression begins, so `/` begins a regular expression.
    Operator,
    /// A value ends with it, so `/` divides.
    Value,
    Dot,
    /// `function`: the word after it is being declared.
    Function,
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
    calls: Vec<(usize, usize, String)>,
    last: Last,
}

impl Scanner<'_> {
    fn run(&mut self) {
        // Braces inside of `${…}` of the template literals around us; the innermost is last.
        let mut templates: Vec<usize> = Vec::new();
        while let Some(next) = self.peek() {
            match next {
                '/' if self.rest.starts_with("//") => self.skip_while(|character| !is_line_end(character)),
                '/' if self.rest.starts_with("/*") => self.skip_block_comment(),
                '/' if self.last != Last::Value => self.skip_regular_expression(),
                '"' | '\'' => {
                    self.read_string(next);
                    self.last = Last::Value;
                }
                '`' => {
                    self.bump();
                    self.template_text(&mut templates);
                }
                '{' => {
                    if let Some(depth) = templates.last_mut() {
                        *depth += 1;
                    }
                    self.operator();
                }
                '}' => match templates.last_mut() {
                    Some(0) => {
                        templates.pop();
                        self.bump();
                        self.template_text(&mut templates);
                    }
                    Some(depth) => {
                        *depth -= 1;
                        self.operator();
                    }
                    // A block may end here or an object; after a block `/` is rare, after an object it divides.
                    None => self.operator(),
                },
                ')' | ']' => {
                    self.bump();
                    self.last = Last::Value;
                }
                '.' => {
                    self.bump();
                    // `...require("x")` spreads the result of a call.
                    self.last = if self.rest.starts_with("..") { Last::Operator } else { Last::Dot };
                    if self.last == Last::Operator {
                        self.bump();
                        self.bump();
                    }
                }
                character if is_word(character) => self.word(),
                character if character.is_whitespace() => {
                    self.bump();
                }
                _ => self.operator(),
            }
        }
    }

    fn word(&mut self) {
        let (line, column) = (self.line, self.column);
        let start = self.rest;
        self.skip_while(is_word);
        let word = &start[..start.len() - self.rest.len()];
        let before = self.last;
        self.last = match word {
            "function" if before != Last::Dot => Last::Function,
            "return" | "typeof" | "case" | "in" | "of" | "delete" | "void" | "throw" | "new" | "else" | "do"
            | "instanceof" | "await" | "yield"
                if before != Last::Dot =>
            {
                Last::Operator
            }
            _ => Last::Value,
        };
        if word != "require" || matches!(before, Last::Dot | Last::Function) {
            return;
        }
        self.skip_blank();
        if self.peek() != Some('(') {
            return;
        }
        self.operator();
        self.skip_blank();
        let mut module = String::new();
        if let Some(quote @ ('"' | '\'' | '`')) = self.peek() {
            // A look ahead: what follows is scanned again if the argument is more than one string.
            let (rest, line, column) = (self.rest, self.line, self.column);
            let text = self.read_string(quote);
            self.skip_blank();
            if self.peek() == Some(')') && !(quote == '`' && text.contains("${")) {
                module = text;
                self.last = Last::Value;
            } else {
                (self.rest, self.line, self.column) = (rest, line, column);
            }
        }
        self.calls.push((line, column, module));
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next()?;
        let is_pair = character == '\r' && characters.as_str().starts_with('\n');
        self.rest = characters.as_str();
        if is_line_end(character) && !is_pair {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += character.len_utf16();
        }
        Some(character)
    }

    fn operator(&mut self) {
        self.bump();
        self.last = Last::Operator;
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn skip_blank(&mut self) {
        loop {
            if self.rest.starts_with("//") {
                self.skip_while(|character| !is_line_end(character));
            } else if self.rest.starts_with("/*") {
                self.skip_block_comment();
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            } else {
                return;
            }
        }
    }

    fn skip_block_comment(&mut self) {
        self.bump();
        self.bump();
        while !self.rest.starts_with("*/") {
            if self.bump().is_none() {
                return;
            }
        }
        self.bump();
        self.bump();
    }

    /// Text between the quotes, with simple escapes undone.
    fn read_string(&mut self, quote: char) -> String {
        let mut text = String::new();
        self.bump();
        while let Some(character) = self.peek() {
            if quote != '`' && is_line_end(character) && !matches!(character, '\u{2028}' | '\u{2029}') {
                return text;
            }
            self.bump();
            match character {
                '\\' => text.extend(self.bump()),
                character if character == quote => return text,
                character => text.push(character),
            }
        }
        text
    }

    /// The text of a template literal, up to its end or to the next `${`.
    fn template_text(&mut self, templates: &mut Vec<usize>) {
        while let Some(character) = self.bump() {
            match character {
                '\\' => {
                    self.bump();
                }
                '`' => {
                    self.last = Last::Value;
                    return;
                }
                '$' if self.peek() == Some('{') => {
                    self.operator();
                    templates.push(0);
                    return;
                }
                _ => {}
            }
        }
    }

    fn skip_regular_expression(&mut self) {
        self.bump();
        let mut in_class = false;
        while let Some(character) = self.peek() {
            if is_line_end(character) {
                break;
            }
            self.bump();
            match character {
                '\\' => {
                    self.bump();
                }
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => break,
                _ => {}
            }
        }
        self.last = Last::Value;
    }
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

#[cfg(test)]
mod tests {
    use super::require_calls;

    fn check(source: &str, expected: &[(usize, usize, &str)]) {
        let found = require_calls(source);
        let found: Vec<(usize, usize, &str)> =
            found.iter().map(|(line, column, module)| (*line, *column, module.as_str())).collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn finds_calls() {
        check("const a = require('axios');\nlet b = require( \"fs\" )", &[(1, 11, "axios"), (2, 9, "fs")]);
        check("require(`path`)(1)", &[(1, 1, "path")]);
        check("require(`./${name}`); require(name); require('a' + b)", &[(1, 1, ""), (1, 23, ""), (1, 38, "")]);
        check("require /* x */ ( // y\n 'a')", &[(1, 1, "a")]);
        check("f(...require('a'))", &[(1, 6, "a")]);
        check("\"😀\"; require('a')", &[(1, 7, "a")]);
        check("a\r\nb\rrequire('x')", &[(3, 1, "x")]);
        check(
            "`${ require('in') } ${ `${ {a: require('deep')}.a }` }` + require('after')",
            &[(1, 5, "in"), (1, 32, "deep"), (1, 59, "after")],
        );
        check("const x = a / require('b') / c", &[(1, 15, "b")]);
        check("return /require('no')/.test(require('yes'))", &[(1, 29, "yes")]);
        check("require(require('inner'))", &[(1, 1, ""), (1, 9, "inner")]);
    }

    #[test]
    fn passes_over_what_is_no_call() {
        for source in [
            "// require('a')",
            "/* require('a')\nrequire('b') */",
            "\"require('a')\" + 'require(\\'b\\')'",
            "`require('a')`",
            "x.require('a'); x?.require('b')",
            "function require(a) {}",
            "myrequire('a'); require2('b'); $require('c')",
            "typeof require",
            "/[/]require('a')/",
            "",
            "'unterminated require(",
            "`${",
            "/*",
            "require",
            "require(",
        ] {
            let expected: &[(usize, usize, &str)] = if source == "require(" { &[(1, 1, "")] } else { &[] };
            check(source, expected);
        }
    }
}
