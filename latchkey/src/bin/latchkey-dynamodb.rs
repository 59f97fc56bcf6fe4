//! A DynamoDB in memory for `latchkey demo`, on a free port of this machine.
//!
//! It prints its endpoint as one line, and ends when its standard input does, so that it never outlives the demo.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use cli::output;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(output::stderr(), "latchkey-dynamodb: {}", cli::error_text(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("can't listen on a free port")?;
    writeln!(output::stdout(), "http://{}", listener.local_addr()?)?;
    let database = dynoxide::Database::memory().context("the database does not start")?;
    let (mut stdin, mut byte) = (tokio::io::stdin(), [0]);
    tokio::select! {
        () = dynoxide::server::serve_on(listener, database) => anyhow::bail!("the server ended"),
        _ = stdin.read(&mut byte) => Ok(()),
    }
}
