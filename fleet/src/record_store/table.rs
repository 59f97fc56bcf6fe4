//! Records in a table of DynamoDB, one item for each device.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, config::Builder, types::AttributeValue};
use device_auth::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    location::TableName,
    record::Record,
    store::{
        claims::Claims,
        document::{RecordDocument, StoreDocument},
        item::{self, ItemError, KEY, item},
        loader::{self, RecordLoader},
    },
    verifier::Verifier,
};

use super::{Contents, Stored, WriteError, no_such_device};
use crate::{
    aws::{call_error, has_code, patient},
    store_file::{StoreFile, any_function},
};

/// A name that no device has. DynamoDB looks for the table before it looks for the item.
const NO_DEVICE: &str = "latchkey-fleet-provision";
/// Why the put of a record fails although the device had none.
const MEANWHILE: &str = "somebody else wrote its record at the same time, with another credential: remove its row from the \
                         file of passwords, if it has one";
/// How often a change of an item begins again because somebody else has changed it.
const MOST_ATTEMPTS: u32 = 20;

pub(super) type Item = HashMap<String, AttributeValue>;

/// A table, the client that calls it, and the grants with which its records are used.
pub struct Table {
    pub(super) client: Client,
    pub(super) name: TableName,
    own_grants: BTreeMap<String, GrantDefinition>,
    loader: RecordLoader,
}

impl Table {
    /// Opens a table. `grants` is the file with the function's grants besides the built-in ones.
    pub(crate) async fn open(
        aws: &SdkConfig,
        name: &TableName,
        grants: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let own_grants = grants.map(StoreFile::read).transpose()?.map(|it| it.grants).unwrap_or_default();
        let config = Builder::from(aws).retry_partition(patient()).build();
        let table = Self {
            client: Client::from_conf(config),
            name: name.clone(),
            loader: RecordLoader::new(Grants::new(own_grants.clone())?, any_function()?).alone(),
            own_grants,
        };
        table.item(NO_DEVICE).await?;
        Ok(table)
    }

    /// The function's own grants, as far as they are known here.
    pub(crate) fn own_grants(&self) -> &BTreeMap<String, GrantDefinition> {
        &self.own_grants
    }

    /// The same, with the built-in ones.
    pub(super) fn grants(&self) -> &Grants {
        self.loader.grants()
    }

    /// The verifiers of a device's record, without those in an unknown form.
    pub(crate) async fn find(&self, name: &DeviceName) -> anyhow::Result<Option<Vec<Verifier>>> {
        Ok(self.record_item(name).await?.map(|item| {
            let list = item.get("verifiers").and_then(|it| it.as_l().ok()).cloned().unwrap_or_default();
            let texts = list.iter().filter_map(|it| it.as_m().ok()?.get("verifier")?.as_s().ok().cloned());
            texts.filter_map(|text| Verifier::try_from(text).ok()).collect()
        }))
    }

    /// Compares a device's item with a record.
    pub(crate) async fn compare(&self, name: &DeviceName, record: &RecordDocument) -> anyhow::Result<Stored> {
        self.compared(name, self.record_item(name).await?.as_ref(), record)
    }

    /// Compares the items of many devices with records, with few calls. The answers are in the order of the records.
    pub(crate) async fn compare_all<'r>(
        &self,
        records: impl Iterator<Item = (&'r DeviceName, &'r RecordDocument)>,
    ) -> anyhow::Result<Vec<Stored>> {
        let records = records.collect::<Vec<_>>();
        let keys = records.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        let found = self.items(&keys).await?.into_iter().filter(|found| !item::is_owner(found));
        let found = found.filter_map(|found| Some((text_of(&found, KEY)?.to_owned(), found)));
        let found = found.collect::<HashMap<_, _>>();
        let compared =
            records.into_iter().map(|(name, record)| self.compared(name, found.get(name.as_str()), record));
        compared.collect()
    }

    /// Compares an item with a record. An item of another version than this program writes is an error: it may be right.
    fn compared(
        &self,
        name: &DeviceName,
        found: Option<&Item>,
        record: &RecordDocument,
    ) -> anyhow::Result<Stored> {
        match found {
            None => Ok(Stored::Absent),
            Some(found) if *found == item(name, record)? => Ok(Stored::Equal),
            Some(found) => match item::document(name, found.clone()) {
                Err(error @ (ItemError::OtherVersion | ItemError::NoVersion)) => {
                    anyhow::bail!("the record of `{name}` in the table `{}`: {error}", self.name)
                }
                _ => Ok(Stored::Different),
            },
        }
    }

    /// A device's record, if it has one.
    pub(crate) async fn find_record(&self, name: &DeviceName) -> anyhow::Result<Option<RecordDocument>> {
        let found = self.record_item(name).await?;
        Ok(found.map(|item| item::document(name, item)).transpose()?)
    }

    pub(super) async fn get(&self, name: &DeviceName) -> anyhow::Result<RecordDocument> {
        Ok(item::document(name, self.existing_item(name).await?)?)
    }

    /// Puts the item of a device that has none, after all that the record claims is its own.
    pub(crate) async fn insert(&self, name: &DeviceName, record: &RecordDocument) -> Result<(), WriteError> {
        let loaded =
            self.load(name, record).map_err(|error| WriteError::Device(cli::error_text(error.as_ref())))?;
        let claims = Claims::of(name, &loaded, self.grants());
        if let Err(error) = self.claim((name, &loaded), &claims, None).await {
            return match error {
                WriteError::Device(_) if self.compare(name, record).await? == Stored::Equal => Ok(()),
                error => Err(error),
            };
        }
        let new = item(name, record).map_err(anyhow::Error::new)?;
        let call = self.client.put_item().table_name(self.name.as_str()).set_item(Some(new));
        let call = call.condition_expression(format!(
            "attribute_not_exists({KEY}) OR (#owner = :device AND attribute_not_exists(scheme))"
        ));
        let call = call.expression_attribute_names("#owner", item::OWNER);
        match call.expression_attribute_values(":device", text(name.as_str())).send().await {
            Ok(_) => Ok(()),
            Err(error) if has_code(&error, "ConditionalCheckFailedException") => {
                // It is our own if the answer to the call was lost and it was sent again.
                match self.compare(name, record).await? {
                    Stored::Equal => Ok(()),
                    Stored::Absent | Stored::Different => Err(WriteError::Device(MEANWHILE.to_owned())),
                }
            }
            Err(error) => Err(WriteError::of(&error, "dynamodb:PutItem")),
        }
    }

    pub(super) async fn change<T>(
        &self,
        name: &DeviceName,
        mut change: impl FnMut(&mut RecordDocument) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        for _ in 0..MOST_ATTEMPTS {
            let old = self.get(name).await?;
            let mut new = old.clone();
            let changed = change(&mut new)?;
            let (given_up, taken) = self.claim_changes(name, &old, &new).await?;
            if self.update(name, &item(name, &old)?, &item(name, &new)?).await? {
                self.release(name, &given_up).await;
                return Ok(changed);
            }
            self.release(name, &taken).await;
        }
        anyhow::bail!(
            "others changed the record of `{name}` at each of {MOST_ATTEMPTS} attempts: run this again"
        )
    }

    /// Claims what the new record claims and the old one does not. Returns what only the old one claims, and what only the
    /// new one does.
    async fn claim_changes(
        &self,
        name: &DeviceName,
        old: &RecordDocument,
        new: &RecordDocument,
    ) -> anyhow::Result<(Claims, Claims)> {
        let parts = |it: &RecordDocument| {
            serde_json::to_value((&it.client_ids, &it.grant, &it.parameters, &it.secrets))
        };
        if parts(old)? == parts(new)? {
            return Ok(Default::default());
        }
        let loaded = self.load(name, new)?;
        let new = Claims::of(name, &loaded, self.grants());
        let old = self.claims(name, old);
        self.claim((name, &loaded), &new, Some(&old)).await.map_err(WriteError::into_cause)?;
        Ok((old.without(&new), new.without(&old)))
    }

    /// The claims of a record, or its client ids alone if it can't be used.
    fn claims(&self, name: &DeviceName, document: &RecordDocument) -> Claims {
        match self.load(name, document) {
            Ok(record) => Claims::of(name, &record, self.grants()),
            Err(_) => Claims::of_ids(loader::client_ids(name, document).into_iter().map(String::from)),
        }
    }

    /// Writes the attributes that differ, if they are as they were read, and returns whether they are.
    async fn update(&self, name: &DeviceName, old: &Item, new: &Item) -> anyhow::Result<bool> {
        let names = old.keys().chain(new.keys()).filter(|it| old.get(*it) != new.get(*it));
        let (mut set, mut remove, mut conditions) =
            (Vec::new(), Vec::new(), vec!["attribute_exists(scheme)".to_owned()]);
        let mut call = self.client.update_item().table_name(self.name.as_str()).key(KEY, text(name.as_str()));
        for (n, attribute) in names.collect::<BTreeSet<_>>().into_iter().enumerate() {
            call = call.expression_attribute_names(format!("#a{n}"), attribute);
            match old.get(attribute) {
                Some(value) => {
                    call = call.expression_attribute_values(format!(":old{n}"), value.clone());
                    conditions.push(format!("#a{n} = :old{n}"));
                }
                None => conditions.push(format!("attribute_not_exists(#a{n})")),
            }
            match new.get(attribute) {
                Some(value) => {
                    call = call.expression_attribute_values(format!(":new{n}"), value.clone());
                    set.push(format!("#a{n} = :new{n}"));
                }
                None => remove.push(format!("#a{n}")),
            }
        }
        if set.is_empty() && remove.is_empty() {
            return Ok(true);
        }
        let parts = [("SET", set), ("REMOVE", remove)].into_iter().filter(|(_, list)| !list.is_empty());
        let update =
            parts.map(|(verb, list)| format!("{verb} {}", list.join(", "))).collect::<Vec<_>>().join(" ");
        match call.update_expression(update).condition_expression(conditions.join(" AND ")).send().await {
            Ok(_) => Ok(true),
            Err(error) if has_code(&error, "ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(call_error(&error, "dynamodb:UpdateItem")),
        }
    }

    pub(super) async fn remove(&self, name: &DeviceName) -> anyhow::Result<()> {
        let found = self.existing_item(name).await?;
        let mut claims = match item::document(name, found) {
            Ok(document) => self.claims(name, &document),
            // What else it claims is not known; `check --repair` finds it.
            Err(_) => Claims::default(),
        };
        let call = self.client.delete_item().table_name(self.name.as_str()).key(KEY, text(name.as_str()));
        let call = call.condition_expression(format!("attribute_exists({KEY})"));
        match call.send().await {
            Ok(_) => {}
            Err(error) if has_code(&error, "ConditionalCheckFailedException") => {
                return Err(self.no_such_device(name));
            }
            Err(error) => return Err(call_error(&error, "dynamodb:DeleteItem")),
        }
        claims.ids.remove(name.as_str());
        self.release(name, &claims).await;
        Ok(())
    }

    /// All records, and the items that are not records. What [`super::claims`] writes besides them is left out.
    pub(super) async fn contents(&self) -> anyhow::Result<Contents> {
        let mut document = StoreDocument { grants: self.own_grants.clone(), ..StoreDocument::empty() };
        let mut malformed = Vec::new();
        self.scan(|found| {
            let key = text_of(&found, KEY).unwrap_or_default().to_owned();
            if key.starts_with('#') || item::is_owner(&found) {
                return;
            }
            let read = DeviceName::try_from(key.as_str()).map_err(anyhow::Error::new);
            match read.and_then(|name| Ok((item::document(&name, found)?, name))) {
                Ok((record, name)) => _ = document.devices.insert(name, record),
                Err(error) => malformed.push((key, cli::error_text(error.as_ref()))),
            }
        })
        .await?;
        Ok(Contents { document, malformed })
    }

    /// The record of one device, as [`Table::contents`] has it.
    pub(super) async fn contents_of(&self, name: &DeviceName) -> anyhow::Result<Contents> {
        let mut document = StoreDocument { grants: self.own_grants.clone(), ..StoreDocument::empty() };
        document.devices.insert(name.clone(), self.get(name).await?);
        Ok(Contents { document, malformed: Vec::new() })
    }

    /// Reads every item, page by page.
    pub(super) async fn scan(&self, mut each: impl FnMut(Item)) -> anyhow::Result<()> {
        let scan = self.client.scan().table_name(self.name.as_str()).consistent_read(true);
        let mut items = scan.into_paginator().items().send();
        while let Some(found) = items.next().await {
            each(found.map_err(|error| call_error(&error, "dynamodb:Scan"))?);
        }
        Ok(())
    }

    /// A record as the function would use it.
    pub(super) fn load(&self, name: &DeviceName, record: &RecordDocument) -> anyhow::Result<Record> {
        self.loader.load(name, record.clone()).map_err(|error| {
            let is_grant = self.grants().get(&record.grant).is_err();
            let error = anyhow::Error::new(error);
            if is_grant {
                error.context("a table has no grants: name the file with the function's with `--grants`")
            } else {
                error
            }
        })
    }

    async fn existing_item(&self, name: &DeviceName) -> anyhow::Result<Item> {
        self.record_item(name).await?.ok_or_else(|| self.no_such_device(name))
    }

    /// The item of a device's record. There is none if the item only says whose client id the name is.
    pub(super) async fn record_item(&self, name: &DeviceName) -> anyhow::Result<Option<Item>> {
        Ok(self.item(name.as_str()).await?.filter(|it| !item::is_owner(it)))
    }

    pub(super) async fn item(&self, key: &str) -> anyhow::Result<Option<Item>> {
        // A run that was killed may have put the item a moment ago.
        let call =
            self.client.get_item().table_name(self.name.as_str()).key(KEY, text(key)).consistent_read(true);
        let found = call.send().await.map_err(|error| {
            let missing = has_code(&error, "ResourceNotFoundException");
            if missing { self.missing() } else { call_error(&error, "dynamodb:GetItem") }
        })?;
        Ok(found.item)
    }

    fn no_such_device(&self, name: &DeviceName) -> anyhow::Error {
        no_such_device(&format_args!("the table `{}`", self.name), name)
    }

    fn missing(&self) -> anyhow::Error {
        anyhow::anyhow!(
            "there is no table `{}` in this account and region: `make deploy` makes it, or name another with `--store`",
            self.name
        )
    }
}

/// The attribute of an item, if it is a text.
pub(super) fn text_of<'i>(item: &'i Item, attribute: &str) -> Option<&'i str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}
