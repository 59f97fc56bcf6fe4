//! A bounded queue of lines, and the thread that writes them.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;

/// How long the thread gathers lines after the first one.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// The queue's end at which lines enter. The thread writes what is queued, and ends, after this is dropped.
pub struct LineWriter(Arc<Queue>);

struct Queue {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    /// Lines that found the queue full since the thread emptied it last.
    dropped: u64,
    writing: bool,
    /// Somebody waits for the lines to be written.
    flushing: bool,
    closed: bool,
}

/// The thread's side: the destination, and what could not be written to it.
struct Destination<F> {
    to: Box<dyn Write + Send>,
    /// Makes the line that says how many lines are missing.
    note: F,
    missing: u64,
    /// Counts them all.
    missing_total: Counter,
    /// A failed write ended inside a line.
    mid_line: bool,
}

impl LineWriter {
    /// Starts a thread that writes to `to`. At most `capacity` lines wait for it. `note` makes the line that is written in
    /// place of missing ones, from their number. `missing_total` counts them.
    #[must_use]
    pub fn start(
        to: Box<dyn Write + Send>,
        capacity: usize,
        missing_total: Counter,
        note: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let queue = Arc::new(Queue { capacity, state: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&queue);
        let destination = Destination { to, note, missing: 0, missing_total, mid_line: false };
        thread::spawn(move || theirs.run(destination));
        Self(queue)
    }

    /// Adds a line, without its line end. It is dropped if the queue is full.
    pub fn write(&self, line: String) {
        let mut state = self.0.state();
        // A thread that has work already looks at the queue again before it waits.
        let thread_waits = !state.writing && !state.has_work();
        if state.lines.len() < self.0.capacity {
            state.lines.push_back(line);
        } else {
            state.dropped += 1;
        }
        drop(state);
        if thread_waits {
            self.0.changed.notify_all();
        }
    }

    /// Waits until every line is written, but no longer than `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let is_busy = |state: &mut State| state.writing || state.has_work();
        let mut state = self.0.state();
        state.flushing = true;
        // The lock is poisoned only if the thread has panicked, and then nothing more is written.
        let waited = self.0.changed.wait_timeout_while(state, timeout, is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).0.flushing = false;
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.lines.is_empty() || self.dropped > 0
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut destination: Destination<impl Fn(u64) -> String>) {
        let mut lines = VecDeque::new();
        loop {
            let mut state = self.state();
            state.writing = false;
            self.changed.notify_all();
            while !state.has_work() {
                if state.closed {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.writing = true;
            if !state.closed && !state.flushing {
                // Lines come in groups. Waking up and writing once for a group costs much less than for each line.
                drop(state);
                thread::sleep(GATHER_TIME);
                state = self.state();
            }
            std::mem::swap(&mut lines, &mut state.lines);
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            destination.write(lines.drain(..), dropped);
        }
    }
}

impl<F: Fn(u64) -> String> Destination<F> {
    /// Writes lines. After them, `dropped` lines are missing.
    fn write(&mut self, lines: impl Iterator<Item = String>, dropped: u64) {
        let mut text = String::new();
        if self.mid_line {
            text.push('\n');
        }
        if self.missing > 0 {
            text.push_str(&(self.note)(self.missing));
            text.push('\n');
        }
        let start = text.len();
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        let written = write_as_much_as_possible(&mut *self.to, text.as_bytes());
        let unwritten =
            text.as_bytes().iter().skip(written.max(start)).filter(|byte| **byte == b'\n').count();
        if written >= start {
            self.missing = 0;
        }
        self.missing += unwritten as u64 + dropped;
        self.missing_total.inc_by(unwritten as u64 + dropped);
        if written > 0 {
            self.mid_line = text.as_bytes().iter().take(written).next_back() != Some(&b'\n');
        }
        if written == text.len() && self.missing > 0 {
            // There is room again, and nothing may follow soon.
            self.write(std::iter::empty(), 0);
        }
    }
}

/// Writes `bytes`, and returns how many of them were written before an error.
fn write_as_much_as_possible(to: &mut dyn Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match to.write(rest) {
            Ok(count @ 1..) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
        }
    }
    // A destination that can't be flushed fails the next write too.
    _ = to.flush();
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A destination that accepts as many bytes as the test allows, and stands still while the test holds it.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn with_room(bytes: usize) -> Self {
            Self(Arc::new(Mutex::new((Vec::new(), bytes))))
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let count = bytes.len().min(disk.1);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.1 -= count;
            disk.0.extend(bytes.iter().take(count));
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_mins(1);

    fn start(disk: &Disk, capacity: usize) -> LineWriter {
        LineWriter::start(Box::new(disk.clone()), capacity, Counter::default(), |dropped| {
            format!("({dropped} missing)")
        })
    }

    #[test]
    fn destination_that_stands_still_holds_nobody_up_and_the_gap_is_noted() {
        let disk = Disk::with_room(usize::MAX);
        let writer = start(&disk, 100);
        let held = disk.0.lock().unwrap();
        writer.write("first".to_owned());
        // The thread has taken the first line, and can't write it.
        while !writer.0.state().lines.is_empty() {
            thread::yield_now();
        }
        for n in 0..107 {
            writer.write(n.to_string());
        }
        writer.flush(Duration::ZERO);
        drop(held);
        writer.flush(LONG);
        writer.write("last".to_owned());
        writer.flush(LONG);
        let text = disk.text();
        assert!(text.starts_with("first\n0\n1\n") && text.ends_with("\n99\n(7 missing)\nlast\n"), "{text}");
    }

    #[test]
    fn full_disk_loses_lines_and_the_log_says_how_many_when_there_is_room_again() {
        let disk = Disk::with_room(9);
        let writer = start(&disk, 100);
        for line in ["first", "second", "third"] {
            writer.write(line.to_owned());
            writer.flush(LONG);
        }
        assert_eq!(disk.text(), "first\nsec");
        disk.0.lock().unwrap().1 = usize::MAX;
        writer.write("fourth".to_owned());
        writer.flush(LONG);
        assert_eq!(disk.text(), "first\nsec\n(2 missing)\nfourth\n");
    }

    #[test]
    fn lines_that_wait_at_the_end_are_written() {
        let disk = Disk::with_room(usize::MAX);
        let writer = start(&disk, 10_000);
        for n in 0..10_000 {
            writer.write(n.to_string());
        }
        writer.flush(LONG);
        assert_eq!(disk.text().lines().count(), 10_000);
    }
}
