//! A log that a test can read.

use std::{
    io,
    sync::{Arc, Mutex, Once},
};

use gateway::event_log::EventLog;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

/// Log lines kept in memory; clones share them.
#[derive(Clone, Default)]
pub struct CapturedLog {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// A gateway's log is written a little later than its events.
    event_log: Option<EventLog>,
}

impl CapturedLog {
    /// The log of a gateway, and what is captured of it.
    #[must_use]
    pub fn of_gateway() -> (EventLog, Self) {
        let captured = Self::default();
        let event_log = EventLog::new(Box::new(captured.clone()), None);
        (event_log.clone(), Self { event_log: Some(event_log), ..captured })
    }

    /// The gateway's log, into which a test may write too.
    #[must_use]
    pub fn event_log(&self) -> &EventLog {
        self.event_log.as_ref().expect("the log of a gateway")
    }

    /// Everything written so far.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(event_log) = &self.event_log {
            event_log.flush();
        }
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }

    /// The lines written so far, each parsed as JSON; one that is not finished yet is left out.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        self.text().split_inclusive('\n').filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Takes the lines written so far, each parsed as JSON.
    #[must_use]
    pub fn take_lines(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.bytes.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The gateway's own words in a line of its log: `explanation`, or `details` where AWS has no words for it.
#[must_use]
pub fn words(line: &Value) -> &str {
    line["explanation"].as_str().or(line["details"].as_str()).unwrap_or_default()
}

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static OF_THIS_THREAD: CapturedLog = CapturedLog::default();
}

/// Where the authorizer's lines of this thread go from now on. A test that runs it in its own process calls this
/// first; each test has a thread of its own.
///
/// The subscriber is one for all threads: subscribers that come and go at the same time lose lines.
#[must_use]
pub fn of_this_thread() -> CapturedLog {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let subscriber = authorizer::log::subscriber(tracing::Level::TRACE, ThreadWriter);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    OF_THIS_THREAD.with(CapturedLog::clone)
}

struct ThreadWriter;

impl<'w> MakeWriter<'w> for ThreadWriter {
    type Writer = CapturedLog;

    fn make_writer(&'w self) -> CapturedLog {
        OF_THIS_THREAD.with(CapturedLog::clone)
    }
}
