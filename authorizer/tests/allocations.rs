//! How often a decision allocates does not depend on how much there is in the store.

#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

#[path = "../benches/decision/cases.rs"]
mod cases;

/// Allocations of each case's decision over a store with so many other devices.
fn allocations(others: usize) -> Vec<(&'static str, u64)> {
    let (decider, cases) = cases::decider(others).unwrap();
    let of_one =
        |event: &[u8]| allocation_counter::measure(|| drop(decider.answer(event).unwrap())).count_total;
    // The line of the metrics is built in memory that grows with it, and a time in it may have a digit more.
    let fewest = |event: &[u8]| (0..20).map(|_| of_one(event)).min().unwrap();
    cases.iter().map(|case| (case.name, fewest(&case.event))).collect()
}

#[test]
fn a_store_of_ten_thousand_costs_no_allocation_more_than_one_of_ten() {
    cases::log_to_nowhere().unwrap();
    let of_ten = allocations(10);
    assert!(of_ten.iter().all(|(_, count)| *count > 0), "nothing was counted: {of_ten:?}");
    assert_eq!(allocations(10_000), of_ten);
}
