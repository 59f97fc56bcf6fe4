//! Connects a second: the gateway with its authorizer, and a bare rustls accept loop.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use device_sim::Login;
use tokio::task::JoinSet;

use crate::{
    Size,
    bare::Bare,
    dialler::Dialler,
    fixture::Fixture,
    gateway::Gateway,
    report::{Figure, Section, Target, median},
};

/// Connects that are under way at a time.
const AT_A_TIME: usize = 32;
/// The target for the ratio to the bare loop's rate.
const LEAST: Target = Target::AtLeast(0.6);

/// The server that clients connect to.
#[derive(Clone, Copy)]
enum Peer {
    /// The gateway. A connect ends with a CONNACK.
    Gateway(SocketAddr),
    /// The bare loop. A connect ends with the handshake.
    Bare(SocketAddr),
}

/// Measures both in turns.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let (gateway, bare) = (Gateway::start(fixture).await?, Bare::start(fixture).await?);
    let (ours, theirs) = (Peer::Gateway(gateway.address), Peer::Bare(bare.address));
    let dialler = Dialler::new(fixture)?;
    // Each turn has other devices than the turn before, as when a fleet comes back.
    let turns = fixture.logins.chunks(size.connects).map(Arc::<[Login]>::from).collect::<Vec<_>>();
    let mut turns = turns.iter().cycle();
    let mut rate = async |peer| {
        let devices = turns.next().map(Arc::clone).unwrap_or_default();
        connects_a_second(&dialler, peer, devices).await
    };
    // The first connects start the authorizers.
    rate(ours).await?;
    let (mut rates, mut bare_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let (ours, theirs) = (rate(ours).await?, rate(theirs).await?);
        rates.push(ours);
        bare_rates.push(theirs);
        ratios.push(ours / theirs);
    }
    let figures = vec![
        Figure::new("gateway: TLS, CONNECT, authorizer, CONNACK", median(rates), "/s"),
        Figure::new("bare rustls accept loop: TLS", median(bare_rates), "/s"),
        Figure::with_target("ratio, median of the turns", median(ratios), "", LEAST),
    ];
    Ok(Section { name: "connect", figures })
}

/// Connects every device to the gateway once, and closes each connection at once.
pub(crate) async fn gateway(
    dialler: &Dialler,
    address: SocketAddr,
    devices: Arc<[Login]>,
) -> anyhow::Result<()> {
    connects_a_second(dialler, Peer::Gateway(address), devices).await.map(|_| ())
}

/// Connects every device once, up to [`AT_A_TIME`] at a time, and closes each connection at once.
async fn connects_a_second(dialler: &Dialler, peer: Peer, devices: Arc<[Login]>) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let (dialler, devices) = (dialler.clone(), Arc::clone(&devices));
        workers.spawn(async move {
            for device in devices.iter().skip(worker).step_by(AT_A_TIME) {
                match peer {
                    Peer::Gateway(address) => drop(dialler.connect(address, device).await?),
                    Peer::Bare(address) => drop(dialler.handshake(address).await?),
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let connects = u32::try_from(devices.len())?;
    Ok(f64::from(connects) / began.elapsed().as_secs_f64())
}
