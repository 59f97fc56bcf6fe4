//! The users of other programs: mosquitto's dynamic security, EMQX and Django.

use std::iter;

use anyhow::Context as _;
use device_auth::{client_id::ClientId, record::ClientIdRule};
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    columns::{Column, Columns},
    faults::RowError,
    hash::{self, EmqxHash, HashError},
    input::{Input, Reader},
    json_lines::{self, Elements},
    rows::{self, Credential, Row, Rows},
    table::Table,
};

/// The clients of mosquitto's dynamic security.
///
/// # Errors
///
/// When it is not JSON of that form.
pub(super) fn of_dynsec(input: &Input) -> anyhow::Result<Rows<'_>> {
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
    const WHAT: &str = "a client of dynamic security";
    let elements = elements(input, Some("clients"))?;
    Ok(of_elements(elements, WHAT, |client: Client, line| {
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
    }))
}

/// The users of EMQX's built-in database, as CSV or JSON.
///
/// # Errors
///
/// When the header is wrong, or it is not JSON of that form.
pub(super) fn of_emqx(input: &Input, form: EmqxHash) -> anyhow::Result<Rows<'_>> {
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
    let row = move |line, name: &str, hash: &str, salt: &str, is_superuser| {
        let credential = match form {
            EmqxHash::Plain => Credential::Password(Zeroizing::new(hash.to_owned())),
            form => Credential::Verifier(hash::of_emqx(hash, salt, form)?),
        };
        Ok(Row { is_superuser, ..Row::new(line, name.try_into()?, credential) })
    };
    if let Some(elements) = list(input)? {
        return Ok(of_elements(elements, "a user of EMQX", move |user: User, line| {
            let hash = user.password_hash.as_ref().ok_or(RowError::Hash(HashError::Unusable))?;
            row(line, &user.name, hash, &user.salt, user.is_superuser)
        }));
    }
    let (table, header) = Table::with_header(input.reader()?)?;
    let columns = Columns::of(&header);
    let (name, hash) = (columns.get(&["user_id"])?, columns.get(&["password_hash"])?);
    let (salt, superuser) = (columns.find(&["salt"])?, columns.find(&["is_superuser"])?);
    Ok(rows::of_records(table, move |line, record| {
        let optional = |column: &Option<Column>| {
            column.as_ref().map(|column| column.text(record).to_owned()).unwrap_or_default().trim().to_owned()
        };
        let is_superuser = is_true(&optional(&superuser));
        row(line, name.word(record)?, hash.word(record)?, &optional(&salt), is_superuser)
    }))
}

/// Django's users: `manage.py dumpdata auth.user`, or CSV with its columns.
///
/// # Errors
///
/// When the header is wrong, or it is not JSON of that form.
pub(super) fn of_django(input: &Input) -> anyhow::Result<Rows<'_>> {
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
    if let Some(elements) = list(input)? {
        return Ok(of_elements(elements, "a user of `dumpdata auth.user`", move |object: Object, line| {
            let Fields { username, password, is_active } = object.fields;
            row(line, &username, &password, is_active)
        }));
    }
    let (table, header) = Table::with_header(input.reader()?)?;
    let columns = Columns::of(&header);
    let (name, hash) = (columns.get(&["username"])?, columns.get(&["password"])?);
    let active = columns.find(&["is_active"])?;
    Ok(rows::of_records(table, move |line, record| {
        let enabled = active.as_ref().is_none_or(|column| is_true(column.text(record).trim()));
        row(line, name.word(record)?, hash.word(record)?, enabled)
    }))
}

/// The elements of a list in JSON, or in its `data`. None if the file is not JSON.
fn list(input: &Input) -> anyhow::Result<Option<Elements<Reader<'_>>>> {
    let start = input.head().trim_start();
    Ok(if start.starts_with('[') {
        Some(elements(input, None)?)
    } else if start.starts_with('{') {
        Some(elements(input, Some("data"))?)
    } else {
        None
    })
}

/// The elements of a list, in a file that is JSON to its end.
fn elements<'i>(input: &'i Input, key: Option<&str>) -> anyhow::Result<Elements<Reader<'i>>> {
    json_lines::check(input.reader()?)?;
    Elements::new(input.reader()?, key).context("it can't be read")
}

/// The rows of elements, each one parsed by itself. `what` is what an element should be.
fn of_elements<'a, T: DeserializeOwned + 'a>(
    mut elements: Elements<Reader<'a>>,
    what: &'static str,
    row: impl Fn(T, usize) -> Result<Row, RowError> + 'a,
) -> Rows<'a> {
    let read = move |line: usize, column: usize, text: &[u8]| match serde_json::from_slice::<T>(text) {
        Ok(element) => (line, row(element, line)),
        Err(error) => {
            let first = if error.line() == 1 { column.saturating_sub(1) } else { 0 };
            let column = error.column().saturating_add(first);
            let line = line.saturating_add(error.line()).saturating_sub(1);
            (line, Err(RowError::Element { column, what }))
        }
    };
    let mut is_over = false;
    Box::new(iter::from_fn(move || {
        if is_over {
            return None;
        }
        let next = elements.next_with(&read);
        is_over = !matches!(next, Ok(Some(_)));
        next.context("it can't be read, or a user in it has more than 1 MiB").transpose()
    }))
}

fn is_true(text: &str) -> bool {
    ["true", "t", "1", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

fn yes() -> bool {
    true
}
