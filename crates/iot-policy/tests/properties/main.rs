//! Properties of evaluation over generated policies, and a comparison with a naive twin.

#[cfg(test)]
mod generators;
#[cfg(test)]
mod twin;

#[cfg(test)]
mod tests {
    use iot_policy::{Decision, Effect, PolicyDocument, Request, Scope, escape_literal, evaluate, near_miss};
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::generators::{self, ACCOUNT, PARTITION, REGION};
    use crate::twin::{self, Connection, Verdict};

    fn scope() -> Scope {
        Scope::new(PARTITION, REGION, ACCOUNT).unwrap()
    }

    fn documents(policies: &[Value]) -> Vec<PolicyDocument> {
        policies.iter().map(|policy| policy.to_string().parse().unwrap()).collect()
    }

    fn verdict(policies: &[Value], connection: &Connection, ask: &generators::Ask) -> Verdict {
        let (documents, scope, context) = (documents(policies), scope(), connection.context(&scope()));
        match evaluate(&documents, &Request::new(ask.action, &scope, &ask.name, &context)) {
            Decision::Allowed(_) => Verdict::Allowed,
            Decision::Denied(_) => Verdict::Denied,
            Decision::NotAllowed => Verdict::NotAllowed,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_twin_agrees(
            policies in generators::policies(),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let expected = twin::decide(&policies, &connection, &ask);
            prop_assert_eq!(verdict(&policies, &connection, &ask), expected);
        }

        #[test]
        fn a_near_miss_names_an_allow_that_does_not_apply(
            policies in generators::policies(),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let (documents, scope, context) = (documents(&policies), scope(), connection.context(&scope()));
            let request = Request::new(ask.action, &scope, &ask.name, &context);
            if evaluate(&documents, &request) == Decision::NotAllowed
                && let Some(near) = near_miss(&documents, &request)
            {
                let document = &documents[near.statement().document()];
                let statement = &document.statements()[near.statement().statement()];
                prop_assert_eq!(statement.effect(), Effect::Allow);
                prop_assert!(!statement.applies_to(&request));
            }
        }

        #[test]
        fn the_twin_agrees_on_one_pattern(
            pattern in generators::resource(),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let policies = [generators::allow(&pattern)];
            let expected = twin::decide(&policies, &connection, &ask);
            prop_assert_eq!(verdict(&policies, &connection, &ask), expected);
        }
    }

    proptest! {
        #[test]
        fn a_further_deny_never_allows_more(
            mut policies in generators::policies(),
            deny in generators::policy_of("Deny"),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let before = verdict(&policies, &connection, &ask);
            policies.push(deny);
            let after = verdict(&policies, &connection, &ask);
            prop_assert!(after != Verdict::Allowed || before == Verdict::Allowed);
        }

        #[test]
        fn a_further_allow_never_denies_more(
            mut policies in generators::policies(),
            allow in generators::policy_of("Allow"),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let before = verdict(&policies, &connection, &ask);
            policies.insert(0, allow);
            let after = verdict(&policies, &connection, &ask);
            prop_assert!(before != Verdict::Allowed || after == Verdict::Allowed);
            prop_assert_eq!(before == Verdict::Denied, after == Verdict::Denied);
        }

        #[test]
        fn order_does_not_matter(
            policies in generators::policies(),
            connection in generators::connection(),
            ask in generators::ask(),
            turns in 0_usize..8,
        ) {
            let mut turned = policies.clone();
            turned.reverse();
            for policy in &mut turned {
                let statements = policy["Statement"].as_array_mut().unwrap();
                let turns = turns % statements.len();
                statements.rotate_left(turns);
            }
            prop_assert_eq!(verdict(&policies, &connection, &ask), verdict(&turned, &connection, &ask));
        }

        #[test]
        fn a_literal_pattern_matches_itself_only(
            name in generators::name(),
            other in generators::name(),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let pattern = scope().resource(ask.action.resource_kind(), &name).literal_pattern();
            let policies = [generators::allow(&pattern)];
            for asked in [&name, &other] {
                let ask = generators::Ask { name: asked.clone(), ..ask.clone() };
                let allowed = verdict(&policies, &connection, &ask) == Verdict::Allowed;
                prop_assert_eq!(allowed, *asked == name, "{} {}", pattern, asked);
            }
        }

        #[test]
        fn any_text_escapes_to_itself_only(name in any::<String>(), other in any::<String>()) {
            let scope = scope();
            let connection = Connection::unknown();
            let policies = [generators::allow(&scope.client(&name).literal_pattern())];
            for asked in [&name, &other] {
                let ask = generators::Ask { action: iot_policy::Action::Connect, name: asked.clone() };
                let allowed = verdict(&policies, &connection, &ask) == Verdict::Allowed;
                prop_assert_eq!(allowed, *asked == name);
            }
        }

        #[test]
        fn a_client_id_never_widens_a_pattern(
            pattern in generators::resource(),
            id in generators::name(),
            ask in generators::ask(),
        ) {
            let connection = Connection { client_id: Some(id.clone()), ..Connection::unknown() };
            let written_out = pattern.replace("${iot:ClientId}", &escape_literal(&id));
            prop_assert_eq!(
                verdict(&[generators::allow(&pattern)], &connection, &ask),
                verdict(&[generators::allow(&written_out)], &connection, &ask),
            );
        }

        #[test]
        fn the_deciding_statement_applies(
            policies in generators::policies(),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let (documents, scope) = (documents(&policies), scope());
            let context = connection.context(&scope);
            let request = Request::new(ask.action, &scope, &ask.name, &context);
            if let Some(at) = evaluate(&documents, &request).statement() {
                let statement = &documents[at.document()].statements()[at.statement()];
                prop_assert!(statement.applies_to(&request));
                prop_assert_eq!(statement.sid(), at.sid());
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            prop_assert!(PolicyDocument::parse(&text).is_err());
        }

        #[test]
        fn no_broken_policy_panics(
            policy in generators::policy_of("Allow"),
            at in any::<prop::sample::Index>(),
            length in 0_usize..6,
            patch in generators::patch(),
        ) {
            let mut chars: Vec<char> = policy.to_string().chars().collect();
            let start = at.index(chars.len());
            let end = chars.len().min(start + length);
            chars.splice(start..end, patch.chars());
            let text: String = chars.into_iter().collect();
            if let Ok(document) = PolicyDocument::parse(&text) {
                prop_assert!(!document.statements().is_empty());
            }
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            prop_assert!(PolicyDocument::parse(&String::from_utf8_lossy(&bytes)).is_err());
        }

        #[test]
        fn no_odd_condition_panics(
            condition in generators::odd_condition(),
            connection in generators::connection(),
            ask in generators::ask(),
        ) {
            let mut policy = generators::allow("*");
            policy["Statement"][0]["Condition"] = condition;
            if policy.to_string().parse::<PolicyDocument>().is_ok() {
                prop_assert_ne!(verdict(&[policy], &connection, &ask), Verdict::Denied);
            }
        }

        #[test]
        fn no_json_panics(value in generators::json()) {
            prop_assert!(PolicyDocument::try_from(&value).is_err());
        }
    }
}
