//! API calls: Things that they create, lists of these by pages, and what `TestInvokeAuthorizer` adds to its function's time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::{
    Size,
    api::Signer,
    fixture::Fixture,
    gateway::Gateway,
    report::{Figure, Section, Target, median},
};

/// Connections that create Things, one at a time each.
const CONNECTIONS: usize = 32;
/// Things of a page: AWS's most.
const PAGE: usize = 250;
const BODY: &str = r#"{"attributePayload":{"attributes":{"site":"lab"}}}"#;
/// The target for the Things created in a second.
const LEAST: Target = Target::AtLeast(5_000.0);
/// The target for what the memory grows by from the first tenth of the Things to the last one, in MB.
const MOST_MB: Target = Target::AtMost(8.0);

/// The target for a call without a function, in milliseconds.
const MOST_MS: Target = Target::AtMost(1.0);

/// A page of `ListThings`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    things: Vec<serde::de::IgnoredAny>,
    next_token: Option<String>,
}

/// Creates the Things, and lists them.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let gateway = Gateway::start(fixture).await?;
    let signer = Signer::of(&gateway.data)?;
    // By tenths, so that no signature is too old; and the first one leaves a gateway that has some Things already.
    let (all, cpu) = (size.things, gateway.cpu()?);
    let (mut creating, mut memory) = (Duration::ZERO, Vec::new());
    for from in (0..all).step_by(all / 10) {
        creating += create(&signer, from, from + all / 10).await?;
        memory.push(gateway.memory()?.private);
    }
    let cpu = gateway.cpu()?.saturating_sub(cpu);
    let grown = memory.last().zip(memory.first()).map_or(0, |(after, before)| after.saturating_sub(*before));
    let began = Instant::now();
    let listed = list(&signer).await?;
    let listing = began.elapsed();
    ensure!(listed == all, "{listed} of {all} things are listed");
    let (seconds, grown) = (creating.as_secs_f64(), u32::try_from(grown / 1_000)?);
    let things = f64::from(u32::try_from(all)?);
    let (described, tested) = test_invoke(&signer, fixture, size.timed_calls).await?;
    let figures = vec![
        Figure::new("things", things, ""),
        Figure::with_target("created", things / seconds, "/s", LEAST),
        Figure::new("processor time of the gateway for each", cpu.as_secs_f64() * 1e6 / things, "µs"),
        Figure::with_target("memory, from the first tenth to the end", f64::from(grown) / 1e3, "MB", MOST_MB),
        Figure::new("listed by pages of 250", things / listing.as_secs_f64(), "/s"),
        Figure::new("TestInvokeAuthorizer, half of them within", tested, "ms"),
        // What is around the function's time: HTTP, the signature, the look-up of the authorizer.
        Figure::with_target("DescribeAuthorizer, half of them within", described, "ms", MOST_MS),
    ];
    Ok(Section { name: "api-calls", figures })
}

/// Creates the Things with these numbers. The time does not have that of the signatures in it.
async fn create(signer: &Signer, from: usize, to: usize) -> anyhow::Result<Duration> {
    let mut queues = Vec::new();
    for connection in 0..CONNECTIONS {
        let numbers = (from + connection..to).step_by(CONNECTIONS);
        let requests = numbers.map(|number| {
            let path = format!("/things/bench-{number:06}");
            signer.request(&Method::POST, &path, Bytes::from_static(BODY.as_bytes()))
        });
        queues.push((signer.connect().await?, requests.collect::<anyhow::Result<Vec<_>>>()?));
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (mut connection, requests) in queues {
        tasks.spawn(async move {
            for request in requests {
                connection.send(request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome?.context("a thing is not created")?;
    }
    Ok(began.elapsed())
}

/// Counts the Things in all pages of the list.
async fn list(signer: &Signer) -> anyhow::Result<usize> {
    let mut connection = signer.connect().await?;
    let (mut listed, mut token) = (0, String::new());
    loop {
        let path = format!("/things?maxResults={PAGE}{token}");
        let body = connection.send(signer.request(&Method::GET, &path, Bytes::new())?).await?;
        let page = serde_json::from_slice::<Page>(&body)?;
        listed += page.things.len();
        let Some(next) = page.next_token else { return Ok(listed) };
        let next = form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
        token = format!("&nextToken={next}");
    }
}

/// The median times, in milliseconds, of `DescribeAuthorizer` and `TestInvokeAuthorizer`, one call after the other.
async fn test_invoke(signer: &Signer, fixture: &Fixture, calls: usize) -> anyhow::Result<(f64, f64)> {
    let device = fixture.logins.first().context("there is no device")?;
    let context = serde_json::json!({"mqttContext": {
        "username": device.user_name, "clientId": device.client_id,
        "password": STANDARD.encode(device.password.expose()),
    }});
    let context = Bytes::from(context.to_string());
    let mut connection = signer.connect().await?;
    let (mut described, mut tested) = (Vec::new(), Vec::new());
    for _ in 0..calls {
        let describe = signer.request(&Method::GET, "/authorizer/latchkey", Bytes::new())?;
        let began = Instant::now();
        connection.send(describe).await?;
        described.push(began.elapsed().as_secs_f64() * 1e3);
        let test = signer.request(&Method::POST, "/authorizer/latchkey/test", context.clone())?;
        let began = Instant::now();
        let answer = connection.send(test).await?;
        tested.push(began.elapsed().as_secs_f64() * 1e3);
        let answer = serde_json::from_slice::<serde_json::Value>(&answer)?;
        ensure!(answer.get("isAuthenticated") == Some(&true.into()), "the function refuses the device");
    }
    Ok((median(described), median(tested)))
}
