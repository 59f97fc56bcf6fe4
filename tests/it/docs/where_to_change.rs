//! The table "Where to change what" of ARCHITECTURE.md: its files, modules and tests exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_file_module_and_test_of_the_table_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    let folders = [
        "authorizer",
        "bench",
        "crates",
        "device-sim",
        "docs",
        "firmware/app",
        "firmware/host",
        "fleet",
        "gateway",
        "infra/lib",
        "infra/test",
        "latchkey",
        "tests",
    ];
    for folder in folders {
        add_files(&root.join(folder), folder, &mut files);
    }
    for file in ["README.md", "CONTRIBUTING.md", "firmware/cfg.example.toml"] {
        assert!(root.join(file).exists(), "{file}");
        files.push((file.to_owned(), root.join(file)));
    }
    let sources = files.iter().filter(|(name, _)| name.strip_suffix(".rs").is_some());
    let sources = sources.map(|(_, path)| fs::read_to_string(path).unwrap()).collect::<String>();
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let table = page.split("| change | files | held by |\n").nth(1).unwrap();
    let mut checked = 0;
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cells = row.split('|').collect::<Vec<_>>();
        for name in code(cells[2]).iter().chain(&code(cells[3])).filter(|name| !name.contains("NAME")) {
            // A name of the code, as `THEMES`.
            if name.chars().any(char::is_uppercase) && name.strip_suffix(".md").is_none() {
                continue;
            }
            let module = format!("tests/it/{}", name.replace("::", "/"));
            let is_test = !name.contains(['/', ':', '.']) && sources.contains(&format!("fn {name}("));
            let exists =
                is_test || files.iter().any(|(file, _)| is_called(file, name) || is_called(file, &module));
            assert!(exists, "`{name}` does not exist: {row}");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}

/// Whether a file, or a folder above it, has this name or ends with it.
fn is_called(file: &str, name: &str) -> bool {
    let shortened =
        |path: &str| format!("/{path}/").replace(".rs/", "/").replace("/src/", "/").replace("/crates/", "/");
    shortened(file).contains(&shortened(name))
}

/// The texts between backticks, but not those in parentheses, which are names within a file.
fn code(cell: &str) -> Vec<String> {
    let mut depth = 0;
    let outside = cell.chars().filter(|character| {
        depth += i32::from(*character == '(');
        let outside = depth == 0;
        depth -= i32::from(*character == ')');
        outside
    });
    outside.collect::<String>().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// All files of a folder, by their paths without `src/` and `crates/`.
fn add_files(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let last = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && last != "node_modules" && last != "target" {
            let name = if last == "src" { name.to_owned() } else { format!("{name}/{last}") };
            add_files(&path, &name, files);
        } else if path.is_file() {
            files.push((format!("{name}/{last}"), path));
        }
    }
}
