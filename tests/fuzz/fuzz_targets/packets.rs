//! MQTT packets from bytes of any kind. The first byte selects the end that reads the others.

#![no_main]

#[path = "../../../crates/mqtt/tests/stream/round_trip.rs"]
mod round_trip;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((&end, bytes)) = input.split_first() {
        round_trip::check(round_trip::End::from_byte(end), bytes);
    }
});
