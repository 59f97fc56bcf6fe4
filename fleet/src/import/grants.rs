//! Grants for the users of a file, from a broker's access rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use device_auth::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    record::ClientIdRule,
};

use super::{
    acl::{Acl, Remark, User, compile::compile, filter::Form},
    rows::Row,
};

/// How often users are looked at again, because a grant that was made for one names the topics of another.
const ROUNDS: usize = 6;

/// The rows of a file, read again at each call, and given one by one with their numbers.
pub(crate) type EachRow<'a> = dyn Fn(&mut dyn FnMut(u32, &Row)) -> anyhow::Result<()> + 'a;

/// The grants of the rows.
pub(super) struct Assigned {
    /// The grants that are new.
    pub(super) grants: BTreeMap<String, GrantDefinition>,
    pub(super) of_rows: GrantNames,
    pub(super) remarks: BTreeSet<Remark>,
}

/// The name of each row's grant.
#[derive(Default)]
pub(crate) struct GrantNames {
    names: Vec<String>,
    /// The number of its name, by the row's number.
    of_rows: Vec<u32>,
}

impl GrantNames {
    /// The grant of a row.
    pub(crate) fn get(&self, row: u32) -> Option<&str> {
        let name = self.of_rows.get(usize::try_from(row).ok()?)?;
        self.names.get(usize::try_from(*name).ok()?).map(String::as_str)
    }
}

/// A grant, the name of the first user that has it, and how many have it.
type Definition = (GrantDefinition, DeviceName, usize);

/// Makes the grants of all rows. `known` are the grants of the store, and `base` is what the grant of most users is called.
/// `is_known` says whether there is a user of this name.
///
/// Where users differ by their names only, they have one grant with placeholders. A user whose topics another grant names as
/// text has a grant with the same topics as text: the access rules then say themselves that both may use them.
pub(super) fn assign(
    acl: &Acl,
    rows: &EachRow<'_>,
    is_known: impl Fn(&str) -> bool,
    known: &BTreeMap<String, GrantDefinition>,
    base: &str,
) -> anyhow::Result<Assigned> {
    // By the row's number.
    let mut forms = Vec::new();
    let mut assigned = round(acl, rows, &mut forms, known, base)?;
    for _ in 0..ROUNDS {
        let all = known.iter().chain(&assigned.grants).map(|(name, grant)| (name.clone(), grant.clone()));
        let all = Grants::new(all.collect())?;
        let (mut is_changed, mut failed) = (false, None);
        rows(&mut |number, row| {
            let form = usize::try_from(number).ok().and_then(|number| forms.get_mut(number));
            let (Some(form), Some(grant)) = (form, assigned.of_rows.get(number)) else { return };
            let grant = match all.get(grant) {
                Ok(grant) => grant,
                Err(error) => {
                    failed.get_or_insert(error);
                    return;
                }
            };
            let ids = row.client_ids.iter().flatten().filter_map(|rule| match rule {
                ClientIdRule::Exact(id) => Some(id.as_str()),
                ClientIdRule::Prefix(_) => None,
            });
            let mut ids = ids.chain(row.client_ids.is_none().then(|| row.name.as_str()));
            let is_reserved =
                grant.reserves("device", row.name.as_str()) || ids.any(|id| grant.reserves("client_id", id));
            if is_reserved && *form != Form::Values {
                *form = if *form == Form::Placeholders { Form::Values } else { Form::Placeholders };
                is_changed = true;
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if !is_changed {
            break;
        }
        assigned = round(acl, rows, &mut forms, known, base)?;
    }
    assigned.remarks.extend(acl.remarks(is_known));
    Ok(assigned)
}

fn round(
    acl: &Acl,
    rows: &EachRow<'_>,
    forms: &mut Vec<Form>,
    known: &BTreeMap<String, GrantDefinition>,
    base: &str,
) -> anyhow::Result<Assigned> {
    let mut remarks = BTreeSet::new();
    let mut by_text = HashMap::<String, usize>::new();
    let mut definitions = Vec::<Definition>::new();
    let mut of_rows = Vec::new();
    let mut failed = None;
    rows(&mut |number, row| {
        let Ok(number) = usize::try_from(number) else { return };
        if forms.len() <= number {
            forms.resize(number.saturating_add(1), Form::PlaceholdersAndOwnName);
        }
        let form = forms.get(number).copied().unwrap_or(Form::PlaceholdersAndOwnName);
        let user = user(row);
        let definition = compile(&acl.access(user), user, form, &mut remarks);
        let text = match serde_json::to_string(&definition) {
            Ok(text) => text,
            Err(error) => {
                failed.get_or_insert(error);
                return;
            }
        };
        let next = definitions.len();
        let at = *by_text.entry(text).or_insert(next);
        match definitions.get_mut(at) {
            Some((_, _, count)) => *count = count.saturating_add(1),
            None => definitions.push((definition, row.name.clone(), 1)),
        }
        of_rows.resize(number, u32::MAX);
        of_rows.push(u32::try_from(at).unwrap_or(u32::MAX));
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let (names, grants) = named(definitions, known, base)?;
    Ok(Assigned { grants, of_rows: GrantNames { names, of_rows }, remarks })
}

fn user(row: &Row) -> User<'_> {
    let client_id = match row.client_ids.as_deref() {
        None => Some(row.name.as_str()),
        Some([ClientIdRule::Exact(id)]) => Some(id.as_str()),
        Some(_) => None,
    };
    User { name: row.name.as_str(), client_id }
}

/// The name of each grant, and those that the store does not have.
fn named(
    definitions: Vec<Definition>,
    known: &BTreeMap<String, GrantDefinition>,
    base: &str,
) -> anyhow::Result<(Vec<String>, BTreeMap<String, GrantDefinition>)> {
    let built_in = Grants::new(BTreeMap::new())?;
    let is_alone = definitions.len() == 1;
    let (mut names, mut grants) = (Vec::new(), BTreeMap::new());
    for (definition, first, count) in definitions {
        let wanted = if count > 1 || is_alone { base } else { first.as_str() };
        let numbered = (2_usize..).map(|number| format!("{wanted}-{number}"));
        let free = std::iter::once(wanted.to_owned()).chain(numbered).find(|name| {
            let is_taken = built_in.get(name).is_ok() || grants.contains_key(name);
            !is_taken && known.get(name).is_none_or(|known| *known == definition)
        });
        let name = free.unwrap_or_default();
        if !known.contains_key(&name) {
            grants.insert(name.clone(), definition);
        }
        names.push(name);
    }
    Ok((names, grants))
}
