//! The table "Where to change what" of ARCHITECTURE.md: its files, modules and tests exist.

use std::fs;

use integration::files;

#[test]
fn every_file_module_and_test_of_the_table_exists() {
    let root = files::root();
    let folders = [
        "authorizer",
        "bench",
        "bridge",
        "conform",
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
    let paths = folders.iter().flat_map(|folder| files::below(&root.join(folder)));
    let pages = ["README.md", "CONTRIBUTING.md", "firmware/cfg.example.toml"].map(|file| root.join(file));
    assert!(pages.iter().all(|page| page.exists()), "{pages:?}");
    let paths = paths.chain(pages).map(|path| path.strip_prefix(&root).unwrap().display().to_string());
    let paths = paths.collect::<Vec<_>>();
    let sources = files::rust_code(&folders);
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
                is_test || paths.iter().any(|path| is_called(path, name) || is_called(path, &module));
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
