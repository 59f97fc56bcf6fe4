//! What a store makes of files, together with the keyring: made again when one of the files changes, and kept if they can't
//! be used as they are then.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use device_auth::record::{FunctionSettings, Unsealing};

use crate::{
    fault::{FaultKind, StoreFault},
    keyring_source::KeyringSource,
};

/// The longest step in which a common file system counts time: 2 s on FAT.
const COARSEST_STEP: Duration = Duration::from_secs(2);

/// A value that is made of a file and of the function's settings with the keyring.
///
/// Each look-up asks for the current one. If a file can't be read or used, the last value stays in force, and each look-up
/// writes an error line.
pub(super) struct Followed<T, F = ReadFile> {
    path: Option<PathBuf>,
    keyring: Option<KeyringSource>,
    make: Make<T, F>,
    state: Mutex<State<T>>,
}

/// Makes the value. There is no file if none is configured.
type Make<T, F> = Box<dyn Fn(Option<&F>, FunctionSettings) -> Result<T, StoreFault> + Send + Sync>;

/// A file, as far as it is read to make a value.
pub(super) trait FollowedFile {
    /// Reads it.
    fn read(path: PathBuf) -> Self;

    /// Differs if another value is made of it; `None` if it can't be read.
    fn digest(&self) -> Option<u64>;
}

/// A file, and its text or why it can't be read.
pub(super) struct ReadFile {
    pub(super) path: PathBuf,
    pub(super) text: io::Result<String>,
}

/// The value that is in force.
pub(super) struct Current<T> {
    pub(super) value: Arc<T>,
    /// Differs from that of every value before it.
    #[cfg_attr(not(feature = "dynamodb"), expect(dead_code, reason = "only the table's cache reads it"))]
    pub(super) version: u64,
    /// Whether the files can't be used as they are now.
    pub(super) is_stale: bool,
}

struct State<T> {
    value: Arc<T>,
    version: u64,
    /// The function's settings, with the keyring that was loaded last.
    function: FunctionSettings,
    /// The file and the keyring's file at the last reading; `None` for one that can't be read.
    stamps: [Option<Stamp>; 2],
    /// Their texts that `value` or `fault` is about.
    digests: [Option<u64>; 2],
    /// Why the last reading failed. The value is then an older one.
    fault: Option<StoreFault>,
}

/// What shows that a file has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// Whether the file had not changed for a while. Only then is every later change sure to change the stamp, because file
    /// systems count time in steps.
    settled: bool,
}

impl<T, F: FollowedFile> Followed<T, F> {
    /// Makes the value of the file at `path`, if there is one, for a function with these settings.
    pub(super) fn open(
        path: Option<PathBuf>,
        function: FunctionSettings,
        make: impl Fn(Option<&F>, FunctionSettings) -> Result<T, StoreFault> + Send + Sync + 'static,
    ) -> Result<Self, StoreFault> {
        let stamp = path.as_deref().and_then(Stamp::of);
        let file = path.clone().map(F::read);
        let state = State {
            value: Arc::new(make(file.as_ref(), function.clone())?),
            version: 0,
            function,
            stamps: [stamp, None],
            digests: [file.as_ref().and_then(F::digest), None],
            fault: None,
        };
        Ok(Self { path, keyring: None, make: Box::new(make), state: Mutex::new(state) })
    }

    /// The same, which also follows changes of the keyring. `keyring` is the one that the function's settings have.
    pub(super) fn with_keyring(self, keyring: KeyringSource) -> Self {
        let (stamp, digest) = (keyring.file().and_then(Stamp::of), digest_of(keyring.file()));
        let mut state = self.state();
        (state.stamps[1], state.digests[1]) = (stamp, digest);
        drop(state);
        Self { keyring: Some(keyring), ..self }
    }

    /// The value in force, after the files were read again if one of them has changed.
    pub(super) async fn current(&self) -> Current<T> {
        self.refresh().await;
        let (current, fault) = {
            let state = self.state();
            let (value, version) = (Arc::clone(&state.value), state.version);
            (Current { value, version, is_stale: state.fault.is_some() }, state.fault.clone())
        };
        if let Some(fault) = &fault {
            super::report_stale(fault);
        }
        current
    }

    /// The value in force, without a look at the files.
    #[cfg(any(feature = "dynamodb", test))]
    pub(super) fn last(&self) -> Arc<T> {
        Arc::clone(&self.state().value)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new value if one of the files has changed, with a new keyring if its file has.
    async fn refresh(&self) {
        let keyring_file = self.keyring.as_ref().and_then(KeyringSource::file);
        let stamps = [self.path.as_deref().and_then(Stamp::of), keyring_file.and_then(Stamp::of)];
        let are_settled = stamps.iter().flatten().all(|stamp| stamp.settled);
        if are_settled && self.state().stamps == stamps {
            return;
        }
        // A file that was written a moment ago is read at each look-up, and a value is made only of another text.
        let file = self.path.clone().map(F::read);
        let digests = [file.as_ref().and_then(F::digest), digest_of(keyring_file)];
        let (function, is_keyring_current) = {
            let mut state = self.state();
            state.stamps = stamps;
            if state.digests == digests {
                return;
            }
            (state.function.clone(), state.digests[1] == digests[1] && state.fault.is_none())
        };
        let function = match &self.keyring {
            Some(source) if !is_keyring_current => with_keyring(function, source).await,
            _ => Ok(function),
        };
        let made = function
            .and_then(|function| Ok((Arc::new((self.make)(file.as_ref(), function.clone())?), function)));
        let mut state = self.state();
        state.digests = digests;
        state.fault = match made {
            Ok((value, function)) => {
                (state.value, state.function) = (value, function);
                state.version = state.version.wrapping_add(1);
                None
            }
            Err(fault) => Some(fault),
        };
    }
}

#[cfg(feature = "secrets-manager")]
impl Followed<FunctionSettings> {
    /// The settings alone, for a store that has everything else itself.
    pub(super) fn settings(function: FunctionSettings) -> Self {
        let state = State {
            value: Arc::new(function.clone()),
            version: 0,
            function,
            stamps: [None; 2],
            digests: [None; 2],
            fault: None,
        };
        let make = Box::new(|_: Option<&ReadFile>, function| Ok(function));
        Self { path: None, keyring: None, make, state: Mutex::new(state) }
    }
}

impl FollowedFile for ReadFile {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path);
        Self { path, text }
    }

    fn digest(&self) -> Option<u64> {
        self.text.as_deref().ok().map(digest)
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn digest_of(path: Option<&Path>) -> Option<u64> {
    fs::read_to_string(path?).ok().as_deref().map(digest)
}

async fn with_keyring(
    function: FunctionSettings,
    source: &KeyringSource,
) -> Result<FunctionSettings, StoreFault> {
    // One that does not exist is empty at the start. A file that goes away later takes no keys with it.
    if let (Unsealing::With(keyring), Some(path)) = (&function.unsealing, source.file())
        && keyring.current().is_some()
        && !path.exists()
    {
        let message = format!("the keyring `{}` is gone; put it back", path.display());
        return Err(StoreFault::new(FaultKind::NotFound, message));
    }
    match source.load().await {
        Ok(keyring) => Ok(FunctionSettings { unsealing: Unsealing::With(Arc::new(keyring)), ..function }),
        Err(error) => Err(StoreFault::new(FaultKind::Unavailable, error.to_string())),
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let modified = metadata.modified().ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let settled = age.is_some_and(|age| age >= COARSEST_STEP);
        Some(Self { modified, bytes: metadata.len(), settled })
    }
}
