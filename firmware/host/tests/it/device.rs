//! `firmware-host` as a process, and the log that it prints.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use app::configuration::partition::Key;
use configure::Entries;

/// Far longer than any wait of these tests; a test that reaches it has failed.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// A running device. Dropping it kills the process.
pub(crate) struct Device {
    process: Child,
    lines: Receiver<String>,
    printed: String,
}

impl Device {
    /// Starts a device with this configuration.
    pub(crate) fn start(folder: &Path, entries: &Entries) -> Self {
        let file = folder.join("configuration.bin");
        std::fs::write(&file, entries.to_partition().unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_firmware-host"));
        Self::spawn(command.arg(file))
    }

    /// Starts a program that prints a device's log.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines, printed: String::new() }
    }

    /// Waits for a line that contains this text, and returns it.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.printed.push_str(&line);
                    self.printed.push('\n');
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no `{text}` in\n{}", self.printed),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without `{text}` after\n{}", self.printed)
                }
            }
        }
    }

    /// Everything that the device has printed so far.
    pub(crate) fn printed(&mut self) -> &str {
        while let Ok(line) = self.lines.try_recv() {
            self.printed.push_str(&line);
            self.printed.push('\n');
        }
        &self.printed
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The entries of a device that measures once a second and gets the time from this port.
pub(crate) fn entries(port: u16, time_port: u16, ca: &str) -> Entries {
    let mut entries = Entries::default();
    for (key, value) in [
        (Key::Host, "localhost"),
        (Key::Address, "127.0.0.1"),
        (Key::Port, &port.to_string()),
        (Key::TimeHost, "127.0.0.1"),
        (Key::TimePort, &time_port.to_string()),
        (Key::ClientId, "sht20"),
        (Key::UserName, "sht20"),
        (Key::Secret, "not the right one"),
        (Key::Interval, "1"),
        (Key::Ca, ca),
    ] {
        entries.set(key, value);
    }
    entries
}
