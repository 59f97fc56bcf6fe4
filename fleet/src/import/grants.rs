//! Grants for the users of a file, from a broker's access rules.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use device_auth::{
    grant::{GrantDefinition, Grants},
    record::ClientIdRule,
};

use super::{
    acl::{Acl, Remark, User, compile::compile, filter::Form},
    rows::Row,
};

/// How often users are looked at again, because a grant that was made for one names the topics of another.
const ROUNDS: usize = 6;

/// The grants of the rows.
pub(super) struct Assigned {
    /// The grants that are new.
    pub(super) grants: BTreeMap<String, GrantDefinition>,
    /// The name of each row's grant.
    pub(super) of_rows: Vec<String>,
    pub(super) remarks: BTreeSet<Remark>,
}

/// Makes the grants of all rows. `known` are the grants of the store, and `base` is what the grant of most users is called.
///
/// Where users differ by their names only, they have one grant with placeholders. A user whose topics another grant names as
/// text has a grant with the same topics as text: the access rules then say themselves that both may use them.
pub(super) fn assign(
    acl: &Acl,
    rows: &[Row],
    known: &BTreeMap<String, GrantDefinition>,
    base: &str,
) -> anyhow::Result<Assigned> {
    let mut forms = vec![Form::PlaceholdersAndOwnName; rows.len()];
    let mut assigned = round(acl, rows, &forms, known, base)?;
    for _ in 0..ROUNDS {
        let all = known.iter().chain(&assigned.grants).map(|(name, grant)| (name.clone(), grant.clone()));
        let all = Grants::new(all.collect())?;
        let mut is_changed = false;
        for ((row, form), grant) in rows.iter().zip(&mut forms).zip(&assigned.of_rows) {
            let grant = all.get(grant)?;
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
        }
        if !is_changed {
            break;
        }
        assigned = round(acl, rows, &forms, known, base)?;
    }
    let names = rows.iter().map(|row| row.name.as_str()).collect::<HashSet<_>>();
    assigned.remarks.extend(acl.remarks(|name| names.contains(name)));
    Ok(assigned)
}

fn round(
    acl: &Acl,
    rows: &[Row],
    forms: &[Form],
    known: &BTreeMap<String, GrantDefinition>,
    base: &str,
) -> anyhow::Result<Assigned> {
    let mut remarks = BTreeSet::new();
    let mut by_text = HashMap::<String, usize>::new();
    let mut definitions = Vec::<(GrantDefinition, &Row, usize)>::new();
    let mut of_rows = Vec::with_capacity(rows.len());
    for (row, form) in rows.iter().zip(forms) {
        let user = user(row);
        let definition = compile(&acl.access(user), user, *form, &mut remarks);
        let next = definitions.len();
        let at = *by_text.entry(serde_json::to_string(&definition)?).or_insert(next);
        match definitions.get_mut(at) {
            Some((_, _, count)) => *count = count.saturating_add(1),
            None => definitions.push((definition, row, 1)),
        }
        of_rows.push(at);
    }
    let (names, grants) = named(definitions, known, base)?;
    let of_rows = of_rows.into_iter().filter_map(|at| names.get(at).cloned()).collect();
    Ok(Assigned { grants, of_rows, remarks })
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
    definitions: Vec<(GrantDefinition, &Row, usize)>,
    known: &BTreeMap<String, GrantDefinition>,
    base: &str,
) -> anyhow::Result<(Vec<String>, BTreeMap<String, GrantDefinition>)> {
    let built_in = Grants::new(BTreeMap::new())?;
    let is_alone = definitions.len() == 1;
    let (mut names, mut grants) = (Vec::new(), BTreeMap::new());
    for (definition, first, count) in definitions {
        let wanted = if count > 1 || is_alone { base } else { first.name.as_str() };
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
