//! `enableCachingForHttp`: whose answer serves which requests, and for how long.

use std::time::Duration;

use integration::{
    http_client::{HttpClient, basic},
    script::{Script, Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use serde_json::json;

async fn gateway(caching: bool) -> (TestGateway, Script) {
    let mut answer = allow_all();
    answer["refreshAfterInSeconds"] = json!(300);
    let (start, script) = Start::with_script(&Step::Answer(answer));
    let start = start.with(|settings| settings.authorizers[0].caching_for_http = caching);
    (start.on_manual_clock().run().await, script)
}

async fn publish(client: &mut HttpClient, target: &str, user: &str, body: &str) -> u16 {
    let user = basic(user, "p");
    client.request("POST", target, &[("Authorization", &user)], body).await.status
}

#[tokio::test]
async fn without_caching_every_request_calls_the_function() {
    let (gateway, script) = gateway(false).await;
    let mut client = HttpClient::open(&gateway).await;
    for calls in 1..4 {
        assert_eq!(publish(&mut client, "/topics/t", "u", "1").await, 200);
        assert_eq!(script.calls(), calls);
    }
}

#[tokio::test]
async fn a_cached_answer_serves_the_same_credentials_on_the_same_connection_until_its_refresh() {
    let (gateway, script) = gateway(true).await;
    let mut client = HttpClient::open(&gateway).await;
    for (target, body) in [("/topics/a", "1"), ("/topics/a", "22"), ("/topics/b/c", "333")] {
        assert_eq!(publish(&mut client, target, "u", body).await, 200);
        assert_eq!(script.calls(), 1, "{target}");
    }
    let mut another = HttpClient::open(&gateway).await;
    assert_eq!(publish(&mut another, "/topics/a", "u", "1").await, 200);
    assert_eq!(script.calls(), 2, "another connection has its own");
    // A connection that is not used for 30 s is closed, so it is used all the time.
    for _ in 0..11 {
        gateway.advance(Duration::from_secs(25));
        assert_eq!(publish(&mut client, "/topics/a", "u", "1").await, 200);
        assert_eq!(script.calls(), 2);
    }
    gateway.advance(Duration::from_secs(25));
    assert_eq!(publish(&mut client, "/topics/a", "u", "1").await, 200);
    assert_eq!(script.calls(), 3);
}

#[tokio::test]
async fn a_cached_answer_does_not_serve_other_credentials() {
    let (gateway, script) = gateway(true).await;
    let mut client = HttpClient::open(&gateway).await;
    assert_eq!(publish(&mut client, "/topics/a", "u", "1").await, 200);
    script.set(&Step::Answer(json!({"isAuthenticated": false})));
    assert_eq!(publish(&mut client, "/topics/a", "v", "1").await, 401);
    assert_eq!(client.request("POST", "/topics/a", &[], "1").await.status, 401);
    let query = "/topics/a?x-amz-customauthorizer-name=latchkey";
    assert_eq!(publish(&mut client, query, "u", "1").await, 401);
    assert_eq!(script.calls(), 4);
    // What was kept is still the first one's.
    assert_eq!(publish(&mut client, "/topics/a", "u", "1").await, 200);
    assert_eq!(script.calls(), 4);
}

#[tokio::test]
async fn the_policies_of_a_cached_answer_are_enforced() {
    let answer = allow(&[("Allow", "iot:Publish", "topic/a")]);
    let (start, script) = Start::with_script(&Step::Answer(answer));
    let gateway = start.with(|settings| settings.authorizers[0].caching_for_http = true).run().await;
    let mut client = HttpClient::open(&gateway).await;
    for (target, status) in [("/topics/a", 200), ("/topics/b", 403), ("/topics/a", 200)] {
        assert_eq!(publish(&mut client, target, "u", "1").await, status, "{target}");
    }
    assert_eq!(script.calls(), 1);
}
