//! Passes esp-hal's script to the linker, and builds in the configuration that `LATCHKEY_CONFIGURATION` names.

use std::path::Path;

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tlinkall.x");
    println!("cargo::rerun-if-env-changed=LATCHKEY_CONFIGURATION");
    let built_in = std::env::var_os("LATCHKEY_CONFIGURATION").unwrap_or_default();
    let folder = std::env::var_os("OUT_DIR").unwrap_or_default();
    let bytes = if built_in.is_empty() { Ok(Vec::new()) } else { std::fs::read(&built_in) };
    let written = bytes.and_then(|bytes| std::fs::write(Path::new(&folder).join("configuration.bin"), bytes));
    if let Err(error) = written {
        println!("cargo::error=can't build `{}` in: {error}", built_in.display());
    }
    println!("cargo::rerun-if-changed={}", built_in.display());
}
