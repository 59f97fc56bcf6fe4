//! What the proxies of the tests share: a listener that notes what its clients want to reach.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A proxy that leads to one address, whatever its clients want to reach. Dropping it stops it.
pub struct Proxy {
    /// Its port on 127.0.0.1.
    pub port: u16,
    asked: Asked,
    task: JoinHandle<()>,
}

/// What clients wanted to reach so far, as `HOST:PORT`.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

impl Proxy {
    /// A proxy that serves each client with `lead`, which notes what the client wants to reach.
    pub(crate) async fn serve<F>(
        target: SocketAddr,
        lead: impl Fn(TcpStream, SocketAddr, Asked) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Asked::default();
        let noted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = lead(stream, target, Arc::clone(&noted));
                // Whichever end fails first, the client sees its connection end, and says so.
                tokio::spawn(async move { _ = served.await });
            }
        });
        Self { port, asked, task }
    }

    /// What clients wanted to reach so far, as `HOST:PORT`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
