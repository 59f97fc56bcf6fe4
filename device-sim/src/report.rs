//! The report of a run: one HTML page for people, without a script and without anything from elsewhere.
//!
//! `report/chart` draws, `report/html` writes texts and numbers, and `report/style.css` has colours and sizes. A page's
//! size depends on the number of intervals, which is bounded, and not on the number of devices.

mod chart;
mod html;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use self::chart::{Chart, Scale, Series, Shape, Span, Table};
use self::html::{clock, duration, field, float, grouped, latency, rate, text};
use crate::latencies::{Latencies, Latency, Precision};
use crate::readings::DeviceReadings;
use crate::run_info::utc;
use crate::summary::{Outcome, Summary};
use crate::timeline::{Interval, Timeline};

const STYLE: &str = include_str!("report/style.css");

/// The page of a result.
#[must_use]
pub fn page(summary: &Summary) -> String {
    let report = Report::new(summary);
    // Only this style sheet is allowed; scripts, pictures from elsewhere, frames and forms are not.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(STYLE))
    );
    let devices = summary.devices;
    let title = format!(
        "{} of {} devices got through",
        grouped(number(devices.got_through)),
        grouped(number(devices.expected))
    );
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    );
    report.header(&mut page, &title);
    page.push_str("<main>\n");
    report.figures(&mut page);
    report.problems(&mut page);
    report.faults(&mut page);
    let charts = [
        ("Connections", vec![report.online(), report.connects()]),
        ("Latency", vec![report.connect_latency(), report.publish_latency()]),
        ("Messages and refusals", vec![report.messages(), report.refusals()]),
        ("Readings", vec![report.temperature(), report.humidity()]),
    ];
    for (heading, charts) in charts {
        _ = writeln!(page, "<section><h2>{heading}</h2>\n<div class=\"pair\">");
        for chart in charts {
            page.push_str(&chart.html());
        }
        page.push_str("</div>\n");
        if heading == "Latency" {
            report.percentiles(&mut page);
        }
        page.push_str("</section>\n");
    }
    report.run(&mut page);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// A result, and what every chart needs of it.
struct Report<'a> {
    summary: &'a Summary,
    /// As fine as a reader wants it.
    timeline: Timeline,
    span: Span,
    connect: Latencies,
    publish: Latencies,
}

impl<'a> Report<'a> {
    fn new(summary: &'a Summary) -> Self {
        let run = &summary.run;
        let timeline = summary.timeline.coarsened(MAX_INTERVALS);
        let first = timeline.intervals.first().map_or(run.started_at_ms, |it| it.at_ms);
        let decoded = |encoded: &crate::latencies::EncodedLatencies| {
            encoded.decode(Precision::Run).unwrap_or_else(|_| Latencies::new(Precision::Run))
        };
        Self {
            summary,
            timeline,
            span: Span { from_ms: first, to_ms: run.ended_at_ms.max(first + 1) },
            connect: decoded(&summary.histograms.connect),
            publish: decoded(&summary.histograms.publish),
        }
    }

    fn header(&self, page: &mut String, title: &str) {
        let Summary { ok, run, wall_time_ms, .. } = self.summary;
        let (class, verdict) = if *ok { ("good", "Passed") } else { ("bad", "Not passed") };
        let mut facts = Vec::new();
        if let Some(endpoint) = run.settings.get("endpoint") {
            facts.push(text(endpoint));
        }
        let started = utc(run.started_at_ms);
        let shown =
            started.get(..19).map_or_else(|| started.clone(), |it| format!("{} UTC", it.replace('T', " ")));
        facts.push(format!("<time datetime=\"{}\">{}</time>", text(&started), text(&shown)));
        facts.push(field("/wall_time_ms", wall_time_ms, &duration(*wall_time_ms)));
        if let Some(shards) = &run.shards {
            facts.push(text(&shards.to_string()));
        }
        facts.push(format!("latchkey {}", text(&run.version)));
        let facts = facts.into_iter().fold(String::new(), |list, fact| format!("{list}<li>{fact}</li>"));
        _ = writeln!(
            page,
            "<header>\n<p class=\"verdict {class}\">{verdict}</p>\n<h1>{title}</h1>\n<ul class=\"facts\">{facts}</ul>\n</header>"
        );
    }

    /// The figures that a reader wants first.
    fn figures(&self, page: &mut String) {
        let Summary { devices, messages, .. } = self.summary;
        let count = |pointer: &str, count: u64| field(pointer, count, &grouped(count));
        let expected = count("/devices/expected", number(devices.expected));
        let tail = |name: &str, found: Option<Latency>| match found {
            Some(it) => (
                field(&format!("/{name}_latency_ms/p99"), it.p99, &latency(it.p99)),
                format!("p50 {}", field(&format!("/{name}_latency_ms/p50"), it.p50, &latency(it.p50))),
            ),
            None => ("none".to_owned(), "nothing was measured".to_owned()),
        };
        let (connect, publish) = (
            tail("connect", self.summary.connect_latency_ms),
            tail("publish", self.summary.publish_latency_ms),
        );
        let peak =
            self.rates(|it| it.acknowledged).into_iter().flatten().map(|(_, rate)| rate).fold(0.0, f64::max);
        let figures = [
            (
                "Got through",
                count("/devices/got_through", number(devices.got_through)),
                format!("of {expected}"),
            ),
            (
                "Not connected",
                grouped(number(devices.refused).saturating_add(number(devices.unreachable))),
                format!(
                    "{} refused, {} unreachable",
                    count("/devices/refused", number(devices.refused)),
                    count("/devices/unreachable", number(devices.unreachable))
                ),
            ),
            ("Connect p99", connect.0, connect.1),
            ("Publish p99", publish.0, publish.1),
            (
                "Acknowledged",
                count("/messages/acknowledged", messages.acknowledged),
                format!("of {} sent", count("/messages/sent", messages.sent)),
            ),
            (
                "Peak rate",
                format!("{}/s", rate(peak)),
                format!("{} failed", count("/messages/failed", messages.failed)),
            ),
        ];
        page.push_str("<dl class=\"figures\">\n");
        for (name, value, detail) in figures {
            _ = writeln!(page, "<div><dt>{name}</dt><dd class=\"value\">{value}</dd><dd>{detail}</dd></div>");
        }
        page.push_str("</dl>\n");
    }

    /// Everything that went wrong, by reason, with what the first device said.
    fn problems(&self, page: &mut String) {
        let summary = self.summary;
        let maps = [
            (Outcome::Refused, &summary.refused),
            (Outcome::Unreachable, &summary.unreachable),
            (Outcome::Lost, &summary.lost),
            (Outcome::Failed, &summary.failed),
        ];
        page.push_str("<section><h2>What went wrong</h2>\n");
        if maps.iter().all(|(_, counts)| counts.is_empty()) && summary.sensor_failures == 0 {
            page.push_str(
                "<p class=\"nothing\">No connect was refused, no connection was lost, and no message failed.</p>\n\
                 </section>\n",
            );
            return;
        }
        page.push_str("<ul class=\"problems\">\n");
        for (outcome, counts) in &maps {
            let mut counts = counts.iter().collect::<Vec<_>>();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (reason, count) in counts {
                let example =
                    summary.examples.iter().find(|it| it.outcome == *outcome && it.reason == *reason);
                let example = example.map_or_else(String::new, |it| {
                    format!("<p><strong>{}</strong> {}</p>", text(&it.device), text(&it.message))
                });
                let pointer = format!("/{}/{}", outcome.name(), reason.replace('~', "~0").replace('/', "~1"));
                let times = field(&pointer, count, &grouped(*count));
                let times = format!("{times} {}", if *count == 1 { "time" } else { "times" });
                let (name, reason) = (outcome.name(), text(reason));
                _ = writeln!(
                    page,
                    "<li><p><span class=\"tag\">{name}</span> <code>{reason}</code> <span>{times}</span></p>{example}</li>"
                );
            }
        }
        if summary.sensor_failures > 0 {
            let failures =
                field("/sensor_failures", summary.sensor_failures, &grouped(summary.sensor_failures));
            _ = writeln!(
                page,
                "<li><p><span class=\"tag\">sensor</span> <code>no_reading</code> <span>{failures} times</span></p></li>"
            );
        }
        page.push_str("</ul>\n</section>\n");
    }

    /// The faults on demand with what became of them, and what was expected of the run.
    fn faults(&self, page: &mut String) {
        let Summary { faults, expectations, .. } = self.summary;
        if faults.by_fault.is_empty() && expectations.is_empty() {
            return;
        }
        page.push_str("<section><h2>Faults and expectations</h2>\n");
        if !expectations.is_empty() {
            page.push_str("<ul class=\"problems\">\n");
            for expectation in expectations {
                let (class, verdict) = match expectation.met {
                    Some(true) => (" class=\"met\"", "as expected"),
                    Some(false) => ("", "not as expected"),
                    None => (" class=\"met\"", "not judged for a shard"),
                };
                let sentence = text(&expectation.to_string());
                _ = writeln!(
                    page,
                    "<li{class}><p><span class=\"tag\">{verdict}</span> <strong>{sentence}</strong></p></li>"
                );
            }
            page.push_str("</ul>\n");
        }
        let total =
            |counts: &BTreeMap<String, u64>| grouped(counts.values().copied().fold(0, u64::saturating_add));
        let rows = faults.by_fault.iter().map(|(fault, it)| {
            let counts = [&it.refused, &it.unreachable, &it.lost, &it.failed, &it.sensor_errors].map(total);
            [vec![fault.to_string(), grouped(it.devices), grouped(it.got_through)], counts.to_vec()].concat()
        });
        let rows = rows.collect::<Vec<_>>();
        if !rows.is_empty() {
            let heads = [
                "fault",
                "devices",
                "got through",
                "refused",
                "unreachable",
                "lost",
                "failed",
                "sensor errors",
            ];
            page.push_str("<h3>Faults on demand</h3>\n");
            let heads = heads.map(str::to_owned).to_vec();
            page.push_str(&Table { heads, rows }.html("Faults on demand"));
            let others = field(
                "/faults/errors_without_fault",
                faults.errors_without_fault,
                &grouped(faults.errors_without_fault),
            );
            _ = writeln!(page, "<p class=\"nothing\">Errors at devices without a fault: {others}.</p>");
        }
        page.push_str("</section>\n");
    }

    fn online(&self) -> Chart {
        let expected = float(number(self.summary.devices.expected));
        let points = self.intervals().map(|it| (self.end(it), float(it.online))).collect::<Vec<_>>();
        let most = self.intervals().map(|it| it.online).max().unwrap_or(0);
        let first = self.intervals().find(|it| it.online == most).map_or(0, |it| it.at_ms);
        let after = clock(first.saturating_sub(self.span.from_ms) + self.timeline.interval_ms);
        let rows = self.rows(|it| vec![grouped(it.online), grouped(it.connected), grouped(it.lost)]);
        Chart {
            id: "online",
            title: "Devices connected".to_owned(),
            note: match most {
                0 => "No device was connected.".to_owned(),
                most => format!("Up to {} at a time, first after {after}.", grouped(most)),
            },
            span: self.span,
            scale: Scale::counts(expected.max(float(most))),
            names_one: false,
            series: vec![
                Series { name: "expected".to_owned(), color: 6, shape: Shape::Level(expected) },
                Series { name: "connected".to_owned(), color: 1, shape: Shape::Area(points) },
            ],
            hints: self.hints(|it| format!("{} connected", grouped(it.online))),
            table: table(&["connected", "connects", "lost"], rows),
        }
    }

    fn connects(&self) -> Chart {
        let rates = self.rates(|it| it.connected);
        let peak = rates.iter().flatten().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let bars = self.bars(|it| vec![self.per_second(it, it.connected).unwrap_or(0.0)]);
        let rows = self.rows(|it| vec![self.shown_rate(it, it.connected), grouped(it.connected)]);
        let total = self.intervals().map(|it| it.connected).fold(0, u64::saturating_add);
        Chart {
            id: "connects",
            title: "Connects a second".to_owned(),
            note: format!("{} connects, up to {} a second.", grouped(total), rate(peak)),
            span: self.span,
            scale: Scale::from_zero(peak, "/s"),
            names_one: false,
            series: bars
                .into_iter()
                .map(|bars| Series { name: "connects".to_owned(), color: 1, shape: Shape::Bars(bars) })
                .collect(),
            hints: self.hints(|it| format!("{} connects a second", self.shown_rate(it, it.connected))),
            table: table(&["connects a second", "connects"], rows),
        }
    }

    fn connect_latency(&self) -> Chart {
        let note = "From the start of TCP to CONNACK, on a logarithmic scale.".to_owned();
        self.latency("connect-latency", "Connect latency", note, Interval::connect_latencies)
    }

    fn publish_latency(&self) -> Chart {
        let note = "From PUBLISH to PUBACK, on a logarithmic scale.".to_owned();
        self.latency("publish-latency", "Publish latency", note, Interval::publish_latencies)
    }

    fn latency(&self, id: &'static str, title: &str, note: String, of: fn(&Interval) -> Latencies) -> Chart {
        let measured = self.intervals().map(|it| of(it).percentiles()).collect::<Vec<_>>();
        let line = |which: fn(&Latency) -> f64| {
            let places = self.intervals().map(|it| self.middle(it)).zip(&measured);
            places.map(|(x, it)| it.as_ref().map(|it| (x, which(it)))).collect::<Vec<_>>()
        };
        let series = |name: &str, color, which, dashed| Series {
            name: name.to_owned(),
            color,
            shape: Shape::Line { points: line(which), dashed },
        };
        let all = measured.iter().flatten();
        let (low, high) =
            all.fold((f64::MAX, 0.0_f64), |(low, high), it| (low.min(it.p50), high.max(it.p99)));
        let shown = |it: Option<&Latency>| match it {
            Some(it) => [latency(it.p50), latency(it.p95), latency(it.p99)].map(Some),
            None => [None, None, None],
        };
        let mut rows = Vec::new();
        let mut hints = Vec::new();
        for (interval, latencies) in self.intervals().zip(&measured) {
            let percentiles = shown(latencies.as_ref());
            let count = grouped(latencies.map_or(0, |it| it.count));
            let cells = percentiles.clone().map(Option::unwrap_or_default);
            rows.push([vec![self.clock(interval)], cells.to_vec(), vec![count]].concat());
            if let [Some(p50), Some(p95), Some(p99)] = percentiles {
                let hint = format!("{}: p50 {p50}, p95 {p95}, p99 {p99}", self.clock(interval));
                hints.push((self.start(interval), self.end(interval), hint));
            }
        }
        Chart {
            id,
            title: title.to_owned(),
            note,
            span: self.span,
            scale: Scale::decades(if low > high { 1.0 } else { low }, high),
            names_one: false,
            series: vec![
                series("p50", 1, |it| it.p50, false),
                series("p95", 2, |it| it.p95, false),
                series("p99", 3, |it| it.p99, true),
            ],
            hints,
            table: table(&["p50", "p95", "p99", "measured"], rows),
        }
    }

    /// The percentiles of the whole run.
    fn percentiles(&self, page: &mut String) {
        let heads =
            ["latency", "p50", "p90", "p95", "p99", "p99.9", "max", "measured"].map(str::to_owned).to_vec();
        let row = |name: &str, latencies: &Latencies| {
            let it = latencies.percentiles()?;
            let (p90, p999) = (latencies.at_quantile(0.9), latencies.at_quantile(0.999));
            let cells = [it.p50, p90, it.p95, it.p99, p999, it.max].map(latency).to_vec();
            Some([vec![name.to_owned()], cells, vec![grouped(it.count)]].concat())
        };
        let rows = [row("connect", &self.connect), row("publish", &self.publish)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        if !rows.is_empty() {
            page.push_str("<h3>The whole run</h3>\n");
            page.push_str(&Table { heads, rows }.html("Latencies of the whole run"));
        }
    }

    fn messages(&self) -> Chart {
        let acknowledged = self.rates(|it| it.acknowledged);
        let failed = self.rates(|it| it.failed);
        let peak =
            |rates: &[Option<(f64, f64)>]| rates.iter().flatten().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let highest = peak(&acknowledged).max(peak(&failed));
        let rows = self.rows(|it| {
            let rates = [self.shown_rate(it, it.acknowledged), self.shown_rate(it, it.failed)];
            [rates.to_vec(), vec![grouped(it.acknowledged), grouped(it.failed)]].concat()
        });
        let line = |name: &str, color, points, dashed| Series {
            name: name.to_owned(),
            color,
            shape: Shape::Line { points, dashed },
        };
        let mut series = vec![line("acknowledged", 1, acknowledged, false)];
        if self.summary.messages.failed > 0 {
            series.push(line("failed", 2, failed, true));
        }
        Chart {
            id: "messages",
            title: "Messages a second".to_owned(),
            note: format!(
                "{} acknowledged, {} failed.",
                grouped(self.summary.messages.acknowledged),
                grouped(self.summary.messages.failed)
            ),
            span: self.span,
            scale: Scale::from_zero(highest, "/s"),
            names_one: false,
            series: if self.summary.messages.sent > 0 { series } else { Vec::new() },
            hints: self.hints(|it| {
                format!(
                    "{} acknowledged a second, {} failed",
                    self.shown_rate(it, it.acknowledged),
                    grouped(it.failed)
                )
            }),
            table: table(&["acknowledged a second", "failed a second", "acknowledged", "failed"], rows),
        }
    }

    /// Refusals by reason, with the attempts that did not reach the server.
    fn refusals(&self) -> Chart {
        let mut totals = BTreeMap::<&str, u64>::new();
        for (reason, count) in self.summary.refused.iter().chain(&self.summary.unreachable) {
            let total = totals.entry(reason).or_default();
            *total = total.saturating_add(*count);
        }
        let mut reasons = totals.into_iter().collect::<Vec<_>>();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let shown = reasons.iter().take(MAX_REASONS).map(|(reason, _)| *reason).collect::<Vec<_>>();
        let mut names = shown.iter().map(|reason| (*reason).to_owned()).collect::<Vec<_>>();
        if reasons.len() > shown.len() {
            names.push("other".to_owned());
        }
        let counts = |it: &Interval| {
            let all = || it.refused.iter().chain(&it.unreachable);
            let of = |reason: &str| {
                all().filter(|(it, _)| *it == reason).map(|(_, count)| *count).fold(0, u64::saturating_add)
            };
            let mut counts = shown.iter().map(|reason| of(reason)).collect::<Vec<_>>();
            if reasons.len() > shown.len() {
                let others = all().filter(|(reason, _)| !shown.contains(&reason.as_str()));
                counts.push(others.map(|(_, count)| *count).fold(0, u64::saturating_add));
            }
            counts
        };
        let highest = self.intervals().map(|it| counts(it).into_iter().fold(0, u64::saturating_add)).max();
        let bars = self.bars(|it| counts(it).into_iter().map(float).collect());
        let total = reasons.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
        let length = duration(self.timeline.interval_ms);
        let list = |it: &Interval| {
            let counts = names.iter().zip(counts(it)).filter(|(_, count)| *count > 0);
            counts.map(|(name, count)| format!("{} {name}", grouped(count))).collect::<Vec<_>>().join(", ")
        };
        let heads = names.iter().map(String::as_str).collect::<Vec<_>>();
        Chart {
            id: "refusals",
            title: "Refusals by reason".to_owned(),
            note: format!("{} attempts to connect failed; each bar is {length}.", grouped(total)),
            span: self.span,
            scale: Scale::counts(float(highest.unwrap_or(0))),
            names_one: true,
            series: bars
                .into_iter()
                .zip(&names)
                .enumerate()
                .map(|(index, (bars, name))| Series {
                    name: name.clone(),
                    color: index + 1,
                    shape: Shape::Bars(bars),
                })
                .collect(),
            hints: self
                .intervals()
                .filter(|it| !list(it).is_empty())
                .map(|it| (self.start(it), self.end(it), format!("{}: {}", self.clock(it), list(it))))
                .collect(),
            table: table(&heads, self.rows(|it| counts(it).into_iter().map(grouped).collect())),
        }
    }

    fn temperature(&self) -> Chart {
        self.readings("temperature", "Temperature", " °C", |it| &it.temperature)
    }

    fn humidity(&self) -> Chart {
        self.readings("humidity", "Relative humidity", " %", |it| &it.humidity)
    }

    fn readings(
        &self,
        id: &'static str,
        title: &str,
        unit: &'static str,
        of: fn(&DeviceReadings) -> &Vec<(u64, f64)>,
    ) -> Chart {
        let devices = self.summary.readings.iter().filter(|it| !of(it).is_empty()).collect::<Vec<_>>();
        let values = || devices.iter().flat_map(|it| of(it)).map(|(_, value)| *value);
        let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
        let line = |it: &&DeviceReadings| {
            let points = of(it).iter().map(|(at, value)| Some((self.span.place(*at), *value)));
            points.collect::<Vec<_>>()
        };
        let mut rows = Vec::new();
        for device in &devices {
            for (at, value) in of(device) {
                rows.push(vec![device.device.clone(), self.time(*at), format!("{value:.2}{unit}")]);
            }
        }
        Chart {
            id,
            title: title.to_owned(),
            note: match devices.len() {
                0 => "No reading was acknowledged.".to_owned(),
                1 => "What the first device to have a reading acknowledged measured.".to_owned(),
                some => format!("What the first {some} devices to have a reading acknowledged measured."),
            },
            span: self.span,
            scale: if low > high { Scale::from_zero(1.0, unit) } else { Scale::between(low, high, unit) },
            names_one: true,
            series: devices
                .iter()
                .enumerate()
                .map(|(index, it)| Series {
                    name: it.device.clone(),
                    color: index + 1,
                    shape: Shape::Line { points: line(it), dashed: false },
                })
                .collect(),
            hints: Vec::new(),
            table: Table { heads: ["device", "time", "value"].map(str::to_owned).to_vec(), rows },
        }
    }

    /// What the run was.
    fn run(&self, page: &mut String) {
        let run = &self.summary.run;
        let mut rows =
            run.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>();
        rows.extend([
            (
                "fleet".to_owned(),
                format!("{} devices, {}", grouped(run.fleet.devices), run.fleet.fingerprint),
            ),
            ("began".to_owned(), utc(run.started_at_ms)),
            ("ended".to_owned(), utc(run.ended_at_ms)),
        ]);
        page.push_str("<section><h2>The run</h2>\n<dl class=\"run\">\n");
        for (name, value) in rows {
            _ = writeln!(page, "<div><dt>{}</dt><dd>{}</dd></div>", text(&name), text(&value));
        }
        page.push_str("</dl>\n</section>\n");
    }

    fn intervals(&self) -> std::slice::Iter<'_, Interval> {
        self.timeline.intervals.iter()
    }

    fn start(&self, interval: &Interval) -> f64 {
        self.span.place(interval.at_ms)
    }

    fn end(&self, interval: &Interval) -> f64 {
        self.span.place(interval.at_ms.saturating_add(self.timeline.interval_ms))
    }

    fn middle(&self, interval: &Interval) -> f64 {
        f64::midpoint(self.start(interval), self.end(interval))
    }

    /// How many a second, in the part of an interval that the run covers. It is nothing if that is very short.
    fn per_second(&self, interval: &Interval, count: u64) -> Option<f64> {
        let run = &self.summary.run;
        let from = interval.at_ms.max(run.started_at_ms);
        let to = interval.at_ms.saturating_add(self.timeline.interval_ms).min(run.ended_at_ms);
        let ms = to.saturating_sub(from);
        (ms >= LEAST_MS).then(|| float(count) * 1_000.0 / float(ms))
    }

    fn shown_rate(&self, interval: &Interval, count: u64) -> String {
        self.per_second(interval, count).map_or_else(String::new, rate)
    }

    fn rates(&self, of: fn(&Interval) -> u64) -> Vec<Option<(f64, f64)>> {
        self.intervals().map(|it| Some((self.middle(it), self.per_second(it, of(it))?))).collect()
    }

    /// Stacked bars: for each value of an interval, one series. It is empty without a value above 0.
    fn bars(&self, of: impl Fn(&Interval) -> Vec<f64>) -> Vec<Vec<[f64; 4]>> {
        let mut series = Vec::<Vec<[f64; 4]>>::new();
        for interval in self.intervals() {
            let mut low = 0.0;
            for (index, value) in of(interval).into_iter().enumerate() {
                if series.len() <= index {
                    series.push(Vec::new());
                }
                if let Some(bars) = series.get_mut(index).filter(|_| value > 0.0) {
                    bars.push([self.start(interval), self.end(interval), low, low + value]);
                    low += value;
                }
            }
        }
        series
    }

    fn hints(&self, of: impl Fn(&Interval) -> String) -> Vec<(f64, f64, String)> {
        let hint = |it| (self.start(it), self.end(it), format!("{}: {}", self.clock(it), of(it)));
        self.intervals().map(hint).collect()
    }

    fn rows(&self, of: impl Fn(&Interval) -> Vec<String>) -> Vec<Vec<String>> {
        self.intervals().map(|it| [vec![self.clock(it)], of(it)].concat()).collect()
    }

    /// When an interval begins, as a person reads it.
    fn clock(&self, interval: &Interval) -> String {
        self.time(interval.at_ms)
    }

    /// A moment in UTC, with its date if the run is longer than a day.
    fn time(&self, at_ms: u64) -> String {
        let moment = utc(at_ms - at_ms % 10);
        let is_long = self.span.to_ms.saturating_sub(self.span.from_ms) > 86_400_000;
        let (date, time) = moment.split_once('T').unwrap_or(("", &moment));
        let time = time.trim_end_matches('Z');
        if is_long { format!("{date} {time}") } else { time.to_owned() }
    }
}

/// A table of intervals.
fn table(heads: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { heads: ["time"].iter().chain(heads).map(|head| (*head).to_owned()).collect(), rows }
}

/// As many as can be told apart on a page.
const MAX_INTERVALS: usize = 60;
/// The number of reasons that have a colour of their own.
const MAX_REASONS: usize = 5;
/// A rate of a shorter time would be an accident.
const LEAST_MS: u64 = 100;

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
