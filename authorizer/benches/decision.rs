//! One connect attempt, from the bytes of the event to the bytes of the answer. [`README.md`](README.md) has figures.

#[path = "decision/cases.rs"]
mod cases;

use std::{fs, hint::black_box};

use criterion::Criterion;

fn main() -> anyhow::Result<()> {
    cases::discard_log()?;
    let (decider, cases) = cases::decider(1_000)?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("decision");
    for case in &cases {
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| decider.answer(black_box(&case.event)));
        });
    }
    group.finish();
    // The cost of checking whether the file has changed, which is part of each look-up.
    let file = tempfile::NamedTempFile::new()?;
    criterion.bench_function("stat", |bencher| {
        bencher.iter(|| fs::metadata(black_box(file.path())).and_then(|metadata| metadata.modified()));
    });
    criterion.final_summary();
    Ok(())
}
