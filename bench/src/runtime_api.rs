//! Lambda's Runtime API for one process at a time, on plain sockets: it hands an event to a function, again and again, and
//! measures the time to each answer.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// What a function's process did.
pub(crate) struct Invoked {
    /// From the start of the process to its first answer.
    pub(crate) first: Duration,
    /// From an event to its answer, for each later event.
    pub(crate) warm: Vec<Duration>,
    /// The most memory that it had at a time, in bytes.
    pub(crate) peak: u64,
    /// Its first answer.
    pub(crate) answer: String,
}

/// What the threads of the connections share.
struct State {
    begun: Instant,
    events: usize,
    answers: Vec<Duration>,
    answer: String,
    end: Option<Result<(), String>>,
}

/// Starts a function and hands it `event` until it has answered `1 + warm` times.
pub(crate) fn invoke(command: &mut Command, event: &str, warm: usize) -> anyhow::Result<Invoked> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    command.env("AWS_LAMBDA_RUNTIME_API", address.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let name = command.get_program().to_string_lossy().into_owned();
    let state = Arc::new(Mutex::new(State {
        begun: Instant::now(),
        events: 1 + warm,
        answers: Vec::with_capacity(1 + warm),
        answer: String::new(),
        end: None,
    }));
    let mut child = command.spawn().with_context(|| format!("can't start `{name}`"))?;
    let mut errors = child.stderr.take().context("it has no standard error")?;
    let watcher = {
        let state = Arc::clone(&state);
        thread::spawn(move || {
            let mut text = String::new();
            // An error is an end too.
            _ = errors.read_to_string(&mut text);
            end(&state, Err(format!("it ended: {text}")), address);
        })
    };
    let event = Arc::<str>::from(event);
    while locked(&state).end.is_none() {
        let (stream, _) = listener.accept()?;
        let (state, event) = (Arc::clone(&state), Arc::clone(&event));
        thread::spawn(move || {
            if let Err(error) = serve(&stream, &state, &event, address) {
                end(&state, Err(format!("{error:#}")), address);
            }
        });
    }
    let peak = peak(child.id());
    child.kill()?;
    child.wait()?;
    // It ends with the process.
    watcher.join().map_err(|_| anyhow::anyhow!("the watcher of `{name}` failed"))?;
    let mut state = locked(&state);
    if let Some(Err(why)) = &state.end {
        anyhow::bail!("`{name}`: {why}");
    }
    let mut answers = std::mem::take(&mut state.answers).into_iter();
    let first = answers.next().context("there was no answer")?;
    Ok(Invoked { first, warm: answers.collect(), peak: peak?, answer: std::mem::take(&mut state.answer) })
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes the first end, and wakes the thread that accepts connections.
fn end(state: &Mutex<State>, result: Result<(), String>, address: SocketAddr) {
    locked(state).end.get_or_insert(result);
    // Nothing listens any more if it has seen the end already.
    _ = TcpStream::connect(address);
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, state: &Mutex<State>, event: &str, address: SocketAddr) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some((path, body)) = request(&mut reader)? {
        if path.ends_with("/invocation/next") {
            if !hand_over(stream, state, event)? {
                end(state, Ok(()), address);
                // The function waits for an event until it is killed: its memory is read before.
                io::copy(&mut reader, &mut io::sink())?;
                return Ok(());
            }
        } else if path.ends_with("/response") {
            let now = Instant::now();
            {
                let mut state = locked(state);
                let elapsed = now.saturating_duration_since(state.begun);
                state.answers.push(elapsed);
                if state.answers.len() == 1 {
                    state.answer = String::from_utf8_lossy(&body).into_owned();
                }
            }
            write_to(stream, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
        } else {
            anyhow::bail!("{path}: {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(())
}

/// Answers the call for the next event. Returns whether there is one.
fn hand_over(stream: &TcpStream, state: &Mutex<State>, event: &str) -> anyhow::Result<bool> {
    let mut state = locked(state);
    let done = state.answers.len();
    if done == state.events {
        return Ok(false);
    }
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-{done:012}\r\n\
         Lambda-Runtime-Deadline-Ms: 4102444800000\r\nLambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:latchkey\r\n\r\n{event}",
        event.len()
    );
    if done > 0 {
        // The first one counts from the start of the process.
        state.begun = Instant::now();
    }
    drop(state);
    write_to(stream, &text)?;
    Ok(true)
}

fn write_to(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())
}

/// Reads a request: its path and its body. `None` at the end of the connection.
fn request(reader: &mut BufReader<&TcpStream>) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).context("it is not HTTP")?.to_owned();
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse::<usize>()?,
            Some(("transfer-encoding", value)) => is_chunked = value.trim() == "chunked",
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    if !is_chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        return Ok(Some((path, body)));
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim_end(), 16)?;
        let start = body.len();
        // Each chunk ends with an empty line, the last one too.
        body.resize(start + size + 2, 0);
        reader.read_exact(body.get_mut(start..).unwrap_or_default())?;
        body.truncate(start + size);
        if size == 0 {
            return Ok(Some((path, body)));
        }
    }
}

/// The most memory that a process has had, on Linux.
fn peak(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("can't read `{path}`: memory is measured on Linux only"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(value.with_context(|| format!("`{path}` has no VmHWM"))?.parse::<u64>()? * 1024)
}
