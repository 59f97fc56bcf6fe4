//! A program that a test runs, and everything that it writes.

use std::{
    io::ErrorKind,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
};

use crate::eventually::{LIMIT, eventually, within};

/// A running program. Dropping it kills it.
pub struct Running {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    out: Written,
    err: Written,
}

/// A program that has ended.
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: Vec<u8>,
    /// What it wrote to standard error.
    pub err: Vec<u8>,
}

struct Written {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Running {
    /// Starts a program. One that does not exist fails the test.
    pub fn start(mut command: Command) -> Self {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let started = command.spawn();
        let mut child = started.unwrap_or_else(|error| {
            panic!("can't start `{name}`: {error}; `make setup` gets what the tests need")
        });
        let out = Written::follow(child.stdout.take().unwrap());
        let err = Written::follow(child.stderr.take().unwrap());
        Self { name, stdin: child.stdin.take(), child, out, err }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not ended")
    }

    /// Writes all of its standard input and closes it. A program may end before it has read everything.
    pub async fn input(&mut self, bytes: &[u8]) {
        let mut stdin = self.stdin.take().unwrap();
        let written = within("the input", stdin.write_all(bytes)).await;
        if let Err(error) = written {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
        }
    }

    /// Waits for a line on standard output that `probe` accepts; if the program ends before, the test fails.
    pub async fn line<T>(&mut self, what: &str, probe: impl Fn(&str) -> Option<T>) -> T {
        let Self { name, child, out, err, .. } = self;
        eventually(what, || {
            let ended = child.try_wait().unwrap().is_some() && out.reader.is_finished();
            let text = out.text();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let found = whole.lines().find_map(&probe);
            assert!(found.is_some() || !ended, "`{name}` ended without {what}: {text}{}", err.text());
            found
        })
        .await
    }

    /// Waits for a line on standard error that `probe` accepts; if the program ends before, the test fails.
    pub async fn err_line<T>(&mut self, what: &str, probe: impl Fn(&str) -> Option<T>) -> T {
        let Self { name, child, err, .. } = self;
        eventually(what, || {
            let ended = child.try_wait().unwrap().is_some() && err.reader.is_finished();
            let text = err.text();
            let found = text.lines().find_map(&probe);
            assert!(found.is_some() || !ended, "`{name}` ended without {what}: {text}");
            found
        })
        .await
    }

    /// What it has written to standard output so far.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// What it has written to standard error so far.
    pub fn err(&self) -> String {
        self.err.text()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(mut self) {
        within("its end", self.child.kill()).await.unwrap();
    }

    /// Presses Ctrl-C.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id().expect("it has ended"));
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Closes its standard input, if it is still open, and waits for its end.
    pub async fn finish(self) -> Finished {
        self.finish_within(LIMIT).await
    }

    /// The same for a program that works for longer.
    pub async fn finish_within(mut self, limit: Duration) -> Finished {
        drop(self.stdin.take());
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        let ended = ended.unwrap_or_else(|_| {
            panic!("`{}` does not end: {}{}", self.name, self.out.text(), self.err.text())
        });
        Finished {
            code: ended.unwrap().code(),
            out: self.out.into_bytes().await,
            err: self.err.into_bytes().await,
        }
    }
}

impl Finished {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }
}

impl Written {
    fn follow(mut stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    async fn into_bytes(self) -> Vec<u8> {
        within("the end of the output", self.reader).await.unwrap();
        self.bytes.lock().unwrap().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "`make setup` gets what the tests need")]
    async fn a_program_that_is_missing_fails_the_test() {
        Running::start(Command::new("a-program-that-nobody-has"));
    }
}
