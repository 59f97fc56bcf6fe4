//! The Lambda function.

use std::process::ExitCode;

fn main() -> ExitCode {
    authorizer::run()
}
