//! Operations on the broker, and the order in which its memory and its file change.
//!
//! An operation has two halves. `prepare` decides, from the memory, what changes in the file. `apply` changes the memory
//! after the file has that. What is not in the file did not happen, so nobody reads of it.
//!
//! An operation that changes nothing in the file is done at once, on the caller's thread, if no other one waits. All others
//! go through one queue to the writer, a thread of its own. It commits the changes of many operations in one transaction, and
//! does so without the lock, so SQLite holds up neither the runtime's threads nor operations on the memory.

use std::{
    collections::{HashSet, VecDeque},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::{
    State,
    store::{Changes, Store, StoreError},
};
use crate::{clock::Moment, shadow::ShadowId};

/// Operations whose changes are committed in one transaction.
const MAX_GROUP: usize = 256;

/// The message broker. Dropping it completes the operations in the queue, and releases the file.
pub struct Broker {
    pub(super) operations: Arc<Operations>,
    writer: Option<JoinHandle<()>>,
}

/// The broker without its writer.
pub(super) struct Operations {
    memory: Mutex<Memory>,
    /// An operation is queued, or the broker stops.
    changed: Condvar,
    /// Only the writer uses it.
    store: Mutex<Store>,
    last_message: Arc<AtomicI64>,
}

struct Memory {
    state: State,
    queue: VecDeque<Operation>,
    /// The writer has taken operations from the queue and not applied them yet.
    writing: bool,
    stopped: bool,
}

/// An operation in the queue.
struct Operation {
    grouping: Grouping,
    step: Step,
}

enum Step {
    Prepare(Prepare),
    Apply(Changes, Apply),
}

type Prepare = Box<dyn FnOnce(&mut State, &mut Changes) -> Apply + Send>;
/// Returns a function that sends the operation's value, to be called without the lock.
type Apply = Box<dyn FnOnce(&mut State, Result<(), StoreError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce() + Send>;

/// Whether an operation's changes may be committed together with those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Its preparation does not depend on what the operations just before it change in memory.
    WithOthers,
    /// Its preparation depends on what an operation with the same shadow changes in memory.
    OncePerShadow(ShadowId),
    /// It changes clients or subscriptions, on which the preparation of every other operation depends.
    Alone,
}

/// The value of an operation that has ended.
pub trait Completion: Send + 'static {
    /// The value of an operation that the broker did not come to before it stopped.
    fn broker_stopped() -> Self;
}

/// The value of an operation, once the file has its changes. The operation is done even if nothing awaits this.
#[must_use = "only its value says whether the operation succeeded"]
pub struct Pending<T>(Progress<T>);

enum Progress<T> {
    Done(Option<T>),
    Queued(oneshot::Receiver<T>),
}

impl Broker {
    /// A broker with this memory and file, and its writer.
    pub(super) fn start(state: State, store: Store) -> Self {
        let memory = Memory { state, queue: VecDeque::new(), writing: false, stopped: false };
        let last_message = store.last_message();
        let operations = Arc::new(Operations {
            memory: Mutex::new(memory),
            changed: Condvar::new(),
            store: Mutex::new(store),
            last_message,
        });
        let theirs = Arc::clone(&operations);
        let writer = thread::spawn(move || theirs.write());
        Self { operations, writer: Some(writer) }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.operations.memory().stopped = true;
        self.operations.changed.notify_one();
        // A panic of the writer's was reported when it happened.
        _ = self.writer.take().map(JoinHandle::join);
    }
}

impl Operations {
    /// Does one operation after those before it. `apply` is called with the outcome of the write, also after an error.
    pub(super) fn submit<P: Send + 'static, T: Completion>(
        &self,
        grouping: Grouping,
        now: Moment,
        prepare: impl FnOnce(&mut State, &mut Changes) -> P + Send + 'static,
        apply: impl FnOnce(&mut State, P, Result<(), StoreError>) -> T + Send + 'static,
    ) -> Pending<T> {
        let mut memory = self.memory();
        let (sender, receiver) = oneshot::channel();
        if memory.stopped {
            return Pending(Progress::Queued(receiver));
        }
        if memory.state.has_session_to_end(now) {
            memory.queue.push_back(end_sessions(now));
        }
        let step = if memory.is_busy() {
            Step::Prepare(Box::new(move |state, changes| {
                let prepared = prepare(state, changes);
                Box::new(move |state, written| answer(sender, apply(state, prepared, written)))
            }))
        } else {
            let mut changes = self.changes();
            let prepared = prepare(&mut memory.state, &mut changes);
            if changes.is_empty() {
                return Pending(Progress::Done(Some(apply(&mut memory.state, prepared, Ok(())))));
            }
            Step::Apply(
                changes,
                Box::new(move |state, written| answer(sender, apply(state, prepared, written))),
            )
        };
        memory.queue.push_back(Operation { grouping, step });
        drop(memory);
        self.changed.notify_one();
        Pending(Progress::Queued(receiver))
    }

    /// Does something with the memory alone, at once.
    pub(super) fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.memory().state)
    }

    /// Removes a client whose connection has ended without an operation.
    pub(super) fn forget(&self, client_id: &str, connection: u64) {
        let mut memory = self.memory();
        if memory.state.current(client_id, connection).is_some_and(|client| client.is_connected()) {
            memory.state.remove(client_id);
        }
    }

    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.memory().state.retained.len()
    }

    /// Waits until no operation has to wait for others.
    #[cfg(test)]
    pub(super) fn idle(&self) {
        while self.memory().is_busy() {
            thread::yield_now();
        }
    }

    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.store().limit_pages(pages);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> Changes {
        Changes::new(Arc::clone(&self.last_message))
    }

    /// The writer: takes groups of operations from the queue until the broker stops and the queue is empty.
    fn write(&self) {
        loop {
            let mut memory = self.memory();
            memory.writing = false;
            while memory.queue.is_empty() {
                if memory.stopped {
                    return;
                }
                memory = self.changed.wait(memory).unwrap_or_else(PoisonError::into_inner);
            }
            memory.writing = true;
            let (changes, applies) = memory.next_group(|| self.changes());
            drop(memory);
            let outcomes = commit(&mut self.store(), &changes);
            let mut memory = self.memory();
            let state = &mut memory.state;
            let answers = applies.into_iter().zip(outcomes).map(|(apply, written)| apply(state, written));
            let answers = answers.collect::<Vec<_>>();
            drop(memory);
            for answer in answers {
                answer();
            }
        }
    }
}

impl Memory {
    /// Whether an operation has to wait for others.
    fn is_busy(&self) -> bool {
        self.writing || !self.queue.is_empty()
    }

    /// Prepares the next operations that are committed together.
    fn next_group(&mut self, no_changes: impl Fn() -> Changes) -> (Vec<Changes>, Vec<Apply>) {
        let (mut changes, mut applies, mut shadows) = (Vec::new(), Vec::new(), HashSet::new());
        while let Some(Operation { grouping, .. }) = self.queue.front() {
            let alone = *grouping == Grouping::Alone;
            if changes.len() == MAX_GROUP || alone && !changes.is_empty() {
                break;
            }
            if let Grouping::OncePerShadow(id) = grouping
                && !shadows.insert(id.clone())
            {
                break;
            }
            match self.queue.pop_front().map(|operation| operation.step) {
                Some(Step::Apply(its_changes, apply)) => {
                    changes.push(its_changes);
                    applies.push(apply);
                }
                Some(Step::Prepare(prepare)) => {
                    let mut its_changes = no_changes();
                    applies.push(prepare(&mut self.state, &mut its_changes));
                    changes.push(its_changes);
                }
                None => {}
            }
            if alone {
                break;
            }
        }
        (changes, applies)
    }
}

/// Ends the sessions whose time is over.
fn end_sessions(now: Moment) -> Operation {
    let prepare = move |state: &mut State, changes: &mut Changes| -> Apply {
        state.end_sessions(now, changes);
        Box::new(|_, written| {
            if let Err(error) = written {
                // They have ended all the same, and end again at the next start.
                tracing::error!(%error, "sessions that have ended are still in the file");
            }
            Box::new(|| {})
        })
    };
    Operation { grouping: Grouping::Alone, step: Step::Prepare(Box::new(prepare)) }
}

fn answer<T: Send + 'static>(to: oneshot::Sender<T>, value: T) -> Answer {
    // A caller that has gone does not need it.
    Box::new(move || drop(to.send(value)))
}

/// Commits the changes of a group together, or one operation at a time if that fails: a full disk may have room for some.
fn commit(store: &mut Store, group: &[Changes]) -> Vec<Result<(), StoreError>> {
    match store.commit(group) {
        Ok(()) => group.iter().map(|_| Ok(())).collect(),
        Err(error) if group.len() == 1 => vec![Err(error)],
        Err(_) => group.iter().map(|changes| store.commit(std::slice::from_ref(changes))).collect(),
    }
}

impl<T: Send + 'static> Completion for Result<T, StoreError> {
    fn broker_stopped() -> Self {
        Err(StoreError::Stopped)
    }
}

impl Completion for () {
    fn broker_stopped() {}
}

impl<T> Pending<T> {
    /// Whether the operation has ended already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Progress::Done(_) => true,
            Progress::Queued(receiver) => !receiver.is_empty(),
        }
    }
}

impl<T: Completion + Unpin> Future for Pending<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Progress::Done(value) => Poll::Ready(value.take().unwrap_or_else(T::broker_stopped)),
            Progress::Queued(value) => {
                Pin::new(value).poll(cx).map(|value| value.unwrap_or_else(|_| T::broker_stopped()))
            }
        }
    }
}
