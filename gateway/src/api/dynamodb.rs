//! DynamoDB on the same port: an embedded emulator, dynoxide, with its tables in a file of the data folder.
//!
//! Source: DynamoDB developer guide, `Programming.LowLevelAPI`; API reference of DynamoDB, `CommonErrors`. What an operation
//! does is the emulator's.

use std::path::{Path, PathBuf};

use dynoxide::{Database, DynoxideError};
use hyper::{StatusCode, body::Bytes};
use serde::{Serialize, de::DeserializeOwned};
use server::database_file;
use tokio::sync::OnceCell;

use super::{answer::Answer, error::ApiError};

/// The file's name in the data folder.
pub const FILE: &str = "dynamodb.sqlite3";
/// What the header `X-Amz-Target` has before the operation's name.
const TARGET: &str = "DynamoDB_20120810.";
/// The type of DynamoDB's bodies.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// The emulator. Its file is made at the first request.
pub struct Emulator {
    path: PathBuf,
    database: OnceCell<Database>,
}

impl Emulator {
    /// The emulator with the tables of a data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { path: data.join(FILE), database: OnceCell::new() }
    }

    /// The answer to a request with this `X-Amz-Target`.
    ///
    /// # Errors
    ///
    /// When the target is not an operation of DynamoDB's, or the file can't be used.
    pub async fn answer(&self, target: Option<&str>, body: Bytes) -> Result<Answer, ApiError> {
        let operation = target.and_then(|target| target.strip_prefix(TARGET));
        let operation = operation.ok_or_else(ApiError::unknown_operation)?.to_owned();
        let database = self.database.get_or_try_init(|| self.open()).await?.clone();
        // The emulator reads and writes its file.
        let answered = tokio::task::spawn_blocking(move || carry_out(&database, &operation, &body));
        answered.await.map_err(|_| ApiError::internal_failure())?
    }

    async fn open(&self) -> Result<Database, ApiError> {
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || {
            database_file::make_private(&path)?;
            let path = path.to_str().ok_or_else(|| anyhow::anyhow!("its path is not UTF-8"))?;
            anyhow::Ok(Database::new(path)?)
        });
        opened.await.map_err(anyhow::Error::from).flatten().map_err(|error| {
            tracing::error!(%error, path = %self.path.display(), "can't open the tables");
            ApiError::internal_failure()
        })
    }
}

fn carry_out(database: &Database, operation: &str, body: &[u8]) -> Result<Answer, ApiError> {
    match operation {
        "BatchExecuteStatement" => run(body, |input| database.batch_execute_statement(input)),
        "BatchGetItem" => run(body, |input| database.batch_get_item(input)),
        "BatchWriteItem" => run(body, |input| database.batch_write_item(input)),
        "CreateTable" => run(body, |input| database.create_table(input)),
        "DeleteItem" => run(body, |input| database.delete_item(input)),
        "DeleteTable" => run(body, |input| database.delete_table(input)),
        "DescribeTable" => run(body, |input| database.describe_table(input)),
        "DescribeTimeToLive" => run(body, |input| database.describe_time_to_live(input)),
        "ExecuteStatement" => run(body, |input| database.execute_statement(input)),
        "ExecuteTransaction" => run(body, |input| database.execute_transaction(input)),
        "GetItem" => run(body, |input| database.get_item(input)),
        "ListTables" => run(body, |input| database.list_tables(input)),
        "ListTagsOfResource" => run(body, |input| database.list_tags_of_resource(input)),
        "PutItem" => run(body, |input| database.put_item(input)),
        "Query" => run(body, |input| database.query(input)),
        "Scan" => run(body, |input| database.scan(input)),
        "TagResource" => run(body, |input| database.tag_resource(input)),
        "TransactGetItems" => run(body, |input| database.transact_get_items(input)),
        "TransactWriteItems" => run(body, |input| database.transact_write_items(input)),
        "UntagResource" => run(body, |input| database.untag_resource(input)),
        "UpdateItem" => run(body, |input| database.update_item(input)),
        "UpdateTable" => run(body, |input| database.update_table(input)),
        "UpdateTimeToLive" => run(body, |input| database.update_time_to_live(input)),
        other => Err(ApiError::not_implemented(other)),
    }
}

/// Reads an operation's input, carries it out, and writes its output; the emulator has the shape of its errors too.
fn run<I: DeserializeOwned, O: Serialize>(
    body: &[u8],
    operation: impl FnOnce(I) -> Result<O, DynoxideError>,
) -> Result<Answer, ApiError> {
    let input = serde_json::from_slice(body)
        .map_err(|_| ApiError::serialization("the body is not the operation's input"))?;
    let (status, body) = match operation(input) {
        Ok(output) => {
            (StatusCode::OK, serde_json::to_vec(&output).map_err(|_| ApiError::internal_failure())?)
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
            (status, error.to_json().into_bytes())
        }
    };
    Ok(Answer { status, ..Answer::payload(body, CONTENT_TYPE) })
}
