//! Settings that no longer exist. A file or a command line that still has one gets an error with the reason.

use clap::Args;

use super::Mistakes;

/// The key in the settings file, and why it was removed. The flag is the key with hyphens.
const REMOVED: [(&str, &str); 2] = [
    (
        "close_refused",
        "AWS was measured to close the connection of a refused MQTT 3.1.1 client without a CONNACK and to send MQTT 5 \
         one, and the gateway always does the same",
    ),
    (
        "denied_publish_disconnects",
        "AWS was measured to answer a denied QoS 1 PUBLISH of MQTT 5 with PUBACK 0x87 and to keep the connection, and \
         the gateway always does the same",
    ),
];

/// The flags that no longer exist.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct RemovedFlags {
    #[arg(long, hide = true)]
    close_refused: bool,
    #[arg(long, hide = true)]
    denied_publish_disconnects: bool,
}

impl RemovedFlags {
    /// Adds a mistake for each flag that was typed.
    pub(super) fn check(self, mistakes: &mut Mistakes) {
        let typed = [self.close_refused, self.denied_publish_disconnects];
        for ((key, why), _) in REMOVED.iter().zip(typed).filter(|(_, typed)| *typed) {
            mistakes.add(None, format!("`--{}` was removed: {why}", key.replace('_', "-")));
        }
    }
}

/// What to say in the place of this error about an unknown key, if the key was removed.
pub(super) fn explain(unknown: &str) -> Option<String> {
    let key = unknown.strip_prefix("unknown field `")?.split_once('`')?.0;
    let (_, why) = REMOVED.iter().find(|(removed, _)| *removed == key)?;
    Some(format!("`{key}` was removed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_flag_is_an_error_with_its_reason() {
        let mut mistakes = Mistakes::default();
        RemovedFlags { close_refused: false, denied_publish_disconnects: true }.check(&mut mistakes);
        let error = mistakes.check().unwrap_err().to_string();
        assert!(error.starts_with("`--denied-publish-disconnects` was removed: AWS was measured"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
