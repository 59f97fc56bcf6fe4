//! Clients that name no authorizer, although nobody set a default one. The gateway serves them, so that a first client
//! needs no more than a name and a password; AWS would refuse them.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::authorizer::AuthorizerName;

/// The devices that are remembered. Later ones are not reported.
const MAX_DEVICES: usize = 1_000;

/// A client that names no authorizer is served by the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// The authorizer that serves it.
    pub authorizer: AuthorizerName,
    /// A parameter of the client's that looks like a misspelt name of AWS's.
    pub misspelt: Option<String>,
}

/// The devices that were reported, by the client ids that they presented, or by their principals if they have no client id.
#[derive(Default)]
pub struct ReportedDevices(Mutex<HashSet<Arc<str>>>);

impl ReportedDevices {
    /// Whether a device was not reported yet. From now on it was.
    pub fn is_new(&self, device: &Arc<str>) -> bool {
        let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        devices.len() < MAX_DEVICES && devices.insert(Arc::clone(device))
    }
}

impl fmt::Display for Unnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.authorizer;
        f.write_str("the client named no authorizer; AWS needs a default or a domain for this: ")?;
        match &self.misspelt {
            Some(misspelt) => write!(f, "its parameter `{misspelt}` should be `x-amz-customauthorizer-name`"),
            None => write!(f, "add `?x-amz-customauthorizer-name={name}` to the user name"),
        }?;
        write!(f, ", or set `default_authorizer = \"{name}\"` here and a default authorizer on AWS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_is_reported_once_and_only_so_many_are() {
        let reported = ReportedDevices::default();
        for n in 0..MAX_DEVICES {
            let id: Arc<str> = n.to_string().into();
            assert!(reported.is_new(&id) && !reported.is_new(&id), "{n}");
        }
        assert!(!reported.is_new(&"one more".into()));
    }
}
