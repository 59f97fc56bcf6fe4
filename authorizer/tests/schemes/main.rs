//! The schemes of vendors and of tokens, from the event to the answer, at any moment.

#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]
#![expect(clippy::expect_used, reason = "a failure here is the test's failure")]
#![expect(clippy::indexing_slicing, reason = "a failure here is the test's failure")]

mod attempt;
mod binding;
mod freshness;
mod loading;
mod properties;
