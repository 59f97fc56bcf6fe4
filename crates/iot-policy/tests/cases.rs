//! Runs every case of `tests/cases/*.json`: a policy with a request and its decision, with its findings, or with
//! the error that refuses it. No decision may allocate.
//! All cases live in partition `aws`, region `eu-west-1`, account `123456789012`.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use iot_policy::{
        Action, AlternativeName, Certificate, CertificateField, Context, NameAttribute, Party,
        PolicyDocument, Request, Scope, Thing, evaluate, near_miss,
    };
    use serde::Deserialize;
    use serde_json::Value;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        description: String,
        #[serde(default)]
        policies: Vec<Value>,
        /// A policy's text, where its JSON value would lose what the case is about.
        text: Option<String>,
        #[serde(default)]
        requests: Vec<CaseRequest>,
        findings: Option<Vec<String>>,
        error: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct CaseRequest {
        action: String,
        name: String,
        client_id: Option<String>,
        source_ip: Option<String>,
        domain_name: Option<String>,
        #[serde(default)]
        persistent_session: bool,
        last_will_topic: Option<String>,
        direct_message_topic: Option<String>,
        /// In seconds since 1970.
        time: Option<u64>,
        thing: Option<CaseThing>,
        thing_attached: Option<bool>,
        /// Values by the field's name, as after `iot:Certificate.`.
        certificate: Option<BTreeMap<String, Vec<String>>>,
        decision: String,
        /// What comes nearest to allowing a request that no statement allows; not compared if left out.
        near_miss: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct CaseThing {
        name: String,
        type_name: Option<String>,
        #[serde(default)]
        attributes: BTreeMap<String, String>,
    }

    #[test]
    fn every_case() {
        let mut count = 0;
        let mut failures = Vec::new();
        let mut files: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(&file).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            count += cases.len();
            for case in cases {
                if let Err(failure) = check(&case) {
                    failures.push(format!("{}: {}: {failure}", file.display(), case.description));
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert!(count >= 300, "only {count} cases");
    }

    fn check(case: &Case) -> Result<(), String> {
        let texts = case.policies.iter().map(Value::to_string).chain(case.text.clone());
        let documents: Result<Vec<PolicyDocument>, _> = texts.map(|text| text.parse()).collect();
        let documents = match (documents, &case.error) {
            (Ok(documents), None) => documents,
            (Err(error), Some(expected)) => return same("error", &error.to_string(), expected),
            (Ok(_), Some(expected)) => return Err(format!("was accepted instead of {expected}")),
            (Err(error), None) => return Err(format!("was refused: {error}")),
        };
        if case.requests.is_empty() && case.findings.is_none() {
            return Err("asserts nothing".to_owned());
        }
        if let Some(expected) = &case.findings {
            let found: Vec<_> =
                documents.iter().flat_map(PolicyDocument::findings).map(ToString::to_string).collect();
            same("findings", &found.join("\n"), &expected.join("\n"))?;
        }
        case.requests.iter().try_for_each(|request| check_request(&documents, request))
    }

    fn check_request(documents: &[PolicyDocument], request: &CaseRequest) -> Result<(), String> {
        let scope = Scope::new("aws", "eu-west-1", "123456789012").unwrap();
        let mut context = Context::empty();
        if let Some(client_id) = &request.client_id {
            context = context.with_client_id(client_id);
        }
        if let Some(source_ip) = &request.source_ip {
            context = context.with_source_ip(source_ip.parse().unwrap());
        }
        if let Some(domain_name) = &request.domain_name {
            context = context.with_domain_name(domain_name);
        }
        if request.persistent_session {
            context = context.with_persistent_session();
        }
        if let Some(topic) = &request.last_will_topic {
            context = context.with_last_will(&scope, topic);
        }
        if let Some(topic) = &request.direct_message_topic {
            context = context.with_direct_message_topic(topic);
        }
        if let Some(time) = request.time {
            context = context.with_time(time);
        }
        if let Some(known) = &request.thing {
            context = context.with_thing(thing(known));
        }
        if let Some(attached) = request.thing_attached {
            context = context.with_thing_attached(attached);
        }
        if let Some(values) = &request.certificate {
            context = context.with_certificate(certificate(values));
        }
        let action: Action = request.action.parse().unwrap();
        let request_of_case = Request::new(action, &scope, &request.name, &context);
        let mut decided = None;
        let allocations =
            allocation_counter::measure(|| decided = Some(evaluate(documents, &request_of_case))).count_total;
        let decision = decided.unwrap();
        if allocations > 0 {
            return Err(format!("{action} {}: {allocations} allocations", request.name));
        }
        assert_eq!(decision.is_allowed(), decision.to_string().starts_with("allowed"));
        same(&format!("{action} {}", request.name), &decision.to_string(), &request.decision)?;
        let Some(expected) = &request.near_miss else { return Ok(()) };
        let found = near_miss(documents, &request_of_case).map(|near| near.to_string()).unwrap_or_default();
        same(&format!("near miss of {action} {}", request.name), &found, expected)
    }

    fn thing(known: &CaseThing) -> Thing {
        let thing = known.type_name.iter().fold(Thing::new(&known.name), Thing::with_type_name);
        known.attributes.iter().fold(thing, |thing, (name, value)| thing.with_attribute(name, value))
    }

    fn certificate(values: &BTreeMap<String, Vec<String>>) -> Certificate {
        let values = values.iter().flat_map(|(name, values)| values.iter().map(|value| (field(name), value)));
        values.fold(Certificate::empty(), |known, (field, value)| known.with(field, value))
    }

    fn field(name: &str) -> CertificateField {
        match name {
            "Id" => CertificateField::Id,
            "SerialNumber" => CertificateField::SerialNumber,
            "Issuer.Organization" => CertificateField::Name(Party::Issuer, NameAttribute::Organization),
            "Subject.CommonName" => CertificateField::Name(Party::Subject, NameAttribute::CommonName),
            "Subject.Country" => CertificateField::Name(Party::Subject, NameAttribute::Country),
            "Subject.Organization" => CertificateField::Name(Party::Subject, NameAttribute::Organization),
            "Subject.OrganizationalUnit" => {
                CertificateField::Name(Party::Subject, NameAttribute::OrganizationalUnit)
            }
            "Subject.SerialNumber" => CertificateField::Name(Party::Subject, NameAttribute::SerialNumber),
            "Subject.AlternativeName.DNSName" => {
                CertificateField::AlternativeName(Party::Subject, AlternativeName::DNSName)
            }
            other => panic!("no field `{other}`"),
        }
    }

    fn same(what: &str, found: &str, expected: &str) -> Result<(), String> {
        if found == expected { Ok(()) } else { Err(format!("{what}: found {found}, expected {expected}")) }
    }
}
