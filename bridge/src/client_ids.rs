//! Client ids that AWS IoT Core or the authorizer refuses, and the ones that the bridge connects with in their place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

/// The longest client id (AWS General Reference, "AWS IoT Core endpoints and quotas").
const MAX_BYTES: usize = 128;
/// How many bytes of a client id that is replaced are kept, for people who read it.
const KEPT_BYTES: usize = 64;
/// Hex digits of the digest, 96 bits: two client ids get the same one only if somebody searches for that.
const DIGEST_DIGITS: usize = 24;

/// Which client ids are replaced by others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientIds {
    listed: BTreeMap<String, String>,
    /// Whether those that AWS refuses are passed on as they are.
    unchanged: bool,
}

/// A list of client ids that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdsError {
    /// AWS or the authorizer would refuse it.
    #[error("`{0}` is not a client id that can be used: 1 to 128 letters, digits and `_.:@=,|&~-`")]
    Invalid(String),
    /// Two devices would have one client id.
    #[error("`{0}` is there for two client ids: each needs its own")]
    Duplicate(String),
}

impl ClientIds {
    /// The listed client ids are replaced by others, and unless `unchanged`, those that AWS refuses too.
    ///
    /// # Errors
    ///
    /// If two are replaced by the same one, or one by a client id that is refused itself.
    pub fn new(listed: BTreeMap<String, String>, unchanged: bool) -> Result<Self, ClientIdsError> {
        let mut seen = BTreeSet::new();
        for id in listed.values() {
            if !is_usable(id) {
                return Err(ClientIdsError::Invalid(id.clone()));
            }
            // A device that is called so already would share it, unless it gets another one itself.
            if !seen.insert(id) {
                return Err(ClientIdsError::Duplicate(id.clone()));
            }
        }
        Ok(Self { listed, unchanged })
    }

    /// The client id to connect with. It depends on the device's own and the list alone.
    ///
    /// An empty one asks the server for one, and stays empty.
    #[must_use]
    pub fn upstream<'a>(&'a self, id: &'a str) -> Cow<'a, str> {
        if let Some(other) = self.listed.get(id) {
            return other.into();
        }
        if id.is_empty() || self.unchanged || is_usable(id) {
            return id.into();
        }
        let kept = id.chars().map(|character| if is_allowed(character) { character } else { '-' });
        let kept = kept.take(KEPT_BYTES).collect::<String>();
        let digest = hex::encode(Sha256::digest(id.as_bytes()));
        format!("{kept}-{}", digest.get(..DIGEST_DIGITS).unwrap_or(&digest)).into()
    }
}

/// Whether AWS and the authorizer accept a client id (`docs/records.md`).
fn is_usable(id: &str) -> bool {
    (1..=MAX_BYTES).contains(&id.len()) && id.chars().all(is_allowed)
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_.:@=,|&~-".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_client_ids_that_aws_refuses_are_replaced() {
        let ids = ClientIds::default();
        for usable in ["a", "hall-1", "id|securemode=2,signmethod=hmacsha256|", &"x".repeat(128), ""] {
            assert_eq!(ids.upstream(usable), usable);
        }
        let (long, other) = ("y".repeat(129), format!("{}z", "y".repeat(128)));
        let refused = ["a b", "a/b", "größe", "a+b", "{\"id\":1}", "a\u{202e}b", &long, &other];
        let replaced = refused.map(|id| ids.upstream(id).into_owned());
        for (id, replaced) in refused.iter().zip(&replaced) {
            assert!(is_usable(replaced), "{id}: {replaced}");
            assert_eq!(ids.upstream(id), *replaced, "it is stable");
            assert_eq!(ids.upstream(replaced), *replaced, "it is not replaced again");
        }
        assert_eq!(BTreeSet::from(replaced.clone()).len(), refused.len());
        assert!(replaced[0].starts_with("a-b-"), "{}", replaced[0]);
        let unchanged = ClientIds::new(BTreeMap::new(), true).unwrap();
        assert_eq!(unchanged.upstream("a b"), "a b");
    }

    #[test]
    fn the_list_comes_first_and_is_checked() {
        let list = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
        };
        let ids = ClientIds::new(list(&[("sensor 1", "hall-1"), ("old", "new")]), false).unwrap();
        assert_eq!((ids.upstream("sensor 1"), ids.upstream("old")), ("hall-1".into(), "new".into()));
        let duplicate = ClientIds::new(list(&[("a", "x"), ("b", "x")]), false);
        assert_eq!(duplicate, Err(ClientIdsError::Duplicate("x".to_owned())));
        let invalid = ClientIds::new(list(&[("a", "x y")]), false);
        assert_eq!(invalid, Err(ClientIdsError::Invalid("x y".to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn every_client_id_leads_to_one_that_can_be_used(one: String, other: String) {
            let ids = ClientIds::default();
            let (first, second) = (ids.upstream(&one), ids.upstream(&other));
            proptest::prop_assert!(one.is_empty() || is_usable(&first));
            proptest::prop_assert_eq!(one == other, first == second);
        }
    }
}
