//! The ways to a function that is no program of the gateway's: an Invoke URL and an ARN. Each lets in and refuses, and
//! whatever goes wrong on the way is one refused connect whose cause the log names.

mod arn;
mod python;
mod url;

use gateway::{clock::Clock, lambda::slots::Slots};
use integration::fake_function::Act;
use std::time::Duration;

/// The reason in the log when a function gave no usable answer.
const AT_FAULT: &str = "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR";

/// Turns as the gateway makes them, for one connect at a time.
fn slots(clock: Clock) -> Slots {
    Slots::new(1, Duration::from_secs(5), clock)
}

/// What goes wrong whichever way the call takes, and what is said of it.
fn faults() -> Vec<(Act, &'static str)> {
    vec![
        (Act::Error("store_fault"), "the authorizer reported `store_fault`"),
        (Act::Error("not a type"), "the authorizer reported `an error without a type`"),
        (Act::body_of(2 * 1024 * 1024), "the authorizer's answer is larger than 1024 KiB"),
        (Act::BytesAndEnd(Vec::new()), "broke during the call"),
        (Act::half_a_body(), "broke during the call"),
        (Act::BytesAndEnd(b"garbage\r\n\r\n".to_vec()), "broke during the call"),
    ]
}
