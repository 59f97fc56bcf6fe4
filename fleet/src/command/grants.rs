//! `latchkey fleet grants`: the grants of a store, or of a table's function.

use anyhow::{Context as _, ensure};
use cli::console::{Console, counted, elements, wrapped};
use device_auth::{
    grant::{GrantDefinition, Grants},
    location::StoreLocation,
    store::document::StoreDocument,
};
use serde_json::{Value, json};

use crate::{
    args::{GrantsCommand, SetGrantArgs, ShowGrantArgs},
    record_store::{
        RecordStore,
        whole::{Missing, WholeStore},
    },
    store_option::Target,
};

/// Where the second column begins.
const INDENT: usize = 14;
const COLUMNS_OF_CSV: [&str; 9] = [
    "grant",
    "built_in",
    "publish",
    "subscribe",
    "receive",
    "retain",
    "shared",
    "last_will",
    "persistent_session",
];

/// Runs a command on grants.
pub(super) async fn run(
    command: GrantsCommand,
    target: &Target,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let store = open(target).await?;
    match command {
        GrantsCommand::List(_) => list(store.read(Missing::IsEmpty).await?, console),
        GrantsCommand::Show(ShowGrantArgs { name, .. }) => {
            let grants = Grants::new(store.read(Missing::IsEmpty).await?.grants)?;
            let grant = grants.get(&name)?;
            let text = serde_json::to_string_pretty(grant.definition())?;
            let row = row(&json!({"grant": name, "allows": grant.definition()}));
            Ok(console.print_rows(
                &COLUMNS_OF_CSV,
                [row],
                &json!({(name): grant.definition()}),
                text + "\n",
            )?)
        }
        GrantsCommand::Set(args) => set(&store, *args, console).await,
    }
}

/// The file or the secret that has the grants.
async fn open(target: &Target) -> anyhow::Result<WholeStore> {
    match (&target.location, &target.access.grants) {
        (StoreLocation::DynamoDb(table), None) => anyhow::bail!(
            "the table `{table}` has no grants: name the file of the function's with `--grants FILE` (`function.grants` in \
             the stage's settings)"
        ),
        (StoreLocation::DynamoDb(_), Some(path)) => Ok(WholeStore::File(path.clone())),
        (location, _) => match RecordStore::open(location, &target.access).await? {
            RecordStore::Whole(whole) => Ok(whole),
            #[cfg(feature = "aws")]
            RecordStore::Table(_) => anyhow::bail!("a table has no grants"),
        },
    }
}

fn list(document: StoreDocument, console: &mut Console<'_>) -> anyhow::Result<()> {
    let own = document.grants.keys().cloned().collect::<Vec<_>>();
    let grants = Grants::new(document.grants)?;
    let json = grants.all().map(|grant| {
        json!({"grant": grant.name(), "built_in": !own.iter().any(|it| it == grant.name()), "allows": grant.definition()})
    });
    let text = grants.all().map(|grant| {
        let kind = if own.iter().any(|it| it == grant.name()) { "" } else { "  (built in)" };
        let definition = grant.definition();
        let lists = [
            ("publish", &definition.publish),
            ("subscribe", &definition.subscribe),
            ("receive", &definition.receive),
            ("retain", &definition.retain),
        ];
        let lines = lists.into_iter().filter(|(_, topics)| !topics.is_empty()).map(|(label, topics)| {
            let topics = topics.iter().cloned().map(String::from).collect::<Vec<_>>().join(" ");
            wrapped(INDENT, &format!("  {label:<12}{topics}")) + "\n"
        });
        format!("{}{kind}\n{}", grant.name(), lines.collect::<String>())
    });
    let (text, json) = (text.collect::<String>(), json.collect::<Value>());
    let rows = elements(&json).map(|grant| row(&grant));
    Ok(console.print_rows(&COLUMNS_OF_CSV, rows, &json, text)?)
}

/// A grant with what it allows, as one row.
fn row(grant: &Value) -> Value {
    let allows = grant.get("allows").and_then(Value::as_object).into_iter().flatten();
    let fields = grant.as_object().into_iter().flatten().chain(allows);
    fields.map(|(key, value)| (key.clone(), value.clone())).collect()
}

async fn set(store: &WholeStore, args: SetGrantArgs, console: &mut Console<'_>) -> anyhow::Result<()> {
    let SetGrantArgs {
        name,
        publish,
        subscribe,
        receive,
        retain,
        shared,
        last_will,
        persistent_session,
        yes,
        ..
    } = args;
    let definition =
        GrantDefinition { publish, subscribe, receive, retain, shared, last_will, persistent_session };
    ensure!(
        definition.templates().next().is_some(),
        "the grant allows nothing: set `--publish`, `--subscribe`, `--receive` or `--retain`"
    );
    if let Some(wildcard) = definition.literal_wildcards(&name).next() {
        return Err(wildcard.into());
    }
    let document = store.read(Missing::IsEmpty).await?;
    if document.grants.get(&name).is_some_and(|old| *old != definition) {
        let devices = document.devices.values().filter(|record| record.grant == name).count();
        let of = if devices == 0 { String::new() } else { format!(" of {}", counted(devices, "device")) };
        console.confirm(yes, &format!("the grant `{name}`{of} will be replaced"))?;
    }
    let replaced = store
        .update(Missing::IsEmpty, |document| Ok(document.grants.insert(name.clone(), definition.clone())))
        .await
        .with_context(|| format!("the grant `{name}` was not set"))?;
    let what = if replaced.is_some() { "replaced" } else { "made" };
    let note = "A connected device keeps its present rights until AWS IoT asks the function again. After a change for a \
                table, `latchkey fleet check` compares its records with each other.";
    let text = format!("grant `{name}` {what}\n{}\n", wrapped(0, note));
    Ok(console.print(&json!({"grant": name, "done": what}), text)?)
}
