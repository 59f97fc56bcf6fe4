//! What a process holds of the memory, as Linux tells it.

use anyhow::Context as _;

/// Bytes of one process.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// All that is in memory.
    pub(crate) resident: u64,
    /// What no other process shares.
    pub(crate) private: u64,
}

/// What the process holds now.
pub(crate) fn of(pid: u32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("can't read `{path}`: memory is measured on Linux only"))?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = value.and_then(|value| value.trim().strip_suffix(" kB"));
        let kib = kib.with_context(|| format!("`{path}` has no {name}"))?;
        anyhow::Ok(kib.parse::<u64>()? * 1024)
    };
    Ok(Memory { resident: field("Rss")?, private: field("Private_Clean")? + field("Private_Dirty")? })
}
