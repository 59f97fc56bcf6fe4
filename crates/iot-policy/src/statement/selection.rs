//! What a statement names, and whether it means that or all but that.

use std::str::FromStr;

use crate::error::{PolicyError, Problem};
use crate::node::Node;

/// The patterns of `Action` or `Resource`, or of `NotAction` or `NotResource`; at least one (IAM user guide,
/// `reference_policies_elements_notaction` and `reference_policies_elements_notresource`; *unverified* for AWS IoT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<T> {
    /// What one of these names.
    Only(Vec<T>),
    /// What none of these names.
    AllBut(Vec<T>),
}

impl<T> Selection<T> {
    /// The patterns, whichever way they are meant.
    #[must_use]
    pub fn patterns(&self) -> &[T] {
        match self {
            Self::Only(patterns) | Self::AllBut(patterns) => patterns,
        }
    }
}

/// A selection with the place of each pattern, and its own.
pub(super) struct Placed<T> {
    pub(super) place: String,
    pub(super) places: Vec<String>,
    pub(super) selection: Selection<T>,
}

impl<T> Placed<T> {
    /// Each pattern with its place.
    pub(super) fn patterns(&self) -> impl Iterator<Item = (&str, &T)> {
        self.places.iter().map(String::as_str).zip(self.selection.patterns())
    }

    pub(super) fn is_all_but(&self) -> bool {
        matches!(self.selection, Selection::AllBut(_))
    }
}

impl<T> Placed<T>
where
    T: FromStr,
    Problem: From<T::Err>,
{
    /// Reads one of a statement's two members; there must be exactly one.
    pub(super) fn read(
        statement: &Node<'_>,
        name: &'static str,
        only: Option<&Node<'_>>,
        all_but: Option<&Node<'_>>,
    ) -> Result<Self, PolicyError> {
        let (node, select): (_, fn(_) -> _) = match (only, all_but) {
            (Some(node), None) => (node, Selection::Only),
            (None, Some(node)) => (node, Selection::AllBut),
            (None, None) => return Err(statement.missing(name)),
            (Some(_), Some(node)) => return Err(node.error(Problem::Beside(name))),
        };
        let (places, patterns) = read_patterns(node)?;
        Ok(Self { place: node.place().to_owned(), places, selection: select(patterns) })
    }
}

fn read_patterns<T>(node: &Node<'_>) -> Result<(Vec<String>, Vec<T>), PolicyError>
where
    T: FromStr,
    Problem: From<T::Err>,
{
    let texts = node.strings()?;
    if texts.is_empty() {
        return Err(node.error(Problem::Empty));
    }
    let read = |(node, text): (Node<'_>, &str)| match text.parse() {
        Ok(pattern) => Ok((node.place().to_owned(), pattern)),
        Err(problem) => Err(node.error(problem)),
    };
    let (places, mut patterns): (_, Vec<_>) = texts.into_iter().map(read).collect::<Result<_, _>>()?;
    // There is a document for each connection, and it is kept as long.
    patterns.shrink_to_fit();
    Ok((places, patterns))
}
