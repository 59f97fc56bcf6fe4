//! The users of other programs: mosquitto's dynamic security, EMQX and Django.

use device_auth::{client_id::ClientId, record::ClientIdRule};
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    columns::{Column, Columns},
    faults::RowError,
    hash::{self, EmqxHash, HashError},
    json_lines::{self, Element},
    rows::{Credential, Row, Rows},
    table::Table,
};

/// The clients of mosquitto's dynamic security.
///
/// # Errors
///
/// When it is not JSON of that form.
pub(super) fn of_dynsec(text: &str) -> anyhow::Result<Rows> {
    #[derive(Deserialize)]
    struct File {
        clients: Vec<Client>,
    }
    #[derive(Deserialize)]
    struct Client {
        username: String,
        clientid: Option<String>,
        password: Option<Zeroizing<String>>,
        salt: Option<String>,
        iterations: Option<u32>,
        encoded_password: Option<Zeroizing<String>>,
        #[serde(default)]
        disabled: bool,
    }
    let clients = json_lines::parse::<File>(text, "the JSON of dynamic security")?.clients;
    let lines = Element::of(text).lines(&["clients"]);
    let row = |client: Client, line| {
        let hash = match (client.encoded_password, client.password, client.salt, client.iterations) {
            (Some(encoded), ..) => encoded,
            (None, Some(password), Some(salt), Some(iterations)) => {
                Zeroizing::new(format!("$7${iterations}${salt}${}", password.as_str()))
            }
            _ => return Err(HashError::Unusable.into()),
        };
        let client_id = client.clientid.filter(|id| !id.is_empty());
        let client_id = client_id.map(|id| ClientId::try_from(id.as_str()).map_err(|_| RowError::ClientIds));
        Ok(Row {
            client_ids: client_id.transpose()?.map(|id| vec![ClientIdRule::Exact(id)]),
            enabled: !client.disabled,
            ..Row::new(
                line,
                client.username.as_str().try_into()?,
                Credential::Verifier(hash::verifier(&hash)?),
            )
        })
    };
    Ok(clients.into_iter().zip(lines).map(|(client, line)| (line, row(client, line))).collect())
}

/// The users of EMQX's built-in database, as CSV or JSON.
///
/// # Errors
///
/// When the header is wrong, or it is not JSON of that form.
pub(super) fn of_emqx(text: &str, form: EmqxHash) -> anyhow::Result<Rows> {
    #[derive(Deserialize)]
    struct User {
        #[serde(rename = "user_id")]
        name: String,
        // The API's list of users has no hashes.
        password_hash: Option<Zeroizing<String>>,
        #[serde(default)]
        salt: String,
        #[serde(default)]
        is_superuser: bool,
    }
    let row = |line, name: &str, hash: &str, salt: &str, is_superuser| {
        let credential = match form {
            EmqxHash::Plain => Credential::Password(Zeroizing::new(hash.to_owned())),
            form => Credential::Verifier(hash::of_emqx(hash, salt, form)?),
        };
        Ok(Row { is_superuser, ..Row::new(line, name.try_into()?, credential) })
    };
    if let Some((users, lines)) = list::<User>(text, "a list of EMQX's users")? {
        let rows = users.into_iter().zip(lines).map(|(user, line)| {
            let hash = user.password_hash.as_ref().ok_or(RowError::Hash(HashError::Unusable));
            let read = hash.and_then(|hash| row(line, &user.name, hash, &user.salt, user.is_superuser));
            (line, read)
        });
        return Ok(rows.collect());
    }
    let (table, header) = Table::with_header(text)?;
    let columns = Columns::of(&header);
    let (name, hash) = (columns.get(&["user_id"])?, columns.get(&["password_hash"])?);
    let (salt, superuser) = (columns.find(&["salt"])?, columns.find(&["is_superuser"])?);
    let rows = table.map(|(line, record)| {
        let read = record.map_err(RowError::from).and_then(|record| {
            let optional = |column: &Option<Column>| {
                column.as_ref().map(|column| column.text(&record)).unwrap_or_default().trim()
            };
            let is_superuser = is_true(optional(&superuser));
            row(line, name.word(&record)?, hash.word(&record)?, optional(&salt), is_superuser)
        });
        (line, read)
    });
    Ok(rows.collect())
}

/// Django's users: `manage.py dumpdata auth.user`, or CSV with its columns.
///
/// # Errors
///
/// When the header is wrong, or it is not JSON of that form.
pub(super) fn of_django(text: &str) -> anyhow::Result<Rows> {
    #[derive(Deserialize)]
    struct Object {
        fields: Fields,
    }
    #[derive(Deserialize)]
    struct Fields {
        username: String,
        password: Zeroizing<String>,
        #[serde(default = "yes")]
        is_active: bool,
    }
    let row = |line, name: &str, hash: &str, enabled| {
        let credential = Credential::Verifier(hash::verifier(hash)?);
        Ok(Row { enabled, ..Row::new(line, name.try_into()?, credential) })
    };
    if let Some((objects, lines)) = list::<Object>(text, "`dumpdata auth.user`")? {
        let rows = objects.into_iter().zip(lines).map(|(Object { fields }, line)| {
            (line, row(line, &fields.username, &fields.password, fields.is_active))
        });
        return Ok(rows.collect());
    }
    let (table, header) = Table::with_header(text)?;
    let columns = Columns::of(&header);
    let (name, hash) = (columns.get(&["username"])?, columns.get(&["password"])?);
    let active = columns.find(&["is_active"])?;
    let rows = table.map(|(line, record)| {
        let read = record.map_err(RowError::from).and_then(|record| {
            let enabled = active.as_ref().is_none_or(|column| is_true(column.text(&record).trim()));
            row(line, name.word(&record)?, hash.word(&record)?, enabled)
        });
        (line, read)
    });
    Ok(rows.collect())
}

/// The elements of a list in JSON, or in its `data`, and their lines. None if the text is not JSON.
fn list<T: DeserializeOwned>(text: &str, what: &str) -> anyhow::Result<Option<(Vec<T>, Vec<usize>)>> {
    #[derive(Deserialize)]
    struct Page<T> {
        data: Vec<T>,
    }
    let start = text.trim_start();
    Ok(if start.starts_with('[') {
        Some((json_lines::parse::<Vec<T>>(text, what)?, Element::of(text).lines(&[])))
    } else if start.starts_with('{') {
        Some((json_lines::parse::<Page<T>>(text, what)?.data, Element::of(text).lines(&["data"])))
    } else {
        None
    })
}

fn is_true(text: &str) -> bool {
    ["true", "t", "1", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

fn yes() -> bool {
    true
}
