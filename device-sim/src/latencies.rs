//! Distributions of latencies, in memory and in reports.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use serde::{Deserialize, Serialize};

/// How exact a distribution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Within 0.1 %, for a whole run.
    Run,
    /// Within 1 %, for an interval of a run: there are many of them.
    Interval,
}

impl Precision {
    const fn digits(self) -> u8 {
        match self {
            Self::Run => 3,
            Self::Interval => 2,
        }
    }
}

/// Latencies in microseconds, up to a minute; a longer one counts as a minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies(Option<Histogram<u64>>);

/// A distribution of times, in milliseconds. A time above a minute counts as a minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The number of measurements.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest time.
    pub max: f64,
}

/// [`Latencies`] as a text: the base64 of `HdrHistogram`'s V2 encoding, in microseconds. It is empty if nothing was
/// recorded. `HdrHistogram`'s libraries in other languages read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncodedLatencies(String);

/// A text is not the encoding of latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a histogram is not one of `latchkey sim`: base64 of HdrHistogram V2, up to 60,000,000 µs")]
pub struct DecodeLatenciesError;

impl Latencies {
    /// A distribution without a measurement.
    #[must_use]
    pub fn new(precision: Precision) -> Self {
        // A histogram always accepts these bounds.
        Self(Histogram::new_with_bounds(1, HIGHEST_US, precision.digits()).ok())
    }

    /// Adds one measurement.
    pub fn record(&mut self, latency: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Adds all measurements of another distribution. With the same precision nothing is lost: the sum is the distribution
    /// of all measurements.
    pub fn add(&mut self, other: &Self) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            // It fails only for bounds that differ, and all have the same ones.
            histogram.add(other).unwrap_or_default();
        }
    }

    /// Forgets all measurements.
    pub fn clear(&mut self) {
        if let Some(histogram) = &mut self.0 {
            histogram.reset();
        }
    }

    /// Whether there is no measurement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(Histogram::is_empty)
    }

    /// The distribution in figures, or nothing without a measurement.
    #[must_use]
    pub fn percentiles(&self) -> Option<Latency> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Some(Latency {
            count: histogram.len(),
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
            max: milliseconds(histogram.max()),
        })
    }

    /// The time in milliseconds that this part of the measurements does not exceed, from 0 to 1. It is 0 without a
    /// measurement.
    #[must_use]
    pub fn at_quantile(&self, quantile: f64) -> f64 {
        self.0.as_ref().map_or(0.0, |histogram| milliseconds(histogram.value_at_quantile(quantile)))
    }

    /// The distribution as a text.
    #[must_use]
    pub fn encode(&self) -> EncodedLatencies {
        let mut bytes = Vec::new();
        if let Some(histogram) = self.0.as_ref().filter(|histogram| !histogram.is_empty()) {
            // Writing to memory does not fail, and no count is above `i64::MAX`.
            if V2Serializer::new().serialize(histogram, &mut bytes).is_err() {
                bytes.clear();
            }
        }
        EncodedLatencies(STANDARD.encode(bytes))
    }
}

impl EncodedLatencies {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// If it is not an encoding, or one of other bounds or another precision.
    pub fn decode(&self, precision: Precision) -> Result<Latencies, DecodeLatenciesError> {
        let empty = Latencies::new(precision);
        if self.is_empty() {
            return Ok(empty);
        }
        let bytes = STANDARD.decode(&self.0).map_err(|_| DecodeLatenciesError)?;
        // The decoder makes room for the length that the header names, before it reads so much.
        let header =
            bytes.split_first_chunk().and_then(|(cookie, rest)| Some((cookie, rest.split_first_chunk()?)));
        let (cookie, (length, rest)) = header.ok_or(DecodeLatenciesError)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| DecodeLatenciesError)?;
        if *cookie != V2_COOKIE || rest.len().checked_sub(BOUNDS_BYTES) != Some(length) {
            return Err(DecodeLatenciesError);
        }
        let histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|_| DecodeLatenciesError)?;
        let is_ours =
            (histogram.low(), histogram.high(), histogram.sigfig()) == (1, HIGHEST_US, precision.digits());
        if is_ours { Ok(Latencies(Some(histogram))) } else { Err(DecodeLatenciesError) }
    }

    /// Whether there is no measurement.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the measurements of another text. One that can't be read has none.
    pub(crate) fn add(&mut self, other: &Self, precision: Precision) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        if let (Ok(mut sum), Ok(other)) = (self.decode(precision), other.decode(precision)) {
            sum.add(&other);
            *self = sum.encode();
        }
    }
}

const HIGHEST_US: u64 = 60_000_000;
/// What every V2 encoding begins with (`HdrHistogram`, "V2 encoding").
const V2_COOKIE: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];
/// What comes between the length and the counts.
const BOUNDS_BYTES: usize = 32;

fn milliseconds(microseconds: u64) -> f64 {
    f64::from(u32::try_from(microseconds).unwrap_or(u32::MAX)) / 1_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(samples: &[u64], precision: Precision) -> Latencies {
        let mut latencies = Latencies::new(precision);
        for us in samples {
            latencies.record(Duration::from_micros(*us));
        }
        latencies
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Whatever devices a shard has: the merged shards are one run.
        #[test]
        fn merged_texts_are_the_text_of_all_samples(
            shards in prop::collection::vec(prop::collection::vec(0_u64..120_000_000, 0..60), 1..6),
            is_run: bool,
        ) {
            let precision = if is_run { Precision::Run } else { Precision::Interval };
            let whole = of(&shards.concat(), precision);
            let mut merged = EncodedLatencies::default();
            for shard in &shards {
                merged.add(&of(shard, precision).encode(), precision);
            }
            prop_assert_eq!(&merged, &whole.encode());
            let decoded = merged.decode(precision).unwrap();
            prop_assert_eq!(decoded.percentiles(), whole.percentiles());
            prop_assert!((decoded.at_quantile(0.999) - whole.at_quantile(0.999)).abs() < f64::EPSILON);
        }

        #[test]
        fn no_text_makes_the_decoder_panic_or_take_memory(bytes in prop::collection::vec(any::<u8>(), 0..200), counts in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = EncodedLatencies(STANDARD.encode(&bytes)).decode(Precision::Run);
            let mut framed = header(u32::try_from(counts.len()).unwrap());
            framed.extend(&counts);
            let _ = EncodedLatencies(STANDARD.encode(&framed)).decode(Precision::Run);
        }
    }

    /// A header of our bounds.
    fn header(length: u32) -> Vec<u8> {
        let mut bytes = V2_COOKIE.to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes());
        bytes.extend(3_u32.to_be_bytes());
        bytes.extend(1_u64.to_be_bytes());
        bytes.extend(HIGHEST_US.to_be_bytes());
        bytes.extend(1.0_f64.to_be_bytes());
        bytes
    }

    #[test]
    fn foreign_texts_are_refused() {
        let text = |bytes: &[u8]| EncodedLatencies(STANDARD.encode(bytes));
        let mut two_digits = header(0);
        two_digits[15] = 2;
        let cases = [
            EncodedLatencies("not base64!".into()),
            text(b"short"),
            text(&header(4_000_000_000)),
            text(&two_digits),
            of(&[5], Precision::Interval).encode(),
        ];
        for case in cases {
            assert_eq!(case.decode(Precision::Run), Err(DecodeLatenciesError), "{case:?}");
        }
        assert!(EncodedLatencies::default().decode(Precision::Run).unwrap().is_empty());
        assert_eq!(of(&[], Precision::Run).encode(), EncodedLatencies::default());
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let samples = (1..=1000).map(|ms| ms * 1_000).collect::<Vec<_>>();
        let latency = of(&samples, Precision::Run).percentiles().unwrap();
        assert_eq!(latency.count, 1000);
        for (found, expected) in
            [(latency.p50, 500.0), (latency.p95, 950.0), (latency.p99, 990.0), (latency.max, 1_000.0)]
        {
            assert!((found - expected).abs() <= expected / 1_000.0, "{found} {expected}");
        }
        assert_eq!(of(&[], Precision::Run).percentiles(), None);
    }
}
