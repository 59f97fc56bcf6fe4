//! Repeats the decision of one case of the benchmark, for a profiler that counts instructions.
//!
//! `cargo build --release -p authorizer --no-default-features --example decide`, then `decide CASE TIMES`.

#[path = "../benches/decision/cases.rs"]
mod cases;

use std::{env, hint::black_box};

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let (name, times) = arguments.next().zip(arguments.next()).context("usage: decide CASE TIMES")?;
    let times = times.parse::<u32>()?;
    cases::discard_log()?;
    let (decider, cases) = cases::decider(1_000)?;
    let case = cases.iter().find(|case| case.name == name).with_context(|| format!("no case `{name}`"))?;
    repeat(times, || decider.answer(black_box(&case.event)).map(drop))
}

/// The function that the profiler's `--toggle-collect` names.
#[inline(never)]
fn repeat(times: u32, decide: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    for _ in 0..times {
        decide()?;
    }
    Ok(())
}
