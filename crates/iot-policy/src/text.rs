//! The text that a pattern is matched with.

/// The rest of a text to match, in two pieces that are not joined: a resource's ARN up to its name, then the name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    head: &'a str,
    tail: &'a str,
}

impl<'a> Text<'a> {
    pub(crate) fn joined(head: &'a str, tail: &'a str) -> Self {
        Self { head, tail }
    }

    pub(crate) fn whole(text: &'a str) -> Self {
        Self { head: text, tail: "" }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.head.is_empty() && self.tail.is_empty()
    }

    /// What follows if the text begins with `literal`.
    pub(crate) fn after(self, literal: &str) -> Option<Self> {
        if let Some(head) = self.head.strip_prefix(literal) {
            return Some(Self { head, ..self });
        }
        let beyond_head = literal.strip_prefix(self.head)?;
        Some(Self { head: "", tail: self.tail.strip_prefix(beyond_head)? })
    }

    /// What follows if the text begins with `literal` in any case, compared character by character by Unicode's
    /// lower case *(guess: `StringEqualsIgnoreCase` ignores the case of every letter)*.
    pub(crate) fn after_ignoring_case(self, literal: &str) -> Option<Self> {
        literal.chars().try_fold(self, |text, wanted| {
            let (c, rest) = text.split_first()?;
            c.to_lowercase().eq(wanted.to_lowercase()).then_some(rest)
        })
    }

    /// What follows the first character, a Unicode scalar value.
    pub(crate) fn after_one(self) -> Option<Self> {
        self.split_first().map(|(_, rest)| rest)
    }

    fn split_first(self) -> Option<(char, Self)> {
        let mut chars = self.head.chars();
        if let Some(c) = chars.next() {
            return Some((c, Self { head: chars.as_str(), ..self }));
        }
        let mut chars = self.tail.chars();
        let c = chars.next()?;
        Some((c, Self { head: "", tail: chars.as_str() }))
    }
}
