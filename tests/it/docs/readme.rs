//! The commands and the output that README.md shows.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use integration::{gateway_process::AT_ANY_RATE, programs::program};

/// The placeholder for the password in README.md.
const PASSWORD: &str = "the password that was printed";

#[test]
fn the_device_of_the_readme_connects_with_each_client() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(folder.path());
    let added = shell(folder.path(), &block("sh", "latchkey fleet add my-device", &local, ""));
    let added = String::from_utf8(succeeded(added)).unwrap();
    let password = added.lines().find_map(|line| line.strip_prefix("password")).unwrap().trim().to_owned();

    let mosquitto = shell(folder.path(), &block("sh", "mosquitto_pub", &local, &password));
    assert_eq!(succeeded(mosquitto), b"", "mosquitto_pub is silent when all is well");

    let python = program("latchkey").parent().unwrap().parent().unwrap().join("tools/python/bin/python");
    assert!(python.exists(), "no Python with paho-mqtt at `{}`: run `make setup`", python.display());
    let script = block("python", "paho.mqtt", &local, &password);
    let paho =
        Command::new(python).args(["-c", &script]).env("PASSWORD", &password).current_dir(&folder).output();
    assert_eq!(String::from_utf8(succeeded(paho.unwrap())).unwrap(), "my-device/hello hello\n");

    let wrong = block("sh", "mosquitto_pub", &local, "a guess");
    assert_eq!(shell(folder.path(), &wrong).status.code(), Some(7), "the connection was lost");
}

/// The numbers differ from run to run, the words don't.
#[test]
fn the_demo_prints_what_the_readme_shows() {
    let folder = tempfile::tempdir().unwrap();
    let demo =
        Command::new(program("latchkey")).arg("demo").current_dir(&folder).env_remove("CARGO").output();
    let printed = String::from_utf8(succeeded(demo.unwrap())).unwrap();
    let shown = blocks("text").find(|block| block.contains("Latchkey demo")).unwrap();
    assert!(printed.lines().any(is_reading));
    assert_eq!(words(&printed), words(&shown));
}

struct Local {
    process: std::process::Child,
    port: String,
}

impl Local {
    /// `latchkey local` as in README.md, but on a free port.
    fn start(folder: &Path) -> Self {
        use std::io::BufRead;
        // A person needs more than a second between two commands, which is AWS's rate; this test does not.
        std::fs::write(folder.join("latchkey.toml"), AT_ANY_RATE).unwrap();
        let mut command = Command::new(program("latchkey"));
        command
            .args(["local", "--json", "--stop-with-stdin", "--port", "0"])
            .current_dir(folder)
            .env_remove("CARGO");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str::<serde_json::Value>(&line).unwrap();
        let port = ready["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        Self { process, port }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

/// A code block of README.md, with the gateway's port and the device's password.
fn block(language: &str, part: &str, local: &Local, password: &str) -> String {
    let block = blocks(language)
        .find(|block| block.contains(part))
        .unwrap_or_else(|| panic!("no block with `{part}`"));
    block.replace("10443", &local.port).replace(PASSWORD, password)
}

fn blocks(language: &str) -> impl Iterator<Item = String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let opening = format!("```{language}\n");
    let blocks = readme.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect::<Vec<_>>().into_iter()
}

fn shell(folder: &Path, script: &str) -> Output {
    let programs = program("latchkey").parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(programs).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    // README.md's own PATH line is for the repository's folder, and has no effect here.
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).env("PATH", path.unwrap()).env_remove("CARGO").current_dir(folder);
    command.stdin(Stdio::null()).output().unwrap()
}

fn succeeded(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// The text without its readings, numbers and white space: how lines are wrapped depends on the port's number.
fn words(text: &str) -> String {
    let lines = text.lines().filter(|line| !is_reading(line));
    lines.flat_map(str::chars).filter(|c| !c.is_ascii_digit() && !" .-".contains(*c)).collect()
}

fn is_reading(line: &str) -> bool {
    line.trim_start().starts_with("sensor/")
}
