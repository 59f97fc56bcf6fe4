//! The number of allocations of a decision does not depend on the size of the store.

#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

#[path = "../benches/decision/cases.rs"]
mod cases;

/// The allocations of each case's decision, with a store of this many other devices.
fn allocations(others: usize) -> Vec<(&'static str, u64)> {
    let (decider, cases) = cases::decider(others).unwrap();
    let of_one =
        |event: &[u8]| allocation_counter::measure(|| drop(decider.answer(event).unwrap())).count_total;
    // The buffer of the metrics line grows with it, and a time in the line may have one more digit.
    let fewest = |event: &[u8]| (0..20).map(|_| of_one(event)).min().unwrap();
    cases.iter().map(|case| (case.name, fewest(&case.event))).collect()
}

#[test]
fn larger_store_costs_no_more_allocations() {
    cases::discard_log().unwrap();
    let of_ten = allocations(10);
    assert!(of_ten.iter().all(|(_, count)| *count > 0), "nothing was counted: {of_ten:?}");
    assert_eq!(allocations(10_000), of_ten);
}
