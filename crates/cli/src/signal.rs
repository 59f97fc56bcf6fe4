//! The events that tell a program to stop.

use std::io;

/// Waits for Ctrl-C. It never completes where Ctrl-C can't be watched.
pub async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for Ctrl-C, or for the signal with which a service manager ends a program (SIGTERM).
pub async fn interrupted() {
    tokio::select! {
        () = ctrl_c() => {}
        () = terminated() => {}
    }
}

/// Waits for the signal with which a service manager ends a program. It never completes on systems without signals.
async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::SignalKind;
        received(SignalKind::terminate()).await;
    }
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}

/// Waits until the terminal is closed (SIGHUP). It never completes on systems without signals.
pub async fn hung_up() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::SignalKind;
        received(SignalKind::hangup()).await;
    }
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}

#[cfg(unix)]
async fn received(kind: tokio::signal::unix::SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => std::future::pending::<()>().await,
    }
}

/// Waits until standard input ends. A program that starts another one ties the other's life to its own in this way.
///
/// Standard input is read on a thread of its own: the read can't be cancelled, and must not keep the program alive.
pub async fn stdin_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        io::copy(&mut io::stdin().lock(), &mut io::sink()).unwrap_or_default();
        // The program may have stopped waiting.
        closed.send(()).unwrap_or_default();
    });
    wait.await.unwrap_or_default();
}
