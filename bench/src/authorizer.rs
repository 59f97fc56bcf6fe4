//! The authorizer's process: its start, its memory, its answers and its size, compared with an empty function and with an
//! authorizer in Python, all on the same Runtime API and with the same event.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::BufWriter,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cli::console::{counted, status};
use device_auth::{
    device_name::DeviceName,
    record::{FunctionSettings, Unsealing},
    scheme::Scheme,
    store::{
        document::{RecordDocument, StoreDocument},
        indexed,
    },
    time::{TimerSeconds, Timers},
    verifier::{LiveVerifier, Verifier, budget::FunctionMemory},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Size, dynamodb,
    fixture::Fixture,
    process::{AUTHORIZER, EMPTY_FUNCTION, program},
    report::{Figure, Section, Spread, Target},
    runtime_api::{Invoked, invoke},
};

const START: Target = Target::AtMost(1.3);
/// With the first call of DynamoDB over TLS.
const TLS_START: Target = Target::AtMost(2.0);
const MEMORY: Target = Target::AtMost(1.5);
const WARM: Target = Target::AtMost(1.1);
const PYTHON: Target = Target::AtLeast(10.0);
/// Of a program that was compressed as a deploy compresses it, in MB.
const COMPRESSED: Target = Target::AtMost(4.0);
/// The JSON file is not measured with more records.
const MOST_JSON_RECORDS: usize = 100_000;
/// The records with which warm answers and Python are measured.
const COMMON_RECORDS: usize = 1_000;
/// Where `make setup` installs Lambda's runtime client for Python.
const PYTHON_PROGRAM: &str = "target/tools/python/bin/python";

/// Functions that are measured in turns.
struct Contender {
    name: String,
    command: Box<dyn Fn() -> Command>,
    /// Which authorizes the device, as its answer must say.
    authorizes: bool,
    warm: usize,
}

/// What one of them did in each turn.
struct Series(Vec<Invoked>);

/// Measures all of them.
pub(crate) async fn measure(fixture: &Fixture, size: &Size) -> anyhow::Result<Section> {
    let folder = tempfile::tempdir()?;
    let table = dynamodb::serve(fixture).await?;
    let mut figures = Vec::new();
    for records in size.records {
        status(&format!("authorizer: {records} records"));
        let (json, built) = files(&folder, *records)?;
        let event = event(&device(records / 3));
        let is_common = *records == COMMON_RECORDS || size.records.len() < 3;
        let warm = if is_common { size.warm } else { 0 };
        let mut contenders = vec![empty(warm)?, ours("indexed", &built, warm)?];
        if *records <= MOST_JSON_RECORDS {
            contenders.push(ours("file", &json, warm)?);
        }
        if is_common {
            contenders.push(dynamodb(table, fixture.ca(), warm)?);
            contenders.extend(python(json)?);
        }
        let series = in_turns(&contenders, &event, size.starts)?;
        report(*records, &contenders, &series, &mut figures);
    }
    if !cfg!(debug_assertions) {
        figures.push(Figure::with_target("authorizer's program, gzip -9", compressed()?, "MB", COMPRESSED));
    }
    Ok(Section { name: "authorizer", figures })
}

fn report(records: usize, contenders: &[Contender], series: &[Series], figures: &mut Vec<Figure>) {
    let Some((floor, others)) = series.split_first() else { return };
    let count = counted(records, "record");
    figures.push(Figure::new(format!("empty function: start, turn of {count}"), floor.start(), "ms"));
    for (contender, series) in contenders.iter().skip(1).zip(others) {
        let Contender { name, .. } = contender;
        let start =
            Spread::of(series.0.iter().zip(&floor.0).map(|(ours, floor)| ratio(ours.first, floor.first)));
        let memory = Spread::of(
            series.0.iter().zip(&floor.0).map(|(ours, floor)| bytes(ours.peak) / bytes(floor.peak)),
        );
        let is_judged = name == "indexed";
        let figure = |what: &str, spread: Spread, target| {
            let name = format!("{name}, {count}: {what}");
            Figure::spread(name, spread, "times", is_judged.then_some(target))
        };
        let start_target = if name == "dynamodb" { Some(TLS_START) } else { is_judged.then_some(START) };
        figures.push(Figure::new(format!("{name}, {count}: start"), series.start(), "ms"));
        figures.push(Figure::spread(
            format!("{name}, {count}: start, empty = 1"),
            start,
            "times",
            start_target,
        ));
        figures.push(figure("memory, empty = 1", memory, MEMORY));
        if contender.warm > 0 && name != "python" {
            let warm =
                Spread::of(series.0.iter().zip(&floor.0).map(|(ours, floor)| ours.warm() / floor.warm()));
            figures.push(Figure::new(format!("empty function: answer, turn of {count}"), floor.p50(), "µs"));
            figures.push(Figure::new(format!("{name}, {count}: answer"), series.p50(), "µs"));
            figures.push(figure("answer, empty = 1", warm, WARM));
        }
    }
    let of =
        |name: &str| contenders.iter().zip(series).find(|(it, _)| it.name == name).map(|(_, series)| series);
    if let (Some(indexed), Some(python)) = (of("indexed"), of("python")) {
        let times =
            Spread::of(python.0.iter().zip(&indexed.0).map(|(python, ours)| ratio(python.first, ours.first)));
        let name = format!("python, {count}: start, indexed = 1");
        figures.push(Figure::spread(name, times, "times", Some(PYTHON)));
    }
}

/// Starts each contender once in every turn.
fn in_turns(contenders: &[Contender], event: &str, turns: u32) -> anyhow::Result<Vec<Series>> {
    let mut series = contenders.iter().map(|_| Series(Vec::new())).collect::<Vec<_>>();
    // The first turn reads the programs from the disk, and is not counted.
    for turn in 0..=turns {
        for (contender, series) in contenders.iter().zip(&mut series) {
            let invoked = invoke(&mut (contender.command)(), event, contender.warm)?;
            let answer = serde_json::from_str::<Value>(&invoked.answer)?;
            anyhow::ensure!(
                answer.get("isAuthenticated") == Some(&Value::Bool(contender.authorizes)),
                "{}: {}",
                contender.name,
                invoked.answer
            );
            if turn > 0 {
                series.0.push(invoked);
            }
        }
    }
    Ok(series)
}

impl Series {
    /// The median of the starts, in ms.
    fn start(&self) -> f64 {
        Spread::of(self.0.iter().map(|invoked| invoked.first.as_secs_f64() * 1e3)).median
    }

    /// The median of the turns' medians, in µs.
    fn p50(&self) -> f64 {
        Spread::of(self.0.iter().map(Invoked::warm)).median
    }
}

impl Invoked {
    /// The median of the later answers, in µs.
    fn warm(&self) -> f64 {
        Spread::of(self.warm.iter().map(|time| time.as_secs_f64() * 1e6)).median
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn bytes(bytes: u64) -> f64 {
    // More precise than any measurement of memory.
    u32::try_from(bytes / 1024).map_or(f64::NAN, f64::from)
}

fn empty(warm: usize) -> anyhow::Result<Contender> {
    let path = program(EMPTY_FUNCTION)?;
    let command = Box::new(move || clean(&path));
    Ok(Contender { name: "empty".to_owned(), command, authorizes: false, warm })
}

fn ours(kind: &str, path: &Path, warm: usize) -> anyhow::Result<Contender> {
    let (program, store) = (program(AUTHORIZER)?, format!("{kind}:{}", path.display()));
    let command = Box::new(move || {
        let mut command = clean(&program);
        command.env("LATCHKEY_STORE", &store);
        command
    });
    Ok(Contender { name: kind.to_owned(), command, authorizes: true, warm })
}

/// Ours with a table that answers at once, over TLS.
fn dynamodb(table: SocketAddr, ca: PathBuf, warm: usize) -> anyhow::Result<Contender> {
    let program = program(AUTHORIZER)?;
    let command = Box::new(move || {
        let mut command = clean(&program);
        command.env("LATCHKEY_STORE", "dynamodb:devices").env("LATCHKEY_CACHE_SECONDS", "0");
        command.env("AWS_ENDPOINT_URL_DYNAMODB", format!("https://localhost:{}", table.port()));
        command.env("SSL_CERT_FILE", &ca);
        command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench");
        command
    });
    Ok(Contender { name: "dynamodb".to_owned(), command, authorizes: true, warm })
}

/// The authorizer in Python, where `make setup` has installed Lambda's runtime client.
fn python(devices: PathBuf) -> anyhow::Result<Option<Contender>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = std::path::absolute(workspace.join(PYTHON_PROGRAM))?;
    if !python.exists() {
        status(&format!(
            "authorizer: no `{PYTHON_PROGRAM}`, so nothing is compared with Python (`make setup`)"
        ));
        return Ok(None);
    }
    let folder = std::path::absolute(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    let command = Box::new(move || {
        let mut command = clean(&python);
        command.args(["-m", "awslambdaric", "python_authorizer.handler"]).current_dir(&folder);
        command.env("DEVICES", &devices).env("PYTHONDONTWRITEBYTECODE", "");
        command
    });
    Ok(Some(Contender { name: "python".to_owned(), command, authorizes: true, warm: 0 }))
}

/// A command with the variables that Lambda sets, and no other.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "latchkey"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/latchkey"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/30/[$LATEST]0"),
        ("AWS_REGION", "us-east-1"),
    ] {
        command.env(name, value);
    }
    command
}

/// A records file of this size, and its indexed form. Each device's password is its name.
fn files(folder: &TempDir, records: usize) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (json, built) = (folder.path().join("devices.json"), folder.path().join("devices.indexed"));
    let devices = (0..records).map(|number| {
        let name = DeviceName::try_from(device(number))?;
        let salt = u128::try_from(number)?.to_be_bytes();
        let verifier = Verifier::of_generated(name.as_str().as_bytes(), salt);
        let record = RecordDocument {
            verifiers: vec![LiveVerifier { verifier, expires_at: None }],
            ..RecordDocument::new(Scheme::Password, "own-topics".to_owned())
        };
        anyhow::Ok((name, record))
    });
    let devices = devices.collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let document = StoreDocument { devices, ..StoreDocument::empty() };
    if records <= MOST_JSON_RECORDS {
        serde_json::to_writer(BufWriter::new(File::create(&json)?), &document)?;
    }
    let timer = TimerSeconds::try_from(3_600)?;
    let timers = Timers { refresh_after: timer, disconnect_after: timer };
    let function =
        FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed };
    indexed::write(document, function, BufWriter::new(File::create(&built)?), |_| {})?;
    Ok((json, built))
}

fn device(number: usize) -> String {
    format!("device-{number:07}")
}

/// What IoT Core sends about a CONNECT of the device.
fn event(device: &str) -> String {
    let mqtt = json!({"username": device, "password": STANDARD.encode(device), "clientId": device});
    json!({
        "protocolData": {"tls": {"serverName": "a1b2c3-ats.iot.us-east-1.amazonaws.com"}, "mqtt": mqtt},
        "protocols": ["tls", "mqtt"],
        "signatureVerified": false,
        "connectionMetadata": {"id": "0d7a3a3c-2f0e-4c0e-9f0e-8f6c6c1f7f11"},
    })
    .to_string()
}

/// The size of the authorizer's program as gzip makes it, in MB.
fn compressed() -> anyhow::Result<f64> {
    let path = program(AUTHORIZER)?;
    let file = File::open(&path)?;
    let output = Command::new("gzip").args(["-9", "-c"]).stdin(Stdio::from(file)).output();
    let output = output.context("can't run gzip")?;
    anyhow::ensure!(output.status.success(), "gzip failed on {} bytes", fs::metadata(&path)?.len());
    Ok(f64::from(u32::try_from(output.stdout.len())?) / 1e6)
}
