//! Calls that wait for an instance: the wait has an end, and a refresh does not wait for connects.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gateway::{
    clock::{Clock, ManualClock},
    event_log::EventLog,
    lambda::{
        Call, InvokeError,
        pool::{LocalFunction, Pool},
        program::Program,
    },
};
use integration::{
    captured_log::CapturedLog,
    eventually::{eventually, within},
    programs::program,
    script::{Script, Step, VARIABLE},
};
use serde_json::json;

/// One instance for connects.
fn pool(script: &Script, clock: &ManualClock) -> Arc<Pool> {
    let variables = vec![(VARIABLE.to_owned(), script.path().display().to_string())];
    let function = LocalFunction {
        program: Program::new(program("scripted-function"), variables),
        arn: "arn:aws:lambda:us-east-1:123456789012:function:f".to_owned(),
        limit: Duration::from_secs(5),
        instances: 1,
    };
    let log = EventLog::new(Box::new(CapturedLog::default()), None);
    Arc::new(Pool::new(function, Clock::Manual(clock.clone()), log))
}

fn call(pool: &Arc<Pool>, call: Call) -> tokio::task::JoinHandle<Result<Bytes, InvokeError>> {
    let pool = Arc::clone(pool);
    tokio::spawn(async move { pool.invoke(call, || Bytes::from_static(b"{}")).await })
}

#[tokio::test]
async fn a_refresh_does_not_wait_for_connects() {
    let folder = tempfile::tempdir().unwrap();
    let (script, clock) = (Script::new(folder.path(), &Step::Hang), ManualClock::new());
    let pool = pool(&script, &clock);
    let connect = call(&pool, Call::Connect);
    eventually("the connect's call", || (script.calls() == 1).then_some(())).await;
    script.set(&Step::Answer(json!("refreshed")));
    let refreshed = within("the refresh", call(&pool, Call::Refresh)).await.unwrap();
    assert_eq!(refreshed.unwrap(), "\"refreshed\"");
    assert!(!connect.is_finished(), "the only instance for connects still hangs");
    clock.advance(Duration::from_secs(5));
    let timed_out = within("the connect", connect).await.unwrap();
    assert_eq!(timed_out, Err(InvokeError::Timeout(Duration::from_secs(5))));
}

#[tokio::test]
async fn a_call_waits_for_an_instance_no_longer_than_a_call_may_take() {
    let folder = tempfile::tempdir().unwrap();
    let (script, clock) = (Script::new(folder.path(), &Step::Hang), ManualClock::new());
    let pool = pool(&script, &clock);
    let first = call(&pool, Call::Connect);
    eventually("the first call", || (script.calls() == 1).then_some(())).await;
    let waiting = [(); 5].map(|()| call(&pool, Call::Connect));
    let mut throttled = 0;
    for one in [first].into_iter().chain(waiting) {
        let ended = async {
            let mut one = one;
            loop {
                tokio::select! {
                    answer = &mut one => return answer.unwrap(),
                    () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
                }
            }
        };
        match within("a call", ended).await {
            Err(InvokeError::Throttled) => throttled += 1,
            Err(InvokeError::Timeout(_) | InvokeError::InitTimeout { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(throttled >= 4, "{throttled} of 5 were told that all instances are busy");
}

#[tokio::test]
async fn a_client_that_disconnects_costs_no_instance() {
    let folder = tempfile::tempdir().unwrap();
    let (script, clock) = (Script::new(folder.path(), &Step::Hold(json!("late"))), ManualClock::new());
    let pool = pool(&script, &clock);
    let gone = call(&pool, Call::Connect);
    eventually("the call", || (script.calls() == 1).then_some(())).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    script.set(&Step::Answer(json!("answered")));
    let answered = within("the last call", call(&pool, Call::Connect)).await.unwrap();
    assert_eq!(answered.unwrap(), "\"answered\"");
    assert_eq!(script.starts(), 1, "the instance has served both");
}
