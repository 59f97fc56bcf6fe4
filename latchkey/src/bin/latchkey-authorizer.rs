//! The authorizer as `latchkey local` runs it: the same library entry point as the Lambda function's own program.

use std::process::ExitCode;

fn main() -> ExitCode {
    authorizer::run()
}
