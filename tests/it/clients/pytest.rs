//! The pytest plugin, used by a small project of its own.

use std::path::Path;

use integration::{files, foreign::script::python, programs::program};
use tokio::process::Command;

/// Runs pytest on a file of the sample project. Returns whether its tests passed, and its report.
async fn run(file: &str, plugin: &Path) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python());
    command.args(["-m", "pytest", "-p", "pytest_latchkey.plugin", "-p", "no:cacheprovider", "--rootdir"]);
    command.arg(folder.path()).arg("--latchkey").arg(program("latchkey"));
    command.arg(files::root().join("clients/pytest/sample").join(file));
    command.env("PYTHONPATH", plugin).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder.path());
    let output = command.output().await.unwrap();
    let report = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), report)
}

#[tokio::test]
async fn sample_project_passes_with_the_plugin() {
    let (passed, report) = run("test_sample.py", &files::root().join("clients/pytest/src")).await;
    assert!(passed && report.contains("5 passed"), "{report}");
}

#[tokio::test]
async fn failed_test_shows_the_gateways_log() {
    let (passed, report) = run("test_fails.py", &files::root().join("clients/pytest/src")).await;
    assert!(!passed && report.contains("1 failed"), "{report}");
    assert!(report.contains("the gateway's log during the test"), "{report}");
    assert!(report.contains("test-that-fails-1-") && report.contains("wrong_password"), "{report}");
}

/// The package's entry point names a module that is there, so that pytest finds the plugin once it is installed.
#[tokio::test]
async fn entry_point_of_the_package_is_the_plugin() {
    let folder = files::root().join("clients/pytest");
    let script = "import importlib, tomllib\n\
        project = tomllib.load(open('pyproject.toml', 'rb'))['project']\n\
        importlib.import_module(project['entry-points']['pytest11']['latchkey'])\n\
        print(project['name'])";
    let mut command = Command::new(python());
    command.args(["-c", script]).current_dir(&folder).env("PYTHONPATH", folder.join("src"));
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "pytest-latchkey", "{output:?}");
}
