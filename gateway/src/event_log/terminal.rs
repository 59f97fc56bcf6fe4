//! Lines for a person, written by a thread of their own: a terminal that stands still, or a pipe that nobody reads, holds
//! up no connection.

use std::{
    io::Write,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
};

/// How many lines may wait. What comes beyond is left out, and the next line that is written says so.
const WAITING_LINES: usize = 1_024;

pub(super) struct Terminal {
    lines: SyncSender<Task>,
    left_out: u64,
}

enum Task {
    Line(String),
    Flush(Sender<()>),
}

impl Terminal {
    pub(super) fn start(mut to: Box<dyn Write + Send>) -> Self {
        let (lines, tasks) = sync_channel(WAITING_LINES);
        // It ends with the log.
        thread::spawn(move || {
            for task in tasks {
                match task {
                    Task::Line(line) => _ = to.write_all(line.as_bytes()),
                    // Whoever waited may have given up.
                    Task::Flush(done) => {
                        _ = to.flush();
                        _ = done.send(());
                    }
                }
            }
        });
        Self { lines, left_out: 0 }
    }

    pub(super) fn write(&mut self, line: &str) {
        let line = match self.left_out {
            0 => format!("{line}\n"),
            left_out => format!("({left_out} lines are left out here; the log has them)\n{line}\n"),
        };
        match self.lines.try_send(Task::Line(line)) {
            Ok(()) => self.left_out = 0,
            Err(_) => self.left_out += 1,
        }
    }

    /// What is sent when every line is written; nothing if too many wait.
    pub(super) fn flush(&self) -> Option<Receiver<()>> {
        let (done, flushed) = channel();
        self.lines.try_send(Task::Flush(done)).ok()?;
        Some(flushed)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// A terminal that stands still until it is let go.
    struct Still(Arc<Mutex<Vec<u8>>>);

    impl Write for Still {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_that_stands_still_holds_nobody_up_and_says_what_it_missed() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut terminal = Terminal::start(Box::new(Still(Arc::clone(&written))));
        let held = written.lock().unwrap();
        // One may be on its way already.
        for n in 0..WAITING_LINES + 101 {
            terminal.write(&n.to_string());
        }
        let left_out = terminal.left_out;
        assert!((100..=101).contains(&left_out), "{left_out}");
        drop(held);
        while terminal.flush().map(|flushed| flushed.recv()).is_none() {
            thread::yield_now();
        }
        terminal.write("last");
        terminal.flush().unwrap().recv().unwrap();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let end = format!("({left_out} lines are left out here; the log has them)\nlast\n");
        assert!(text.starts_with("0\n1\n") && text.ends_with(&end), "{text}");
    }
}
