//! The live view of `latchkey sim` on terminals of several sizes, and what is left of it at the end.

use std::path::Path;

use device_sim::{
    Password,
    credentials_file::{self, Row},
};
use integration::{
    foreign::script::{attempts, in_python},
    programs::program,
    test_gateway::{Start, TestGateway},
};
use serde_json::{Value, json};

fn fleet(gateway: &TestGateway) -> std::path::PathBuf {
    let row = |name: &str, password: &str| Row {
        device: name.to_owned(),
        client_id: name.to_owned(),
        user_name: name.to_owned(),
        password: Password::from(password),
    };
    let mut rows = Vec::new();
    for number in 1..=4 {
        let name = format!("sht20-{number}");
        rows.push(row(&name, &gateway.add(&name, "sht20")));
    }
    gateway.add("intruder", "sht20");
    rows.push(row("intruder", "wrong"));
    let path = gateway.folder.path().join("credentials.csv");
    credentials_file::append(&path, &rows).unwrap();
    path
}

fn attempt(gateway: &TestGateway, credentials: &Path, more: &[&str], terminal: &Value) -> Value {
    let (program, endpoint) = (program("latchkey-sim"), format!("localhost:{}", gateway.address.port()));
    let (ca, credentials) = (gateway.ca(), credentials.to_str().unwrap());
    let fixed = [
        program.to_str().unwrap(),
        "--endpoint",
        &endpoint,
        "--ca",
        ca.to_str().unwrap(),
        "--credentials",
        credentials,
        "--interval",
        "100ms",
    ];
    let command = [&fixed[..], more].concat();
    let mut attempt = json!({"command": command, "folder": gateway.folder.path()});
    attempt.as_object_mut().unwrap().extend(terminal.as_object().unwrap().clone());
    attempt
}

/// Each state of a screen of this width: lines as a person sees them after each drawing.
fn screens(text: &str, columns: usize) -> Vec<Vec<String>> {
    let (mut lines, mut row, mut column) = (vec![String::new()], 0, 0);
    let mut screens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => (row, column) = (row + 1, 0),
            '\r' => column = 0,
            '\u{1b}' => {
                assert_eq!(characters.next(), Some('['));
                let mut number = String::new();
                let command = loop {
                    match characters.next().unwrap() {
                        digit @ ('0'..='9' | ';' | '?') => number.push(digit),
                        command => break command,
                    }
                };
                let number = number.parse::<usize>();
                match command {
                    'A' => row -= number.unwrap_or(1).min(row),
                    'B' => row += number.unwrap_or(1),
                    // What is taken away was seen.
                    'K' => {
                        screens.push(lines.clone());
                        lines[row].clear();
                    }
                    'J' => lines.truncate(row + 1),
                    'm' | 'h' | 'l' | 'G' | 'D' => {}
                    other => panic!("the screen does not know `{other}`"),
                }
            }
            character => {
                // A full line goes on in the next one, when there is more.
                if column == columns {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), String::new());
                }
                let mut line = lines[row].chars().collect::<Vec<_>>();
                line.resize(line.len().max(column + 1), ' ');
                line[column] = character;
                lines[row] = line.into_iter().collect();
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(String::new());
        }
    }
    screens.push(lines);
    screens
}

#[tokio::test]
async fn the_view_fits_the_terminal_and_leaves_only_the_result() {
    let gateway = Start::with_authorizer().run().await;
    let credentials = fleet(&gateway);
    let run = |more: &[&str], terminal| attempt(&gateway, &credentials, more, &terminal);
    let list = [
        run(&["--duration", "3s"], json!({"columns": 100, "rows": 30})),
        run(&["--duration", "3s"], json!({"columns": 44, "rows": 30})),
        run(&["--duration", "3s"], json!({"columns": 24, "rows": 5})),
    ];
    let written = attempts(in_python("terminal.py"), &list).await;
    for (events, columns) in written.iter().zip([100, 44, 24]) {
        let text = events[0]["text"].as_str().unwrap();
        assert_eq!(events[0]["code"], 1, "{text}");
        // The result is a table of 72 columns, which a narrower terminal wraps by itself.
        let (view, result) =
            text.split_once("4 of 5 devices got through in ").unwrap_or_else(|| panic!("{text}"));
        let message = "intruder: the server refused the connection";
        let screens = screens(view, columns);
        let shown = |part: &str| screens.iter().flatten().any(|line| line.contains(part));
        if columns == 100 {
            assert!(shown("  4 of 5 connected  0:0") && shown(" of 0:03"), "{view:?}");
            assert!(
                shown("messages  ") && shown("latency   connect p50 ") && shown("   publish p50 "),
                "{view:?}"
            );
            assert!(shown("refused   1 not_authorized"), "{view:?}");
        } else if columns == 44 {
            assert!(shown("  4 of 5 connected  0:0") && shown("latency   publish p50 "), "{view:?}");
        } else {
            assert!(shown("4/5  1 refused") && !shown("latency"), "{view:?}");
        }
        let is_view = |line: &&String| line.contains('█') || line.contains("/s  ");
        for line in screens.iter().flatten().filter(is_view) {
            assert!(line.trim_end().chars().count() <= columns, "{columns}: {line}");
        }
        let left = screens.last().unwrap();
        assert!(left.concat().contains(message), "the warning stays: {left:#?}");
        assert!(!left.iter().any(|line| is_view(&line)), "the view is taken away: {left:#?}");
        assert!(
            result.contains("\nrefused\n       1  not_authorized\n") && !result.contains('\u{1b}'),
            "{result}"
        );
    }
}

#[tokio::test]
async fn ctrl_c_json_quiet_and_a_dumb_terminal() {
    let gateway = Start::with_authorizer().run().await;
    let credentials = fleet(&gateway);
    let run = |more: &[&str], terminal| attempt(&gateway, &credentials, more, &terminal);
    let list = [
        run(&[], json!({"interrupt_after": "4 of 5 connected"})),
        run(&["--json"], json!({"interrupt_after": "4 of 5 connected", "piped": true})),
        run(&["--duration", "2s", "--quiet"], json!({})),
        run(&["--duration", "2s"], json!({"variables": {"TERM": "dumb"}})),
    ];
    let written = attempts(in_python("terminal.py"), &list).await;
    let text = |index: usize| written[index][0]["text"].as_str().unwrap();
    let screen = screens(text(0), 80).pop().unwrap();
    assert!(screen.iter().any(|line| line.starts_with("4 of 5 devices got through in ")), "{screen:#?}");
    assert!(!screen.iter().any(|line| line.contains('█')), "Ctrl-C takes the view away: {screen:#?}");
    // With `--json` the view is on the terminal, and the JSON where it was sent.
    let json = serde_json::from_str::<Value>(written[1][0]["piped"].as_str().unwrap()).unwrap();
    assert_eq!(json["devices"]["got_through"], 4, "{json}");
    let screen = screens(text(1), 80).pop().unwrap();
    assert!(!screen.iter().any(|line| line.contains('█') || line.contains('{')), "{screen:#?}");
    for index in [2, 3] {
        let text = text(index);
        assert!(!text.contains('\u{1b}') && !text.contains('█'), "{text:?}");
        assert!(text.contains("4 of 5 devices got through in "), "{text}");
    }
    assert!(!text(2).contains("intruder") && text(3).contains("intruder"), "{} {}", text(2), text(3));
}
