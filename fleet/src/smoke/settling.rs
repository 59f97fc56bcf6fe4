//! The wait for a new authorizer. For up to 90 s it refuses valid CONNECTs now and then, without a call of its function
//! (*measured*: docs/fidelity.md#the-deployment).

use std::time::Duration;

use device_sim::ConnectError;
use tokio::time::{Instant, sleep};

/// AWS accepts one CONNECT a second for one client id (AWS General Reference, "AWS IoT Core quotas"). A refusal for that
/// reason would say nothing about the password.
pub(super) const BETWEEN_CONNECTS: Duration = Duration::from_millis(1_500);
/// How many connects in a row have to succeed.
const IN_A_ROW: u32 = 3;

/// How the wait ended.
#[derive(Debug)]
pub(super) enum Settled {
    /// Enough connects in a row succeeded.
    Steady { refused: u32, after: Duration },
    /// The time was over.
    Unsteady { accepted: u32, last: ConnectError },
    /// The server could not be reached, which waiting does not change.
    Unreached,
}

/// Connects again and again until [`IN_A_ROW`] connects in a row succeed, or until a refusal after `limit`.
pub(super) async fn settle(
    limit: Duration,
    mut connect: impl AsyncFnMut() -> Result<(), ConnectError>,
    mut progress: impl FnMut(&str),
) -> Settled {
    let start = Instant::now();
    let (mut in_a_row, mut accepted, mut refused) = (0, 0, 0);
    loop {
        let answer = connect().await;
        let after = start.elapsed();
        match answer {
            Ok(()) => {
                (in_a_row, accepted) = (in_a_row + 1, accepted + 1);
                progress(&format!("{:>3} s  accepted, {in_a_row} of {IN_A_ROW} in a row", after.as_secs()));
                if in_a_row == IN_A_ROW {
                    return Settled::Steady { refused, after };
                }
            }
            Err(error) if error.is_refusal() => {
                (in_a_row, refused) = (0, refused + 1);
                progress(&format!("{:>3} s  {error}", after.as_secs()));
                if after + BETWEEN_CONNECTS > limit {
                    return Settled::Unsteady { accepted, last: error };
                }
            }
            Err(_) => return Settled::Unreached,
        }
        sleep(BETWEEN_CONNECTS).await;
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use device_sim::ConnectError::{ClosedBeforeConnAck, NameNotFound};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(90);

    /// Settles with answers in place of connects, and returns what it said too. Tokio moves the clock.
    async fn settled(mut answers: impl Iterator<Item = Result<(), ConnectError>>) -> (Settled, Vec<String>) {
        let mut lines = Vec::new();
        let connect = async || answers.next().unwrap();
        let settled = settle(LIMIT, connect, |line| lines.push(line.to_owned())).await;
        (settled, lines)
    }

    #[tokio::test(start_paused = true)]
    async fn three_connects_in_a_row_end_the_wait_at_once() {
        let (settled, lines) = settled(iter::repeat_with(|| Ok(()))).await;
        assert!(matches!(settled, Settled::Steady { refused: 0, after } if after == 2 * BETWEEN_CONNECTS));
        assert_eq!(
            lines,
            [1, 2, 3].map(|n| format!("{:>3} s  accepted, {n} of 3 in a row", (n - 1) * 3 / 2))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_begins_the_count_again() {
        let answers = [true, true, false, true, false, true, true, true];
        let answers = answers.map(|accepted| if accepted { Ok(()) } else { Err(ClosedBeforeConnAck) });
        let (settled, lines) = settled(answers.into_iter()).await;
        assert!(matches!(settled, Settled::Steady { refused: 2, after } if after == 7 * BETWEEN_CONNECTS));
        assert_eq!(lines[2], format!("  3 s  {ClosedBeforeConnAck}"));
        assert!(lines[3].ends_with("accepted, 1 of 3 in a row"), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_with_the_last_refusal_within_90_s() {
        let start = Instant::now();
        let (settled, lines) = settled(iter::repeat_with(|| Err(ClosedBeforeConnAck))).await;
        assert!(matches!(settled, Settled::Unsteady { accepted: 0, last: ClosedBeforeConnAck }));
        assert_eq!((start.elapsed(), lines.len()), (LIMIT, 61));
    }

    /// A row that has begun goes on after the limit: the authorizer has just become steady.
    #[tokio::test(start_paused = true)]
    async fn a_row_at_the_limit_is_not_cut_short() {
        let refusals = iter::repeat_with(|| Err(ClosedBeforeConnAck)).take(60);
        let (settled, _) = settled(refusals.chain(iter::repeat_with(|| Ok(())))).await;
        assert!(matches!(settled, Settled::Steady { refused: 60, .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_not_reached_is_not_waited_for() {
        let error = NameNotFound { host: "h".to_owned(), source: std::io::Error::other("x") };
        let (settled, lines) = settled(iter::once(Err(error))).await;
        assert!(matches!(settled, Settled::Unreached) && lines.is_empty());
    }
}
