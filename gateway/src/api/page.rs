//! Pages of lists: their sizes, and the tokens that continue them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    error::ApiError,
    input::{Input, constraint_error},
};

/// The entries of a page if the client does not say.
const DEFAULT_SIZE: usize = 25;

/// The page that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    operation: &'static str,
    /// The most entries.
    pub size: usize,
    /// The position after which it begins: as many texts as the operation has given, or none for the first page.
    pub after: Option<Vec<String>>,
}

impl Page {
    /// Reads the members that ask for a page; the API model calls them by different names.
    ///
    /// # Errors
    ///
    /// When the size is not from 1 to `max`, or the token is not one of this operation's.
    pub fn read(
        input: &Input,
        operation: &'static str,
        size: &str,
        max: usize,
        token: &str,
    ) -> Result<Self, ApiError> {
        let number = input.query_number(size)?;
        let limit = |limit, than| {
            constraint_error(size, &format!("Member must have value {than} than or equal to {limit}"))
        };
        let entries = match number.map(usize::try_from) {
            None => DEFAULT_SIZE.min(max),
            Some(Err(_) | Ok(0)) => return Err(limit(1, "greater")),
            Some(Ok(number)) if number > max => return Err(limit(max, "less")),
            Some(Ok(number)) => number,
        };
        Self::of_size(input, operation, entries, token)
    }

    /// A page of an operation whose clients do not say how many entries they want.
    ///
    /// # Errors
    ///
    /// When the token is not one of this operation's.
    pub fn of_size(
        input: &Input,
        operation: &'static str,
        size: usize,
        token: &str,
    ) -> Result<Self, ApiError> {
        let token = input.query(token, &super::text::Text::ANY)?;
        let after = token.map(|token| position(operation, &token)).transpose()?;
        Ok(Self { operation, size, after })
    }

    /// The text after which it begins, in a list that is ordered by one text; empty for the first page.
    #[must_use]
    pub fn after_text(&self) -> &str {
        self.after.as_ref().and_then(|after| after.first()).map_or("", String::as_str)
    }

    /// Of a list that was read with one entry more than a page has: the page, and the token of the next one, if there is one.
    /// `key` is an entry's position.
    #[must_use]
    pub fn cut<T>(
        &self,
        mut entries: Vec<T>,
        key: impl FnOnce(&T) -> Vec<String>,
    ) -> (Vec<T>, Option<String>) {
        if entries.len() <= self.size {
            return (entries, None);
        }
        entries.truncate(self.size);
        let token = entries.last().map(|last| {
            let position = key(last);
            self.next_token(&position.iter().map(String::as_str).collect::<Vec<_>>())
        });
        (entries, token)
    }

    /// The entries to read: one more than the page has, which shows whether there is another.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.size.saturating_add(1)
    }

    /// The token of the page after `position`.
    #[must_use]
    pub fn next_token(&self, position: &[&str]) -> String {
        let position = [self.operation].into_iter().chain(position.iter().copied()).collect::<Vec<_>>();
        STANDARD.encode(serde_json::json!(position).to_string())
    }
}

fn position(operation: &str, token: &str) -> Result<Vec<String>, ApiError> {
    let text = STANDARD.decode(token).ok();
    let position = text.and_then(|text| serde_json::from_slice::<Vec<String>>(&text).ok());
    match position {
        Some(mut position) if position.first().is_some_and(|first| first == operation) => {
            Ok(position.split_off(1))
        }
        _ => Err(ApiError::invalid_request("the token is not one that this operation has answered with")),
    }
}
