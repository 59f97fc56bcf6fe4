//! A last will that is published some time after its connection (MQTT 5 section 3.1.3.2.2).
//!
//! AWS keeps the delay *(guess: Will Delay Interval as in MQTT 5)*.

use std::sync::Arc;

use mqtt::{Publish, TopicName};
use tokio::sync::oneshot;

use crate::{
    broker::registration::Departure, clock::Moment, delayed_will_limit::DelayedWillPermit,
    metrics::Direction, shared::Shared,
};

/// A last will that the policies allowed when its connection ended. They are not asked again when it is due, although the
/// client may have lost its rights meanwhile: AWS documents a check at the CONNECT, and none later *(guess: a delayed will
/// is published although its client has lost its rights)*.
pub(super) struct Will {
    pub(super) topic: TopicName,
    pub(super) publish: Publish,
    pub(super) due: Moment,
    /// Held until the will is published or dropped.
    pub(super) permit: DelayedWillPermit,
}

/// A last will that is published unless its client is back by then.
pub struct DelayedWill {
    will: Box<Will>,
    client_id: Arc<str>,
    /// Gets a value when the client is back. It fails when the session ends, and the will is due then.
    resumed: Option<oneshot::Receiver<()>>,
    shared: Arc<Shared>,
}

/// The will, unless another connection has resumed the session already.
pub(super) fn delayed(
    will: Option<Box<Will>>,
    departure: Departure,
    client_id: Arc<str>,
    shared: Arc<Shared>,
) -> Option<DelayedWill> {
    let resumed = match departure {
        Departure::Waiting(resumed) => Some(resumed),
        Departure::Ended => None,
        Departure::Resumed => return None,
    };
    Some(DelayedWill { will: will?, client_id, resumed, shared })
}

impl DelayedWill {
    /// Publishes the will when it is due. A gateway that stops before that does not publish it.
    pub async fn publish(self) {
        let Self { will, client_id, resumed, shared } = self;
        if let Some(resumed) = resumed {
            tokio::select! {
                biased;
                () = shared.stopping.cancelled() => return,
                resumed = resumed => if resumed.is_ok() { return },
                () = shared.clock.sleep_until(will.due) => {}
            }
        }
        let Will { topic, publish, permit, .. } = *will;
        drop(permit);
        shared.log.metrics().message(Direction::In);
        let published = shared.broker.publish(Arc::clone(&client_id), topic, publish, shared.clock.now());
        if let Err(error) = published.await {
            tracing::error!(%error, client_id = &*client_id, "a last will is lost");
        }
    }
}
