//! A last will that is published some time after its connection (MQTT 5 section 3.1.3.2.2).
//!
//! That AWS keeps the delay is *(unverified)*.

use std::sync::Arc;

use mqtt::{Publish, TopicName};
use tokio::sync::oneshot;

use crate::{broker::registration::Departure, clock::Moment, metrics::Direction, shared::Shared};

/// A last will that the policies let through when its connection ended.
pub(super) struct Will {
    pub(super) topic: TopicName,
    pub(super) publish: Publish,
    pub(super) due: Moment,
}

/// A last will that is published unless its client is back before.
pub struct DelayedWill {
    will: Box<Will>,
    client_id: Arc<str>,
    /// Tells that the client is back; it fails when the session ends, and the will is due then.
    back: Option<oneshot::Receiver<()>>,
    shared: Arc<Shared>,
}

/// The will, unless another connection goes on with its session already.
pub(super) fn delayed(
    will: Option<Box<Will>>,
    left: Departure,
    client_id: Arc<str>,
    shared: Arc<Shared>,
) -> Option<DelayedWill> {
    let back = match left {
        Departure::Waiting(back) => Some(back),
        Departure::Ended => None,
        Departure::Resumed => return None,
    };
    Some(DelayedWill { will: will?, client_id, back, shared })
}

impl DelayedWill {
    /// Publishes it when it is due. A gateway that stops lets it go with it.
    pub async fn publish(self) {
        let Self { will, client_id, back, shared } = self;
        if let Some(back) = back {
            tokio::select! {
                biased;
                () = shared.stopping.cancelled() => return,
                back = back => if back.is_ok() { return },
                () = shared.clock.sleep_until(will.due) => {}
            }
        }
        let Will { topic, publish, .. } = &*will;
        shared.log.metrics().message(Direction::In);
        if let Err(error) = shared.broker.publish(&client_id, topic, publish, shared.clock.now()) {
            tracing::error!(%error, client_id = &*client_id, "a last will is lost");
        }
    }
}
