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
    assert!(report.contains("test-that-fails-1-") && report.contains("AUTHORIZATION_FAILURE"), "{report}");
}

/// `pip install` of the folder makes a package that pytest finds by itself. Nothing is downloaded.
#[tokio::test]
async fn package_installs_and_names_its_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    for file in files::below(&files::root().join("clients/pytest")) {
        let to = source.join(file.strip_prefix(files::root().join("clients/pytest")).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&file, to).unwrap();
    }
    let target = folder.path().join("target");
    let mut command = Command::new(python());
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
    ]);
    command.args(["--no-build-isolation", "--target"]).arg(&target).arg(&source);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = target.join("pytest_latchkey-0.1.0.dist-info/entry_points.txt");
    let entry_points = std::fs::read_to_string(metadata).unwrap();
    assert!(entry_points.contains("latchkey = pytest_latchkey.plugin"), "{entry_points}");
    assert!(target.join("pytest_latchkey/plugin.py").exists());
}
