//! docs/aws-apis.md: its lists of operations are those of the gateway's router.

use std::fs;

use gateway::api::router::Service;
use integration::files;

/// Rewrites the page's lists instead of comparing them.
const UPDATE: &str = "UPDATE_PAGES";

/// The page with each list between its two marks as the router has it.
fn with_lists(page: &str) -> String {
    let mut page = page.to_owned();
    for (service, name) in [(Service::ControlPlane, "control-plane"), (Service::DataPlane, "data-plane")] {
        for (served, kind) in [(true, "served"), (false, "absent")] {
            let (begin, end) = (format!("<!-- {name}-{kind} -->\n"), format!("<!-- end {name}-{kind} -->\n"));
            let (before, rest) =
                page.split_once(&begin).unwrap_or_else(|| panic!("{begin} is not in the page"));
            let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{end} is not in the page"));
            page = format!("{before}{begin}\n{}\n{end}{after}", list(service, served));
        }
    }
    page
}

/// One operation a line.
fn list(service: Service, served: bool) -> String {
    let operations = service.operations().iter().filter(|operation| operation.handler.is_some() == served);
    let lines = operations.map(|operation| {
        if served {
            format!("- `{}`: `{} {}`\n", operation.name, operation.method, operation.path)
        } else {
            format!("- `{}`\n", operation.name)
        }
    });
    let lines = lines.collect::<String>();
    if lines.is_empty() { "None.\n".to_owned() } else { lines }
}

#[test]
fn the_page_lists_the_operations_of_the_router() {
    let path = files::root().join("docs/aws-apis.md");
    let page = fs::read_to_string(&path).unwrap();
    let wanted = with_lists(&page);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(
        page == wanted || std::env::var_os(UPDATE).is_some(),
        "docs/aws-apis.md lists other operations than the router: run this test with {UPDATE}=1"
    );
}

/// A served operation that no test calls could answer with anything.
#[test]
fn every_served_operation_is_called_by_a_test() {
    let tests = files::rust_code(&["tests/it"]);
    for service in [Service::ControlPlane, Service::DataPlane] {
        for operation in service.operations().iter().filter(|operation| operation.handler.is_some()) {
            assert!(tests.contains(&format!("\"{}\"", operation.name)), "no test calls {}", operation.name);
        }
    }
}
