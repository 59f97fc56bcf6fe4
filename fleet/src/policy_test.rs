//! `latchkey policy test`: asks policy documents about requests.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use cli::{
    console::{Console, wrapped},
    output::escaped,
};
use iot_policy::{Action, PolicyDocument, Scope};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    account::Account,
    args::PolicyTestArgs,
    evaluation::{self, Asked, Evaluation},
};

/// A document, and where it came from.
pub(crate) struct Source {
    file: String,
    /// The document.
    pub(crate) document: PolicyDocument,
}

/// Prints what the documents say, and returns whether they allow all that was asked.
///
/// # Errors
///
/// When a document can't be read, or is not one.
pub fn run(args: &PolicyTestArgs, console: &mut Console<'_>) -> anyhow::Result<bool> {
    let mut sources = Vec::new();
    for path in &args.documents {
        read(path, &mut sources)?;
    }
    let (files, documents): (Vec<_>, Vec<_>) =
        sources.into_iter().map(|source| (source.file, source.document)).unzip();
    let [region, account] = first_location(&documents);
    let account = Account::new(
        args.region.as_deref().or(region.as_deref()),
        args.account.as_deref().or(account.as_deref()),
    )?;
    let evaluations = asked(args)
        .into_iter()
        .map(|asked| {
            let context = context(args, asked.action, &account.scope);
            Evaluation::new(asked, &documents, &account.scope, &context)
        })
        .collect::<Vec<_>>();
    let is_allowed = evaluations.iter().all(Evaluation::is_allowed);
    let findings = documents.iter().enumerate().flat_map(|(index, document)| {
        document.findings().iter().map(move |finding| format!("document {index}: {finding}"))
    });
    let findings = findings.collect::<Vec<_>>();
    let json = json!({
        "outcome": evaluation::outcome(is_allowed), "documents": files, "findings": findings,
        "requests": evaluations.iter().map(Evaluation::json).collect::<Vec<_>>(),
    });
    let mut text = String::new();
    for (index, file) in files.iter().enumerate() {
        _ = writeln!(text, "document {index}  {}", escaped(file));
    }
    for finding in &findings {
        text.push_str(&wrapped(2, &format!("note: {finding}")));
        text.push('\n');
    }
    for evaluation in &evaluations {
        _ = write!(text, "\n{}", evaluation.text());
    }
    let rows = evaluations.iter().map(Evaluation::json);
    let columns = ["action", "resource", "outcome", "because", "near_miss"];
    console.print_rows(&columns, rows, &json, text)?;
    Ok(is_allowed)
}

fn asked(args: &PolicyTestArgs) -> Vec<Asked> {
    let connect = args.client.iter().filter(|_| args.connect).map(|id| (Action::Connect, id.as_str()));
    let publish = args.publish.iter().map(|topic| (Action::Publish, topic.as_str()));
    let retain = args.retain.iter().map(|topic| (Action::RetainPublish, topic.as_str()));
    let subscribe = args.subscribe.iter().map(|filter| (Action::Subscribe, filter.as_str()));
    let receive = args.receive.iter().map(|topic| (Action::Receive, topic.as_str()));
    let all = connect.chain(publish).chain(retain).chain(subscribe).chain(receive);
    all.map(|(action, name)| Asked { action, name: name.to_owned() }).collect()
}

fn context(args: &PolicyTestArgs, action: Action, scope: &Scope) -> iot_policy::Context {
    let client = args.client.as_deref();
    let mut context =
        evaluation::context(client, action, scope, args.last_will.as_ref(), args.persistent_session);
    if let Some(address) = args.source_ip {
        context = context.with_source_ip(address);
    }
    match &args.domain_name {
        Some(name) => context.with_domain_name(name),
        None => context,
    }
}

fn read(path: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("can't read `{file}`"))?;
    parse(&file, &text, sources)
}

/// Reads the text of a file: one document, or an authorizer's answer.
///
/// # Errors
///
/// When it is neither.
pub(crate) fn parse(file: &str, text: &str, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(rename = "policyDocuments", borrow)]
        documents: Vec<&'a RawValue>,
    }
    let not_one = |index: Option<usize>| match index {
        Some(index) => format!("`{file}`, `policyDocuments[{index}]`"),
        None => format!("`{file}`"),
    };
    let Ok(Answer { documents }) = serde_json::from_str(text) else {
        let document = text.parse().with_context(|| not_one(None))?;
        sources.push(Source { file: file.to_owned(), document });
        return Ok(());
    };
    for (index, document) in documents.into_iter().enumerate() {
        // A string with a document's text is read without its quotes and escapes.
        let text = serde_json::from_str::<String>(document.get());
        let parsed = PolicyDocument::parse(text.as_deref().unwrap_or(document.get()));
        let document = parsed.with_context(|| not_one(Some(index)))?;
        sources.push(Source { file: format!("{file}, policyDocuments[{index}]"), document });
    }
    Ok(())
}

/// The region and the account of the first resource that names both.
pub(crate) fn first_location(documents: &[PolicyDocument]) -> [Option<String>; 2] {
    let statements = documents.iter().flat_map(PolicyDocument::statements);
    let patterns = statements.flat_map(|statement| statement.resources().patterns());
    let locations = patterns.filter_map(|pattern| {
        let parts = pattern.as_str().splitn(6, ':').collect::<Vec<_>>();
        let [_, _, _, region, account, _] = parts.as_slice() else { return None };
        Account::new(Some(region), Some(account)).ok()?;
        Some([Some((*region).to_owned()), Some((*account).to_owned())])
    });
    locations.into_iter().next().unwrap_or_default()
}
