//! `DescribeEndpoint`.
//!
//! Source: API reference, `API_DescribeEndpoint`.

use serde_json::json;

use crate::{
    api::{Api, answer::Answer, error::ApiError, input::Input, text::Text},
    door::route::Port,
};

const ENDPOINT_TYPE: Text = Text { max: 128, ..Text::ANY };

/// Where devices connect: `localhost`, with the port for AWS's 443 unless it is 443 itself. Without a type this is the
/// endpoint of `iot:Data-ATS` *(guess: without a type, `DescribeEndpoint` answers)*.
///
/// # Errors
///
/// When the gateway has no endpoint of this type.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let wanted = input.query("endpointType", &ENDPOINT_TYPE)?;
    match wanted.as_deref() {
        None | Some("iot:Data-ATS") => {}
        // Measured: AWS refuses them.
        Some(refused @ ("iot:Data" | "iot:Jobs")) => {
            let message = format!("the endpoint type {refused} is not supported: ask for iot:Data-ATS");
            return Err(ApiError::invalid_request(message));
        }
        Some(other @ "iot:CredentialProvider") => {
            return Err(ApiError::not_implemented(&format!("DescribeEndpoint of {other}")));
        }
        Some(_) => return Err(ApiError::invalid_request("the endpoint type does not exist")),
    }
    let port = api.addresses.doors.get(&Port::P443).map(std::net::SocketAddr::port);
    let address = match port {
        None | Some(443) => "localhost".to_owned(),
        Some(port) => format!("localhost:{port}"),
    };
    Ok(json!({"endpointAddress": address}).into())
}
