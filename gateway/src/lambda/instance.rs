//! One running copy of a function.

use std::{
    collections::{BTreeSet, VecDeque},
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::body::Bytes;
use cli::exit;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::TcpListener,
    process::Child,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    INIT_LIMIT, InvokeError,
    program::{Program, RuntimeApiAddress},
    runtime_api::{Answer, Exchange, Invocation},
};
use crate::{clock::Clock, event_log::EventLog};

/// How many lines of standard error explain a failed start.
const KEPT_LINES: usize = 10;
/// The time limit for reading the output of a process that has ended.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);
/// The longest line of the function's output; a longer one is cut.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// A process and its Runtime API. Dropping it ends both.
pub struct Instance {
    process: Child,
    invocations: mpsc::Sender<Invocation>,
    api: JoinHandle<()>,
    _counted: Counted,
}

/// The processes of one function.
#[derive(Debug, Default)]
pub struct Processes(Mutex<ProcessCounts>);

/// The processes of one function, at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessCounts {
    /// The ids of those that run.
    pub running: BTreeSet<u32>,
    /// How many were started.
    pub started: u64,
    /// How many ended, or were ended because they did not answer.
    pub ended: u64,
}

/// Counts one process until it is dropped.
struct Counted {
    processes: Arc<Processes>,
    id: Option<u32>,
}

impl Processes {
    /// The processes now.
    #[must_use]
    pub fn counts(&self) -> ProcessCounts {
        self.lock().clone()
    }

    fn started(self: &Arc<Self>, id: Option<u32>) -> Counted {
        let mut counts = self.lock();
        counts.started += 1;
        counts.running.extend(id);
        Counted { processes: Arc::clone(self), id }
    }

    fn lock(&self) -> MutexGuard<'_, ProcessCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.processes.lock();
        counts.ended += 1;
        if let Some(id) = self.id {
            counts.running.remove(&id);
        }
    }
}

impl Instance {
    /// Starts the program and waits until it asks for its first event.
    ///
    /// # Errors
    ///
    /// When it can't be started, ends, or takes too long.
    pub async fn start(
        program: &Program,
        arn: &str,
        clock: &Clock,
        log: &EventLog,
        processes: &Arc<Processes>,
    ) -> Result<Self, InvokeError> {
        let failed = |error: std::io::Error| InvokeError::Start {
            program: program.path.display().to_string(),
            error: error.to_string(),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (exchange, invocations) = Exchange::new(arn.to_owned());
        let secret_path = format!("/{}", Uuid::new_v4().simple());
        let (router, runtime_api) = match program.runtime_api {
            // With the scheme, because Rust's runtime client does not accept `HOST:PORT/PATH`.
            RuntimeApiAddress::SecretPath => {
                (exchange.clone().router(&secret_path), format!("http://{address}{secret_path}"))
            }
            RuntimeApiAddress::HostAndPort => (exchange.clone().open_router(), address.to_string()),
        };
        let api = tokio::spawn(async move {
            // It runs until the task is aborted.
            _ = axum::serve(listener, router).await;
        });
        let mut process = program.command(arn, &runtime_api).spawn().map_err(failed)?;
        let last_words = forward(&mut process, log);
        let counted = processes.started(process.id());
        let mut instance = Self { process, invocations, api, _counted: counted };
        tokio::select! {
            biased;
            () = exchange.ready() => Ok(instance),
            status = instance.process.wait() => {
                let (status, code) = describe(status);
                // With this code the function says itself what is wrong with its configuration.
                let hint = if code == Some(exit::USAGE.into()) { "" } else { program.runtime_api.hint() };
                Err(InvokeError::Init { status, code, message: last_words.join().await, hint })
            }
            () = clock.sleep_until(clock.now() + INIT_LIMIT) => Err(InvokeError::InitTimeout { hint: program.runtime_api.hint() }),
        }
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Passes one event to the program. After [`InvokeError::Timeout`] and [`InvokeError::Crash`] the instance can't be
    /// used any more.
    ///
    /// # Errors
    ///
    /// When the function reports an error, ends, or takes longer than `limit`.
    pub async fn invoke(
        &mut self,
        payload: Bytes,
        limit: Duration,
        clock: &Clock,
    ) -> Result<Bytes, InvokeError> {
        let (reply, answer) = oneshot::channel();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let invocation = Invocation {
            request_id: Uuid::new_v4().to_string(),
            payload,
            deadline_ms: (since_1970 + limit).as_millis(),
            reply,
        };
        let exchange = async {
            self.invocations.send(invocation).await.ok()?;
            answer.await.ok()
        };
        tokio::select! {
            biased;
            answer = exchange => match answer {
                Some(Answer::Response(body)) => Ok(body),
                Some(Answer::Error(fault)) => Err(InvokeError::Function(fault)),
                None => Err(InvokeError::Crash("its Runtime API closed".to_owned())),
            },
            status = self.process.wait() => Err(InvokeError::Crash(describe(status).0)),
            () = clock.sleep_until(clock.now() + limit) => Err(InvokeError::Timeout(limit)),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.api.abort();
    }
}

/// The last lines that the process writes to standard error.
struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl LastWords {
    /// The lines of a process that has ended.
    async fn join(mut self) -> String {
        if let Some(reader) = self.reader.take() {
            // Another process may keep the pipe open.
            _ = tokio::time::timeout(LAST_WORDS_LIMIT, reader).await;
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

fn forward(process: &mut Child, log: &EventLog) -> LastWords {
    if let Some(output) = process.stdout.take() {
        let log = log.clone();
        tokio::spawn(each_line(output, move |line| log.write_function_line(&line)));
    }
    let lines = Arc::new(Mutex::new(VecDeque::new()));
    let reader = process.stderr.take().map(|output| {
        let (lines, log) = (Arc::clone(&lines), log.clone());
        tokio::spawn(each_line(output, move |line| {
            log.write_function_line(&line);
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_back(line);
            if lines.len() > KEPT_LINES {
                lines.pop_front();
            }
        }))
    });
    LastWords { lines, reader }
}

async fn each_line(output: impl AsyncRead + Unpin, mut take: impl FnMut(String)) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match read_line(&mut output, &mut line).await {
            Ok(true) => take(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Ok(false) | Err(_) => return,
        }
    }
}

/// Reads one line and keeps up to [`MAX_LINE_BYTES`] of it; `false` at the end of the output.
async fn read_line(output: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut any = false;
    loop {
        let buffer = output.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend(buffer.iter().take(taken.min(room)));
        output.consume(taken);
        if end.is_some() {
            return Ok(true);
        }
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> (String, Option<i32>) {
    match status {
        Ok(status) => (status.to_string(), status.code()),
        Err(error) => (error.to_string(), None),
    }
}
