//! Erlang's terms, as far as a file of rules has them.

/// A term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Atom(String),
    /// A string or a binary.
    Text(String),
    Number(String),
    List(Vec<Self>),
    Tuple(Vec<Self>),
}

/// Why a text is not a list of terms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub(super) struct TermError {
    line: usize,
    column: usize,
    what: &'static str,
}

/// How deep terms may be in each other.
const MAX_DEPTH: usize = 32;

/// The terms of a file, each with its line. A term ends with a full stop.
pub(super) fn terms(text: &str) -> Result<Vec<(usize, Term)>, TermError> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0, line: 1, column: 1 };
    let mut terms = Vec::new();
    loop {
        reader.blanks();
        if reader.peek().is_none() {
            return Ok(terms);
        }
        let line = reader.line;
        let term = reader.term(0)?;
        reader.expect('.', "a full stop is missing after the rule")?;
        terms.push((line, term));
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
    column: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at = self.at.saturating_add(1);
        if char == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(char)
    }

    fn blanks(&mut self) {
        while let Some(char) = self.peek() {
            if char == '%' {
                while self.peek().is_some_and(|char| char != '\n') {
                    self.next();
                }
            } else if !char.is_whitespace() {
                return;
            }
            self.next();
        }
    }

    fn error(&self, what: &'static str) -> TermError {
        TermError { line: self.line, column: self.column, what }
    }

    fn expect(&mut self, wanted: char, what: &'static str) -> Result<(), TermError> {
        self.blanks();
        if self.peek() != Some(wanted) {
            return Err(self.error(what));
        }
        self.next();
        Ok(())
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        if depth > MAX_DEPTH {
            return Err(self.error("too many brackets in each other"));
        }
        self.blanks();
        match self.peek() {
            Some('{') => Ok(Term::Tuple(self.items('}', depth)?)),
            Some('[') => Ok(Term::List(self.items(']', depth)?)),
            Some('"') => Ok(Term::Text(self.quoted('"')?)),
            Some('\'') => Ok(Term::Atom(self.quoted('\'')?)),
            Some('<') => {
                for _ in 0..2 {
                    self.expect('<', "a binary is `<<\"text\">>`")?;
                }
                self.blanks();
                let text = self.quoted('"')?;
                for _ in 0..2 {
                    self.expect('>', "a binary is `<<\"text\">>`")?;
                }
                Ok(Term::Text(text))
            }
            Some(char) if char.is_ascii_digit() => Ok(Term::Number(self.word())),
            Some(char) if char.is_ascii_lowercase() => Ok(Term::Atom(self.word())),
            _ => Err(self.error("a rule, a string or an atom should be here")),
        }
    }

    fn items(&mut self, close: char, depth: usize) -> Result<Vec<Term>, TermError> {
        self.next();
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(close) {
            self.next();
            return Ok(items);
        }
        loop {
            items.push(self.term(depth.saturating_add(1))?);
            self.blanks();
            match self.next() {
                Some(',') => {}
                Some(char) if char == close => return Ok(items),
                _ => return Err(self.error("a comma or a closing bracket is missing")),
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, TermError> {
        if self.peek() != Some(quote) {
            return Err(self.error("a string should be here"));
        }
        let start = self.error("this quote is not closed");
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(start),
                Some('\\') => text.extend(self.next()),
                Some(char) if char == quote => return Ok(text),
                Some(char) => text.push(char),
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(char) = self.peek().filter(|char| char.is_ascii_alphanumeric() || "_@".contains(*char))
        {
            word.push(char);
            self.next();
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_and_errors_have_their_places() {
        let text =
            "%% a comment\n{allow, {user, \"a\\\"b\"},\n 'all', [<<\"t/#\">>, {eq, \"#\"}]}.\n\n{deny, all}.";
        let (atom, string) =
            (|text: &str| Term::Atom(text.to_owned()), |text: &str| Term::Text(text.to_owned()));
        let user = Term::Tuple(vec![atom("user"), string("a\"b")]);
        let topics = Term::List(vec![string("t/#"), Term::Tuple(vec![atom("eq"), string("#")])]);
        let rule = Term::Tuple(vec![atom("allow"), user, atom("all"), topics]);
        assert_eq!(terms(text).unwrap(), [(2, rule), (5, Term::Tuple(vec![atom("deny"), atom("all")]))]);
        for (text, message) in [
            ("{allow, all}", "line 1, column 13: a full stop is missing after the rule"),
            ("\n{allow all}.", "line 2, column 9: a comma or a closing bracket is missing"),
            ("{allow, \"a}.", "line 1, column 9: this quote is not closed"),
            ("{allow, All}.", "line 1, column 9: a rule, a string or an atom should be here"),
            ("<<a>>.", "line 1, column 3: a string should be here"),
        ] {
            assert_eq!(terms(text).unwrap_err().to_string(), message, "{text}");
        }
        assert!(terms(&"[".repeat(100_000)).is_err());
    }
}
