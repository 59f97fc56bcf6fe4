//! The comparisons with peers still run; what they find is judged by `make bench` only, on a machine that is at rest.

use integration::{programs::program, running::Running};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn every_comparison_runs() {
    let mut command = Command::new(program("latchkey-bench"));
    command.args(["all", "--smoke", "--json"]);
    let finished = Running::start(command).finish().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    let report = serde_json::from_slice::<Value>(&finished.out).unwrap();
    let figure = |section: usize, figure: usize| &report["sections"][section]["figures"][figure]["value"];
    assert_eq!(report["sections"].as_array().unwrap().len(), 8, "{report}");
    assert_eq!(figure(0, 0), 30.0, "all are connected: {report}");
    assert_eq!(figure(0, 4), 0.0, "there is no error: {report}");
    for (section, figures) in [(1, 3), (2, 3), (3, 7), (4, 1), (5, 8), (6, 1), (7, 14)] {
        assert!((0..figures).all(|number| figure(section, number).as_f64().unwrap() > 0.0), "{report}");
    }
    assert_eq!(figure(6, 0), 20.0, "all are connected over the bridge: {report}");
    // Processor time of nothing, and differences, can be zero or less.
    for number in [1, 2, 3, 7, 8, 10, 11, 12] {
        assert!(figure(6, number).as_f64().unwrap() > 0.0, "{report}");
    }
}
