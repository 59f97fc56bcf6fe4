//! An address that stays while the gateway behind it comes and goes: a port that was given back would be taken by
//! somebody else.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Leads connections to the gateway, and ends them at once while there is none.
pub(crate) struct Door {
    /// Where it is.
    pub(crate) port: u16,
    gateway: Arc<Mutex<Option<SocketAddr>>>,
}

impl Door {
    /// A door to this gateway.
    pub(crate) fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gateway = Arc::new(Mutex::new(Some(gateway)));
        let current = Arc::clone(&gateway);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let gateway = *current.lock().unwrap();
                if let Some(server) = gateway.and_then(|address| TcpStream::connect(address).ok()) {
                    lead(&client, &server);
                }
            }
        });
        Self { port, gateway }
    }

    /// Leads to another gateway from now on, or to none.
    pub(crate) fn set(&self, gateway: Option<SocketAddr>) {
        *self.gateway.lock().unwrap() = gateway;
    }
}

fn lead(client: &TcpStream, server: &TcpStream) {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            _ = io::copy(&mut from, &mut to);
            _ = to.shutdown(Shutdown::Both);
            _ = from.shutdown(Shutdown::Both);
        });
    }
}
