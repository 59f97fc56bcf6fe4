//! A service that stops answering in the middle of a program's work: a proxy in front of one that does not.

use std::sync::Arc;

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{eventually::within, refusing::request};

/// The proxy, on a free port. Dropping it ends it.
pub struct Pausing {
    endpoint: String,
    state: Arc<watch::Sender<State>>,
    server: JoinHandle<()>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// How many requests of the kind came.
    requests: usize,
    /// How many of them are held.
    held: usize,
    is_released: bool,
}

impl Pausing {
    /// Sends requests to `upstream`. Those whose head has `part` are held after the first `most` of them.
    pub async fn start(upstream: &str, part: &'static str, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let state = Arc::new(watch::Sender::new(State::default()));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, upstream.clone(), part, most, Arc::clone(&shared)));
            }
        });
        Self { endpoint, state, server }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits until it holds a request.
    pub async fn paused(&self) {
        let mut state = self.state.subscribe();
        within("a request that is held", state.wait_for(|state| state.held > 0)).await.unwrap();
    }

    /// Sends on what it holds, and everything that comes.
    pub fn release(&self) {
        self.state.send_modify(|state| state.is_released = true);
    }
}

impl Drop for Pausing {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    upstream: String,
    part: &'static str,
    most: usize,
    state: Arc<watch::Sender<State>>,
) {
    let Some(request) = request(&mut stream).await else { return };
    if request.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes())) {
        let mut watched = state.subscribe();
        let mut is_held = false;
        state.send_modify(|state| {
            state.requests += 1;
            is_held = state.requests > most && !state.is_released;
            state.held += usize::from(is_held);
        });
        if is_held {
            _ = watched.wait_for(|state| state.is_released).await;
        }
    }
    let mut server = TcpStream::connect(upstream).await.unwrap();
    server.write_all(&request).await.unwrap();
    _ = tokio::io::copy(&mut server, &mut stream).await;
}
