//! What the console costs a gateway under load: processor time for a connect and for a message, without a console, with one that has
//! no page open, and with a page.
//!
//! The gateways get the same load in turns. A second one without a console shows how much two that are the same differ.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use device_sim::Login;

use crate::{
    Size, connect,
    dialler::Dialler,
    fixture::Fixture,
    gateway::{ConsoleUse, Gateway},
    report::{Figure, Section, Target, median},
    throughput,
};

/// What each gateway's console is used for, and the gateway's name.
const GATEWAYS: [(&str, ConsoleUse); 4] = [
    ("bench-off", ConsoleUse::Off),
    ("bench-off-too", ConsoleUse::Off),
    ("bench-closed", ConsoleUse::NoPage),
    ("bench-open", ConsoleUse::Page),
];
/// The target for the ratio with a page.
const PAGE: Target = Target::AtMost(1.02);
/// The same without one: not more than two gateways without a console may differ.
const NO_PAGE: Target = Target::AtMost(1.01);

/// The processor time of one kind of work, for each gateway a list with a value for each turn.
struct Costs([Vec<f64>; GATEWAYS.len()]);

/// A load of one turn. It returns how many connects or messages there were.
trait Load {
    async fn turn(&mut self, gateway: &Gateway) -> anyhow::Result<f64>;
}

/// Connects of devices, other ones in each turn.
struct Connects<'a> {
    dialler: &'a Dialler,
    turns: Vec<Arc<[Login]>>,
    next: usize,
}

/// QoS 1 messages of some publishers.
struct Messages<'a> {
    dialler: &'a Dialler,
    publishers: &'a [Login],
    turn: Duration,
}

/// Measures all of them in turns.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let dialler = Dialler::new(fixture)?;
    let mut gateways = Vec::new();
    for (name, console) in GATEWAYS {
        gateways.push(Gateway::start_with(fixture, name, console).await?);
    }
    let pages = gateways.iter().find_map(Gateway::page).context("no gateway has a page open")?;
    let turns = fixture.logins.chunks(size.connects).map(Arc::<[Login]>::from).collect();
    let connects = costs(&gateways, size.rounds, Connects { dialler: &dialler, turns, next: 0 }).await?;
    pages.has_shown("attempts").await?;
    let publishers = fixture.logins.get(..throughput::PUBLISHERS).unwrap_or_default();
    let load = Messages { dialler: &dialler, publishers, turn: size.turn / 3 };
    let messages = costs(&gateways, size.rounds, load).await?;
    pages.has_shown("messages").await?;
    let mut figures = Vec::new();
    for (costs, texts) in [
        (
            connects,
            [
                "connect: processor time",
                "  another gateway without a console, ratio",
                "  a console without a page, ratio",
                "  a page that shows attempts, ratio",
            ],
        ),
        (
            messages,
            [
                "QoS 1 message: processor time",
                "  another without, ratio",
                "  no page, ratio",
                "  a page with #, ratio",
            ],
        ),
    ] {
        let [own, other, closed, open] = texts;
        figures.extend([
            Figure::new(own, median(costs.0[0].clone()) * 1e6, "µs"),
            Figure::new(other, costs.ratio(1), ""),
            Figure::with_target(closed, costs.ratio(2), "", NO_PAGE),
            Figure::with_target(open, costs.ratio(3), "", PAGE),
        ]);
    }
    Ok(Section { name: "console", figures })
}

/// Gives each gateway its turns.
async fn costs(gateways: &[Gateway], rounds: u32, mut load: impl Load) -> anyhow::Result<Costs> {
    // The first turns start the authorizers.
    for gateway in gateways {
        load.turn(gateway).await?;
    }
    let mut costs = Costs(Default::default());
    for round in 0..rounds as usize {
        for place in 0..gateways.len() {
            // Each gateway is the first in some rounds.
            let number = (round + place) % gateways.len();
            let (Some(gateway), Some(cost)) = (gateways.get(number), costs.0.get_mut(number)) else {
                continue;
            };
            let before = gateway.threads_cpu()?;
            let count = load.turn(gateway).await?;
            let used = gateway.threads_cpu()?.saturating_sub(before);
            cost.push(used.as_secs_f64() / count);
        }
    }
    Ok(costs)
}

impl Costs {
    /// The median of the rounds' ratios to the first gateway.
    fn ratio(&self, number: usize) -> f64 {
        let [first, ..] = &self.0;
        let own = self.0.get(number).map(Vec::as_slice).unwrap_or_default();
        median(own.iter().zip(first).map(|(own, first)| own / first).collect())
    }
}

impl Load for Connects<'_> {
    async fn turn(&mut self, gateway: &Gateway) -> anyhow::Result<f64> {
        let devices = self.turns.get(self.next % self.turns.len()).map(Arc::clone).unwrap_or_default();
        self.next += 1;
        let count = f64::from(u32::try_from(devices.len())?);
        connect::gateway(self.dialler, gateway.address, devices).await?;
        Ok(count)
    }
}

impl Load for Messages<'_> {
    async fn turn(&mut self, gateway: &Gateway) -> anyhow::Result<f64> {
        let (count, _) =
            throughput::messages(self.dialler, gateway.address, self.publishers, self.turn).await?;
        Ok(f64::from(count))
    }
}
