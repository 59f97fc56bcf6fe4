//! The items of a table that say who owns a client id and who has a value, so that no two records contradict each other,
//! whichever programs write them at the same moment.
//!
//! A device claims first, then looks at what others claim, and only then is its record written. Of two devices that claim
//! the same, the later one sees the earlier one; both may see each other, and then both are refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem, Update},
};
use device_auth::{
    device_name::DeviceName,
    record::Record,
    store::{
        claims::{self, Claims, PREFIXES},
        document::StoreDocument,
        item::{self, KEY, OWNER},
    },
};

use super::{
    ClaimsReport, WriteError, exists,
    table::{Item, Table, text, text_of},
};
use crate::aws::{call_error, has_code};

/// In a mark: whether it is that of more than one device.
const SEVERAL: &str = "several";
/// DynamoDB's limit for one transaction and for one batch of reads (API reference, `TransactWriteItems`, `BatchGetItem`).
const MOST_ITEMS: usize = 100;
/// How often a transaction begins again that was in another one's way, and the pause before.
const MOST_ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

type Device<'a> = (&'a DeviceName, &'a Record);

impl Table {
    /// Claims what a record claims, besides what an older record of the device claims already. After an error nothing new is
    /// claimed.
    pub(super) async fn claim(
        &self,
        device: Device<'_>,
        claims: &Claims,
        old: Option<&Claims>,
    ) -> Result<(), WriteError> {
        let new = old.map_or_else(|| claims.clone(), |old| claims.without(old));
        self.own(device.0, &new).await?;
        let checked = self.mark_and_check(device, claims, &new).await;
        if checked.is_err() {
            self.release(device.0, &new).await;
        }
        checked
    }

    /// Makes client ids and prefixes the device's, all or none.
    async fn own(&self, name: &DeviceName, new: &Claims) -> Result<(), WriteError> {
        let mut items = Vec::new();
        for id in &new.ids {
            let put = Put::builder().table_name(self.name.as_str()).item(KEY, text(id));
            let put = put.item(OWNER, text(name.as_str()));
            let put = put.condition_expression(format!("attribute_not_exists({KEY}) OR #owner = :device"));
            let put = put.expression_attribute_names("#owner", OWNER);
            let put = put.expression_attribute_values(":device", text(name.as_str())).build();
            items.push((
                id.as_str(),
                TransactWriteItem::builder().put(put.map_err(anyhow::Error::new)?).build(),
            ));
        }
        if !new.prefixes.is_empty() {
            let mut update = Update::builder().table_name(self.name.as_str()).key(KEY, text(PREFIXES));
            update = update.expression_attribute_values(":device", text(name.as_str()));
            let (mut set, mut conditions) = (Vec::new(), Vec::new());
            for (n, prefix) in new.prefixes.iter().enumerate() {
                update = update.expression_attribute_names(format!("#p{n}"), prefix);
                set.push(format!("#p{n} = :device"));
                conditions.push(format!("(attribute_not_exists(#p{n}) OR #p{n} = :device)"));
            }
            let update = update.update_expression(format!("SET {}", set.join(", ")));
            let update = update.condition_expression(conditions.join(" AND ")).build();
            let update = update.map_err(anyhow::Error::new)?;
            items.push((PREFIXES, TransactWriteItem::builder().update(update).build()));
        }
        if items.len() > MOST_ITEMS {
            return Err(WriteError::Device(format!("it has more than {MOST_ITEMS} client ids")));
        }
        if items.is_empty() {
            return Ok(());
        }
        let (keys, items): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        for _ in 0..MOST_ATTEMPTS {
            let call = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let Err(error) = call.send().await else { return Ok(()) };
            let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
                error.as_service_error()
            else {
                return Err(WriteError::of(&error, "dynamodb:PutItem"));
            };
            let reasons = canceled.cancellation_reasons().iter().zip(&keys);
            let mut failed = reasons.filter(|(reason, _)| reason.code() == Some("ConditionalCheckFailed"));
            if let Some((_, key)) = failed.next() {
                return Err(self.owned_by_another(name, key).await?);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let why = "other writes to the table are in the way at every attempt: run this again";
        Err(WriteError::Device(why.to_owned()))
    }

    async fn owned_by_another(&self, name: &DeviceName, key: &str) -> anyhow::Result<WriteError> {
        let found = self.item(key).await?.unwrap_or_default();
        let owner = if item::is_owner(&found) { owner(&found).unwrap_or_default() } else { key };
        Ok(WriteError::Device(if key == PREFIXES {
            "one of its prefix rules is another device's: each client id may belong to one device only"
                .to_owned()
        } else if owner == name.as_str() {
            exists(name)
        } else {
            format!("`{}` as a client id belongs to device `{owner}`", key.trim_end_matches('|'))
        }))
    }

    /// Writes the record's marks, and compares it with each record that what others claim leads to.
    async fn mark_and_check(
        &self,
        device: Device<'_>,
        claims: &Claims,
        new: &Claims,
    ) -> Result<(), WriteError> {
        for mark in &new.marks {
            self.mark(device, mark, claims.watched.contains(mark)).await?;
        }
        let keys = claims.watched.iter().map(String::as_str).chain([PREFIXES]).collect::<Vec<_>>();
        let mut others = BTreeSet::new();
        for found in self.items(&keys).await? {
            let key = text_of(&found, KEY).unwrap_or_default();
            if key == PREFIXES {
                let reaching =
                    found.iter().filter(|(prefix, _)| *prefix != KEY && claims.is_reached_by(prefix));
                others.extend(reaching.filter_map(|(_, owner)| owner.as_s().ok().cloned()));
            } else if found.contains_key(SEVERAL) {
                // What the device watched before was compared before.
                if new.watched.contains(key) && !claims.marks.contains(key) {
                    return Err(several(key));
                }
            } else if let Some(owner) = owner(&found) {
                others.insert(owner.to_owned());
            } else if !key.starts_with('#') {
                others.insert(key.to_owned());
            }
        }
        others.remove(device.0.as_str());
        for other in others {
            self.compare_with(device, &other).await?;
        }
        if new.prefixes.is_empty() { Ok(()) } else { self.compare_with_all(device).await }
    }

    /// Writes one mark. If it is another device's, and this device also watches it, the two are compared before it becomes
    /// that of several.
    async fn mark(&self, device: Device<'_>, mark: &str, is_watched: bool) -> Result<(), WriteError> {
        let name = device.0.as_str();
        for _ in 0..MOST_ATTEMPTS {
            let found = self.item(mark).await?;
            let call = self.client.update_item().table_name(self.name.as_str()).key(KEY, text(mark));
            let call = call.expression_attribute_names("#owner", OWNER);
            let call = match found.as_ref().map(|found| (owner(found), found.contains_key(SEVERAL))) {
                Some((_, true)) if is_watched => return Err(several(mark)),
                Some((_, true)) => return Ok(()),
                Some((Some(owner), false)) if owner == name => return Ok(()),
                Some((Some(owner), false)) => {
                    if is_watched {
                        self.compare_with(device, owner).await?;
                    }
                    let call = call.update_expression(format!("SET {SEVERAL} = :several"));
                    let call = call.expression_attribute_values(":several", AttributeValue::Bool(true));
                    call.condition_expression("#owner = :owner")
                        .expression_attribute_values(":owner", text(owner))
                }
                Some((None, false)) | None => {
                    let call = call.update_expression("SET #owner = :owner");
                    let call = call.expression_attribute_values(":owner", text(name));
                    call.condition_expression("attribute_not_exists(#owner)")
                }
            };
            match call.send().await {
                Ok(_) => return Ok(()),
                Err(error) if has_code(&error, "ConditionalCheckFailedException") => {}
                Err(error) => return Err(WriteError::of(&error, "dynamodb:UpdateItem")),
            }
        }
        Err(WriteError::Device("others change the same item at every attempt: run this again".to_owned()))
    }

    async fn compare_with(&self, device: Device<'_>, other: &str) -> Result<(), WriteError> {
        let name = DeviceName::try_from(other).map_err(anyhow::Error::new)?;
        let Some(found) = self.record_item(&name).await? else { return Ok(()) };
        let found = item::document(&name, found).map_err(anyhow::Error::new);
        let record = found.and_then(|found| self.load(&name, &found));
        let record = record.map_err(|error| {
            let why = cli::error_text(error.as_ref());
            WriteError::Device(format!("it can't be compared with the record of `{name}`: {why}"))
        })?;
        claims::check_pair(device, (&name, &record)).map_err(|error| WriteError::Device(error.to_string()))
    }

    /// Compares a device with a prefix rule with every record. Its prefix is in the table by now, so records that are written
    /// from now on are compared with it.
    async fn compare_with_all(&self, device: Device<'_>) -> Result<(), WriteError> {
        let mut refused = None;
        self.scan(|found| {
            let name = text_of(&found, KEY).and_then(|key| DeviceName::try_from(key).ok());
            let Some(name) = name.filter(|name| name != device.0 && !item::is_owner(&found)) else { return };
            let Ok(document) = item::document(&name, found) else { return };
            if let Ok(record) = self.load(&name, &document)
                && let Err(error) = claims::check_pair(device, (&name, &record))
            {
                refused.get_or_insert(error.to_string());
            }
        })
        .await?;
        refused.map_or(Ok(()), |why| Err(WriteError::Device(why)))
    }

    /// Gives claims up. What can't be given up stays the device's, and `check --repair` finds it.
    pub(super) async fn release(&self, name: &DeviceName, claims: &Claims) {
        for key in claims.ids.iter().chain(&claims.marks) {
            let call = self.client.delete_item().table_name(self.name.as_str()).key(KEY, text(key));
            let call = call.condition_expression(format!(
                "#owner = :device AND attribute_not_exists({SEVERAL}) AND attribute_not_exists(scheme)"
            ));
            let call = call.expression_attribute_names("#owner", OWNER);
            _ = call.expression_attribute_values(":device", text(name.as_str())).send().await;
        }
        for prefix in &claims.prefixes {
            let call = self.client.update_item().table_name(self.name.as_str()).key(KEY, text(PREFIXES));
            let call = call.update_expression("REMOVE #prefix").condition_expression("#prefix = :device");
            let call = call.expression_attribute_names("#prefix", prefix);
            _ = call.expression_attribute_values(":device", text(name.as_str())).send().await;
        }
    }

    /// Compares the items besides the records with what the records claim. With `repair` it writes what is missing, and
    /// removes what belongs to no record.
    pub(crate) async fn check_claims(
        &self,
        document: &StoreDocument,
        repair: bool,
    ) -> anyhow::Result<ClaimsReport> {
        let mut present = BTreeMap::<String, (String, bool)>::new();
        self.scan(|found| {
            let Some(key) = text_of(&found, KEY).map(str::to_owned) else { return };
            if key == PREFIXES {
                let prefixes = found.into_iter().filter(|(prefix, _)| prefix != KEY);
                present.extend(prefixes.filter_map(|(prefix, owner)| {
                    Some((format!("{prefix}*"), (owner.as_s().ok()?.clone(), false)))
                }));
            } else if let Some(owner) = owner(&found).filter(|_| !found.contains_key("scheme")) {
                present.insert(key, (owner.to_owned(), found.contains_key(SEVERAL)));
            }
        })
        .await?;
        let mut report = ClaimsReport { missing: 0, left_over: 0, refused: Vec::new() };
        let mut claimed = BTreeSet::new();
        for (name, record) in &document.devices {
            // What is wrong with a record alone is reported elsewhere.
            let Ok(record) = self.load(name, record) else { continue };
            let claims = Claims::of(name, &record, self.grants());
            let owned = |key: &String| present.get(key).is_some_and(|(owner, _)| owner == name.as_str());
            let marked = |key: &String| present.contains_key(key);
            let prefixes = claims.prefixes.iter().map(|prefix| format!("{prefix}*"));
            let is_complete = claims.ids.iter().all(|id| id == name.as_str() || owned(id))
                && prefixes.clone().all(|prefix| owned(&prefix))
                && claims.marks.iter().all(marked);
            claimed.extend(claims.marks.iter().chain(&claims.ids).cloned().chain(prefixes));
            if is_complete {
                continue;
            }
            report.missing = report.missing.saturating_add(1);
            if repair {
                let own = Claims::of_ids([name.to_string()]);
                match self.claim((name, &record), &claims, Some(&own)).await {
                    Ok(()) => {}
                    Err(WriteError::Device(why)) => report.refused.push(format!("device `{name}`: {why}")),
                    Err(WriteError::Run(error)) => return Err(error),
                }
            }
        }
        for (key, _) in present.into_iter().filter(|(key, _)| !claimed.contains(key)) {
            report.left_over = report.left_over.saturating_add(1);
            if repair {
                self.forget(&key).await?;
            }
        }
        Ok(report)
    }

    /// Removes an item that belongs to no record, or a prefix, which ends with `*`.
    async fn forget(&self, key: &str) -> anyhow::Result<()> {
        if let Some(prefix) = key.strip_suffix('*').filter(|_| !key.starts_with('#')) {
            let call = self.client.update_item().table_name(self.name.as_str()).key(KEY, text(PREFIXES));
            let call = call.update_expression("REMOVE #prefix").expression_attribute_names("#prefix", prefix);
            return call.send().await.map(drop).map_err(|error| call_error(&error, "dynamodb:UpdateItem"));
        }
        let call = self.client.delete_item().table_name(self.name.as_str()).key(KEY, text(key));
        let call = call.condition_expression("attribute_not_exists(scheme)");
        match call.send().await {
            Err(error) if !has_code(&error, "ConditionalCheckFailedException") => {
                Err(call_error(&error, "dynamodb:DeleteItem"))
            }
            _ => Ok(()),
        }
    }

    /// The items of these keys that exist.
    pub(super) async fn items(&self, keys: &[&str]) -> anyhow::Result<Vec<Item>> {
        let mut items = Vec::new();
        for keys in keys.chunks(MOST_ITEMS) {
            let keys = keys.iter().map(|key| Item::from([(KEY.to_owned(), text(key))])).collect();
            let mut wanted =
                Some(KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()?);
            while let Some(keys) = wanted {
                let call = self.client.batch_get_item().request_items(self.name.as_str(), keys);
                let found = call.send().await.map_err(|error| call_error(&error, "dynamodb:BatchGetItem"))?;
                items.extend(found.responses.unwrap_or_default().into_values().flatten());
                wanted = found.unprocessed_keys.unwrap_or_default().remove(self.name.as_str());
            }
        }
        Ok(items)
    }
}

fn owner(item: &Item) -> Option<&str> {
    text_of(item, OWNER)
}

fn several(key: &str) -> WriteError {
    WriteError::Device(format!(
        "several devices have values that would make them share client ids or topics with it (`{key}`): choose another \
         name or value; if they were removed, `latchkey fleet check --repair` forgets them"
    ))
}
