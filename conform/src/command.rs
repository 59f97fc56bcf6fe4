//! The whole command, from arguments to exit code.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use cli::{
    console::{self, counted, status, wrapped_to},
    exit, output, signal,
};
use device_sim::Deployment;
use fleet::aws;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::sync::CancellationToken;

use crate::{
    args::ConformArgs,
    case::{self, Case, Line},
    host::{AccountHost, FunctionHost, GatewayHost, GatewayProgram},
    journal::Journal,
    page::{self, Row},
    report::{self, CaseResult, Counts, Subject},
    runner::{self, Attempt, Verdict},
    world::{ATTEMPTS, Needs, Place, World},
};

const RUN_FILE: &str = "run.json";
const LOCK_FILE: &str = "conform.lock";
/// After how many cases the progress is said.
const PROGRESS: usize = 50;
/// How long a run may take before its first case, and for each further sixteen cases, on an account: an estimate.
const SET_UP_SECONDS: u64 = 150;
const CASE_SECONDS: u64 = 8;

/// Where the cases run.
enum Target {
    Gateway,
    Account(Box<Deployment>),
}

/// What a run's folder says about the run.
#[derive(Serialize, Deserialize)]
struct RunFile {
    subject: Subject,
    /// The stage, or none for a gateway.
    stage: Option<String>,
    finished: bool,
}

/// Runs the command on this process's standard streams.
pub async fn run(args: ConformArgs, program: GatewayProgram) -> ExitCode {
    match run_with(&args, &program).await {
        Ok(code) => code,
        Err(error) => console::usage_error("latchkey conform", &error),
    }
}

async fn run_with(args: &ConformArgs, program: &GatewayProgram) -> anyhow::Result<ExitCode> {
    let (cases, rows) = (case::all()?, page::rows()?);
    let selected = select(args, &cases)?;
    if args.list {
        list(args, &selected, &rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = if args.local {
        Target::Gateway
    } else {
        ensure!(
            args.deployment.is_given(),
            "say where the cases run: `--local`, or `--stage STAGE` for an account"
        );
        let deployment = args.deployment.find(Path::new("."))?;
        Target::Account(Box::new(deployment.context("there is no deployment")?))
    };
    if let Target::Account(deployment) = &target {
        let aws = aws::configuration(Some(&deployment.region), aws::BRIEF).await?;
        aws::check_account(&aws, deployment).await?;
    }
    let _lock = lock(&args.data)?;
    if args.clean {
        return clean(args, program, &target).await;
    }
    warn_of_leftovers(args, &target)?;
    let (folder, mut run_file) = if args.resume {
        unfinished(args, &target)?
    } else {
        let folder_name = random_name()?;
        let subject = Subject {
            run: folder_name.clone(),
            target: target.description(),
            began: OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cases: selected.iter().map(|(_, case)| case.id.clone()).collect(),
        };
        let stage = target.stage().map(str::to_owned);
        (args.data.join(folder_name), RunFile { subject, stage, finished: false })
    };
    let done = report::results(&folder)?;
    let wanted = |id: &str| run_file.subject.cases.iter().any(|it| it == id) && !done.contains_key(id);
    let open = cases.iter().enumerate().filter(|(_, case)| wanted(&case.id)).collect::<Vec<_>>();
    if let Target::Account(deployment) = &target
        && !args.yes
        && !confirmed(deployment, &open)?
    {
        status("nothing was made");
        return Ok(ExitCode::SUCCESS);
    }
    private_folder(&folder)?;
    write_run_file(&folder, &run_file)?;
    let ended = play(args, program, &target, &folder, &open).await?;
    run_file.finished = matches!(ended, Ended::Finished { .. });
    write_run_file(&folder, &run_file)?;
    let results = report::results(&folder)?;
    let counts = Counts::of(&run_file.subject, &results);
    let reports = args.report.as_deref().unwrap_or(&folder);
    let (machine, person) = report::write(reports, &run_file.subject, &results)?;
    let mut stdout = output::stdout();
    if args.json {
        writeln!(stdout, "{}", report::json(&run_file.subject, &results, &rows))?;
    } else {
        writeln!(stdout, "{}", counts.sentence())?;
        writeln!(stdout, "report: {} and {}", person.display(), machine.display())?;
    }
    match ended {
        Ended::Interrupted { left } => {
            say_what_is_left(&left, &target);
            status(&format!(
                "interrupted: `latchkey conform {} --resume` runs the other cases",
                target.flags()
            ));
            Ok(ExitCode::from(exit::INTERRUPTED))
        }
        Ended::Finished { left } => {
            say_what_is_left(&left, &target);
            Ok(if counts.all_agree() && left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Ended::Failed { left, error } => {
            say_what_is_left(&left, &target);
            console::print_error("latchkey conform", &error);
            Ok(ExitCode::FAILURE)
        }
    }
}

impl Target {
    fn stage(&self) -> Option<&str> {
        match self {
            Self::Gateway => None,
            Self::Account(deployment) => Some(&deployment.stage),
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Gateway => "a gateway on this machine".to_owned(),
            Self::Account(deployment) => format!("AWS IoT Core in {}", deployment.region),
        }
    }

    fn flags(&self) -> String {
        self.stage().map_or_else(|| "--local".to_owned(), |stage| format!("--stage {stage}"))
    }
}

/// The cases that the command line names, with their numbers among all cases.
fn select<'a>(args: &ConformArgs, cases: &'a [Case]) -> anyhow::Result<Vec<(usize, &'a Case)>> {
    for name in &args.only {
        let exists = cases.iter().any(|case| case.id == *name || case.subject == name);
        ensure!(
            exists,
            "there is no case and no subject `{name}`: `latchkey conform --list` has all of them"
        );
    }
    let named = |case: &Case| args.only.iter().any(|name| case.id == *name || case.subject == name);
    let wanted = |case: &Case| {
        (args.only.is_empty() || named(case))
            && (case.minutes == 0 || args.slow || args.list || args.only.contains(&case.id))
    };
    Ok(cases.iter().enumerate().filter(|(_, case)| wanted(case)).collect())
}

fn list(args: &ConformArgs, cases: &[(usize, &Case)], rows: &BTreeMap<String, Row>) -> anyhow::Result<()> {
    let mut stdout = output::stdout();
    if args.json {
        let list = cases.iter().map(|(_, case)| {
            let row = page::row_of(rows, &case.id)?;
            Ok(json!({"id": case.id, "subject": case.subject, "behaviour": row.behaviour, "evidence": row.evidence,
                "minutes": case.minutes}))
        });
        let list = list.collect::<anyhow::Result<Vec<_>>>()?;
        writeln!(stdout, "{}", json!(list))?;
        return Ok(());
    }
    let mut subject = "";
    for (_, case) in cases {
        let row = page::row_of(rows, &case.id)?;
        if case.subject != subject {
            subject = case.subject;
            writeln!(stdout, "{subject}")?;
        }
        let kind = row.evidence.split(':').next().unwrap_or_default();
        let slow = if case.minutes > 0 { format!(", {} minutes", case.minutes) } else { String::new() };
        writeln!(stdout, "  {} ({kind}{slow})", case.id)?;
        writeln!(stdout, "{}", wrapped_to(console::COLUMNS, 6, &format!("      {}", row.behaviour)))?;
    }
    writeln!(stdout, "\n{}", counted(cases.len(), "case"))?;
    Ok(())
}

/// Asks before anything is made on an account.
fn confirmed(deployment: &Deployment, cases: &[(usize, &Case)]) -> anyhow::Result<bool> {
    let mut connections = 0;
    let mut messages = 0;
    for (_, case) in cases {
        for line in &case.lines {
            let Line::Do(step) = line else { continue };
            match step.verb.as_str() {
                "connect" | "open" => connections += 1,
                "http" => messages += 2,
                "publish" => messages += 3 * step.number("count", 1_u64)?,
                _ => messages += 1,
            }
        }
    }
    let needs = Needs::of(&cases.iter().map(|(_, case)| *case).collect::<Vec<_>>());
    let slow = cases.iter().map(|(_, case)| case.minutes).max().unwrap_or_default();
    let minutes =
        (SET_UP_SECONDS + CASE_SECONDS * u64::try_from(cases.len().div_ceil(16))?).div_ceil(60) + slow;
    let mut text = format!(
        "In the account {} and the region {}, under the prefix `latchkey-conform-`, this makes:\n",
        deployment.account, deployment.region
    );
    let authorizers = needs.authorizers.len() + 1;
    let things = needs.certificates.iter().filter(|name| name.starts_with("thing")).count();
    let calls = if authorizers == 1 { "which calls" } else { "which call" };
    _ = writeln!(text, "  a function in Lambda, its role, and a log group");
    _ = writeln!(text, "  {}, {calls} that function", counted(authorizers, "authorizer"));
    for (count, what) in [
        (needs.certificates.len(), "client certificate"),
        (things, "Thing"),
        (needs.domains.len(), "domain configuration"),
    ] {
        if count > 0 {
            let with = if what == "client certificate" { ", with policies" } else { "" };
            _ = writeln!(text, "  {}{with}", counted(count, what));
        }
    }
    let make = if cases.len() == 1 { "makes" } else { "make" };
    _ = write!(
        text,
        "{} {make} about {connections} connections and {messages} messages: less than US$ 0.01 at the list prices of us-east-1. \
         It takes about {}, and everything is removed at the end.",
        counted(cases.len(), "case"),
        counted(minutes, "minute")
    );
    for line in text.lines() {
        status(line);
    }
    ensure!(
        io::stdin().is_terminal(),
        "there is no terminal to ask on: pass `--yes` to begin without the question"
    );
    let mut stderr = output::stderr();
    write!(stderr, "Begin? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// How a run ended; `left` is what could not be removed.
enum Ended {
    Finished { left: Vec<String> },
    Interrupted { left: Vec<String> },
    Failed { left: Vec<String>, error: anyhow::Error },
}

async fn play(
    args: &ConformArgs,
    program: &GatewayProgram,
    target: &Target,
    folder: &Path,
    cases: &[(usize, &Case)],
) -> anyhow::Result<Ended> {
    let (stop, give_up) = watch_signals();
    let mut world = world(args, program, target, folder).await?;
    // What an interrupted run left here.
    world.clean_up(&|text| status(text)).await?;
    let played = play_in(args, &mut world, folder, cases, &stop).await;
    if stop.is_cancelled() {
        status("removing what the run has made; Ctrl-C again ends this too");
    }
    let left = tokio::select! {
        left = world.clean_up(&|_| {}) => left?,
        () = give_up.cancelled() => vec!["the removal was ended by Ctrl-C".to_owned()],
    };
    world.stop().await;
    Ok(match played {
        _ if stop.is_cancelled() => Ended::Interrupted { left },
        Ok(()) => Ended::Finished { left },
        Err(error) => Ended::Failed { left, error },
    })
}

/// The first signal stops the run, the second one the removal.
fn watch_signals() -> (CancellationToken, CancellationToken) {
    let (stop, give_up) = (CancellationToken::new(), CancellationToken::new());
    let tokens = [stop.clone(), give_up.clone()];
    tokio::spawn(async move {
        for token in tokens {
            tokio::select! {
                () = signal::interrupted() => {}
                () = signal::hung_up() => {}
            }
            token.cancel();
        }
    });
    (stop, give_up)
}

async fn play_in(
    args: &ConformArgs,
    world: &mut World,
    folder: &Path,
    cases: &[(usize, &Case)],
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    world.set_up(cases, &|text| status(text), stop).await?;
    status("waiting for the authorizer");
    tokio::select! {
        settled = world.settle(args.settle) => settled?,
        () = stop.cancelled() => return Ok(()),
    }
    let world = &*world;
    status(&format!("running {}", counted(cases.len(), "case")));
    let results =
        futures_util::stream::iter(cases.iter().copied()).map(|(number, case)| run_case(world, number, case));
    let mut results = std::pin::pin!(results.buffer_unordered(usize::from(args.parallel)));
    let mut count = 0;
    loop {
        let result = tokio::select! {
            result = results.next() => result,
            () = stop.cancelled() => return Ok(()),
        };
        let Some(result) = result else { return Ok(()) };
        let result = result?;
        report::append(folder, &result)?;
        count += 1;
        match (&result.expected, &result.observed) {
            (Some(expected), Some(observed)) => {
                status(&format!("{} differs: expected `{expected}`, observed `{observed}`", result.id));
            }
            (None, Some(error)) => status(&format!("{} could not be run: {error}", result.id)),
            _ => {}
        }
        if count % PROGRESS == 0 {
            status(&format!("{count} of {}", counted(cases.len(), "case")));
        }
    }
}

/// Runs a case, and once more if it does not agree: a service that is busy may answer late.
async fn run_case(world: &World, number: usize, case: &Case) -> anyhow::Result<CaseResult> {
    let mut attempt = 0;
    loop {
        let prefix = runner::prefix(&world.run, number, attempt)?;
        let outcome = runner::run(world, case, Attempt { prefix: &prefix }).await;
        attempt += 1;
        if outcome.verdict == Verdict::Agrees || attempt == ATTEMPTS {
            return Ok(CaseResult::new(&case.id, outcome, attempt));
        }
    }
}

/// Where the cases run, in which nothing was made yet by this process.
async fn world(
    args: &ConformArgs,
    program: &GatewayProgram,
    target: &Target,
    folder: &Path,
) -> anyhow::Result<World> {
    let (name, key) = (random_name()?, random_key()?);
    let journal = Journal::open(folder)?;
    let place = match target {
        Target::Gateway => {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
            let function = format!("latchkey-conform-{name}");
            let key_sha256 = hex::encode(digest);
            let settings = args.config.as_deref();
            let started =
                GatewayHost::start(program, folder, settings, &function, &key_sha256, &args.python).await;
            let (gateway, aws) = started?;
            let (account, region) = gateway.account.clone();
            let (host, connect) = (FunctionHost::Gateway(Box::new(gateway)), BTreeMap::new());
            Place { account, region, host, aws, connect, ca: None }
        }
        Target::Account(deployment) => {
            let aws = aws::configuration(Some(&deployment.region), aws::PATIENT).await?;
            let (account, region) = (deployment.account.clone(), deployment.region.clone());
            let host = FunctionHost::Account(Box::new(AccountHost::new(&aws, &account, &region)));
            let (connect, ca) = (args.connect.iter().copied().collect(), args.ca.clone());
            Place { account, region, host, aws, connect, ca }
        }
    };
    World::new(place, name, key, journal).await
}

/// Removes what earlier runs on this target left.
async fn clean(args: &ConformArgs, program: &GatewayProgram, target: &Target) -> anyhow::Result<ExitCode> {
    let folders = leftovers(&args.data, target)?;
    if folders.is_empty() {
        status("no run left anything");
        return Ok(ExitCode::SUCCESS);
    }
    let mut all = Vec::new();
    for folder in folders {
        let world = world(args, program, target, &folder).await?;
        all.extend(world.clean_up(&|text| status(text)).await?);
        world.stop().await;
    }
    say_what_is_left(&all, target);
    Ok(if all.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn warn_of_leftovers(args: &ConformArgs, target: &Target) -> anyhow::Result<()> {
    if !args.resume && !leftovers(&args.data, target)?.is_empty() {
        status(&format!(
            "an earlier run left something: `latchkey conform {} --clean` removes it",
            target.flags()
        ));
    }
    Ok(())
}

fn say_what_is_left(left: &[String], target: &Target) {
    for line in left {
        status(&format!("not removed: {line}"));
    }
    if !left.is_empty() {
        status(&format!("`latchkey conform {} --clean` tries again", target.flags()));
    }
}

/// The folders of runs on this target, the newest first.
fn runs(data: &Path, target: &Target) -> anyhow::Result<Vec<(PathBuf, RunFile)>> {
    let mut runs = Vec::new();
    let entries = data.read_dir().with_context(|| format!("can't read the folder `{}`", data.display()))?;
    for entry in entries {
        let folder = entry?.path();
        let Ok(text) = std::fs::read_to_string(folder.join(RUN_FILE)) else { continue };
        let about = || format!("`{}` is not the file of a run", folder.join(RUN_FILE).display());
        let run = serde_json::from_str::<RunFile>(&text).with_context(about)?;
        if run.stage.as_deref() == target.stage() {
            runs.push((folder, run));
        }
    }
    runs.sort_by(|(_, one), (_, other)| other.subject.began.cmp(&one.subject.began));
    Ok(runs)
}

fn leftovers(data: &Path, target: &Target) -> anyhow::Result<Vec<PathBuf>> {
    let runs = runs(data, target)?;
    Ok(runs.into_iter().map(|(folder, _)| folder).filter(|folder| Journal::has_left(folder)).collect())
}

fn unfinished(args: &ConformArgs, target: &Target) -> anyhow::Result<(PathBuf, RunFile)> {
    match runs(&args.data, target)?.into_iter().next() {
        Some((folder, run)) if !run.finished => Ok((folder, run)),
        _ => bail!("the last run was not interrupted: there is nothing to resume"),
    }
}

fn write_run_file(folder: &Path, run: &RunFile) -> anyhow::Result<()> {
    let (path, new) = (folder.join(RUN_FILE), folder.join("run.new"));
    let written =
        std::fs::write(&new, serde_json::to_vec_pretty(run)?).and_then(|()| std::fs::rename(&new, &path));
    written.with_context(|| format!("can't write `{}`", path.display()))
}

/// Six letters and digits.
fn random_name() -> anyhow::Result<String> {
    Ok(random_key()?.chars().take(6).collect())
}

/// 128 random bits in hexadecimal.
fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok().context("the system gives no random numbers")?;
    Ok(hex::encode(bytes))
}

fn private_folder(path: &Path) -> anyhow::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("can't make the folder `{}`", path.display()))
}

/// One run uses the folder at a time.
fn lock(data: &Path) -> anyhow::Result<File> {
    private_folder(data)?;
    let path = data.join(LOCK_FILE);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("can't open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => bail!("another run is using `{}`: wait for it, or pass `--data FOLDER`", data.display()),
    }
}
