//! An account of AWS as `latchkey conform` needs it: Lambda, which runs functions, IAM and CloudWatch Logs. Calls of AWS IoT go
//! on to a gateway.
//!
//! It does what AWS documents, also what makes a caller wait: Lambda can't use a new role at once, a new function is `Pending`,
//! a function can't be changed then, a role with policies can't be deleted, and a page of log events may be empty. What a
//! function prints is in its log group only if its role may write there.

use std::{
    collections::BTreeMap,
    io::Cursor,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::{
    clock::Clock,
    lambda::{
        Call,
        function::{Function, FunctionConfiguration, FunctionSource},
        injected_fault::InjectedFaults,
        program::Program,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{captured_log::CapturedLog, refusing};

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";

/// The account, on a free port. Dropping it ends it.
pub struct FakeAccount {
    endpoint: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this code, as often as it comes.
    Refuse(&'static str),
    /// It is carried out, and the caller never gets the answer.
    Hold,
    /// It is not carried out, and the caller never gets an answer.
    HoldBefore,
}

struct State {
    /// AWS IoT: a gateway's APIs, as `HOST:PORT`.
    iot: OnceLock<String>,
    /// Whether roles and functions take a while.
    slow: bool,
    resources: Mutex<Resources>,
    /// The part of a request that has the fault.
    fault: Mutex<Option<(&'static str, Fault)>>,
    held: Mutex<usize>,
    calls: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Resources {
    roles: BTreeMap<String, Role>,
    /// With their days of retention.
    groups: BTreeMap<String, Option<i64>>,
    functions: BTreeMap<String, Deployed>,
    /// The source ARNs of all permissions that were ever given.
    permissions: Vec<String>,
}

struct Role {
    trust: Value,
    policies: BTreeMap<String, Value>,
    /// Whether Lambda can use it now.
    is_known: bool,
}

struct Deployed {
    arn: String,
    role: String,
    group: String,
    is_active: bool,
    statements: BTreeMap<String, String>,
    function: Arc<Function>,
    log: CapturedLog,
    _folder: TempDir,
}

/// A request of any of the services.
struct Request<'r> {
    method: &'r str,
    path: &'r str,
    /// The service that the signature names; none of a call without one.
    service: Option<&'r str>,
    target: Option<&'r str>,
    body: &'r [u8],
}

/// Status, headers and body.
type Answer = (u16, String, String);

impl FakeAccount {
    /// Starts it. `slow` is whether roles and functions take a while, as they do on AWS.
    pub async fn start(slow: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            iot: OnceLock::new(),
            slow,
            resources: Mutex::default(),
            fault: Mutex::default(),
            held: Mutex::default(),
            calls: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { endpoint, state, server }
    }

    /// Sends the calls of AWS IoT to a gateway with this endpoint.
    pub fn send_iot_to(&self, endpoint: &str) {
        self.state.iot.set(endpoint.strip_prefix("http://").unwrap().to_owned()).unwrap();
    }

    /// Where it is, as `AWS_ENDPOINT_URL` names it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where its function can be called, whatever its name is.
    pub fn invoke_url(&self) -> String {
        format!("{}/2015-03-31/functions/any/invocations", self.endpoint)
    }

    /// Gives a fault to each call whose request has this part, until the next one is given.
    pub fn fail(&self, part: &'static str, fault: Fault) {
        *self.state.fault.lock().unwrap() = Some((part, fault));
        *self.state.held.lock().unwrap() = 0;
    }

    /// Nothing fails any more.
    pub fn recover(&self) {
        *self.state.fault.lock().unwrap() = None;
    }

    /// How many calls it holds since the fault was given.
    pub fn held(&self) -> usize {
        *self.state.held.lock().unwrap()
    }

    /// The operations that were called, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.lock().unwrap().clone()
    }

    /// The source ARNs of all permissions to call a function that were ever given.
    pub fn permissions(&self) -> Vec<String> {
        self.state.resources().permissions.clone()
    }

    /// The names of everything that is there.
    pub fn remains(&self) -> Vec<String> {
        let Resources { roles, groups, functions, .. } = &*self.state.resources();
        let names = [("role", roles.keys().collect::<Vec<_>>()), ("log group", groups.keys().collect())];
        let names = names.into_iter().chain([("function", functions.keys().collect())]);
        names.flat_map(|(kind, names)| names.into_iter().map(move |name| format!("{kind} {name}"))).collect()
    }
}

impl Drop for FakeAccount {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some(bytes) = refusing::request(&mut stream).await else { return };
    let fault = *state.fault.lock().unwrap();
    let has = |part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
    let fault = fault.filter(|(part, _)| has(part)).map(|(_, fault)| fault);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let request = Request::read(&head, &bytes[end + 4..]);
    let refused = match fault {
        Some(Fault::Refuse(code)) => Some(request.error(400, code, "the test says so")),
        Some(Fault::HoldBefore) => return hold(stream, &state).await,
        Some(Fault::Hold) | None => None,
    };
    let answer = match refused {
        Some(answer) => to_bytes(answer),
        None if matches!(request.service, Some("iot" | "iotdata")) => state.forwarded(&bytes).await,
        None => to_bytes(state.answer(&request).await),
    };
    if fault == Some(Fault::Hold) {
        return hold(stream, &state).await;
    }
    // The caller may have gone away.
    _ = stream.write_all(&answer).await;
}

/// Keeps the connection until the caller goes away.
async fn hold(mut stream: TcpStream, state: &State) {
    *state.held.lock().unwrap() += 1;
    _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

fn to_bytes((status, headers, body): Answer) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Told\r\n{headers}connection: close\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn json_answer(status: u16, body: &Value) -> Answer {
    (status, "content-type: application/json\r\n".to_owned(), body.to_string())
}

fn xml_answer(operation: &str, result: &str) -> Answer {
    let body = format!(
        "<{operation}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">{result}\
         <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{operation}Response>"
    );
    (200, "content-type: text/xml\r\n".to_owned(), body)
}

impl<'r> Request<'r> {
    fn read(head: &'r str, body: &'r [u8]) -> Self {
        let mut first = head.lines().next().unwrap().split(' ');
        let (method, path) = (first.next().unwrap(), first.next().unwrap());
        let header = |name: &str| {
            let mut headers = head.lines().filter_map(|line| line.split_once(':'));
            let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim())
        };
        // `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`
        let service = header("authorization").and_then(|value| value.split('/').nth(3));
        Self { method, path, service, target: header("x-amz-target"), body }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap()
    }

    /// A parameter of a call of IAM.
    fn parameter(&self, name: &str) -> String {
        let found = form_urlencoded::parse(self.body).find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("there is no {name}")).1.into_owned()
    }

    /// An error in the form of the service's protocol.
    fn error(&self, status: u16, code: &str, message: &str) -> Answer {
        if self.service == Some("iam") {
            let body = format!(
                "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            );
            return (status, "content-type: text/xml\r\n".to_owned(), body);
        }
        let body = json!({"__type": code, "message": message});
        let (status, headers, body) = json_answer(status, &body);
        (status, format!("{headers}x-amzn-errortype: {code}\r\n"), body)
    }
}

impl State {
    fn resources(&self) -> MutexGuard<'_, Resources> {
        self.resources.lock().unwrap()
    }

    async fn forwarded(&self, request: &[u8]) -> Vec<u8> {
        let mut server = TcpStream::connect(self.iot.get().unwrap()).await.unwrap();
        server.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        tokio::io::copy(&mut server, &mut answer).await.unwrap();
        answer
    }

    async fn answer(&self, request: &Request<'_>) -> Answer {
        match request.service {
            Some("iam") => self.iam(request),
            Some("logs") => self.logs(request),
            Some("lambda") => self.lambda(request).await,
            // The gateway calls the function.
            None => self.invoke(request).await,
            Some(other) => panic!("the service `{other}` is not there"),
        }
    }

    fn called(&self, operation: &str) {
        self.calls.lock().unwrap().push(operation.to_owned());
    }

    fn iam(&self, request: &Request<'_>) -> Answer {
        let operation = request.parameter("Action");
        self.called(&operation);
        let name = request.parameter("RoleName");
        let roles = &mut self.resources().roles;
        let document = |name: &str| serde_json::from_str(&request.parameter(name)).unwrap();
        if operation == "CreateRole" {
            if roles.contains_key(&name) {
                return request.error(409, "EntityAlreadyExists", "there is such a role");
            }
            let trust = document("AssumeRolePolicyDocument");
            roles.insert(name.clone(), Role { trust, policies: BTreeMap::new(), is_known: !self.slow });
            let arn = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
            let role = format!(
                "<CreateRoleResult><Role><Path>/</Path><RoleName>{name}</RoleName><RoleId>AROA</RoleId>\
                 <Arn>{arn}</Arn><CreateDate>2026-11-30T00:00:00Z</CreateDate></Role></CreateRoleResult>"
            );
            return xml_answer(&operation, &role);
        }
        let missing = |what: &str| request.error(404, "NoSuchEntity", &format!("there is no such {what}"));
        let Some(role) = roles.get_mut(&name) else { return missing("role") };
        match operation.as_str() {
            "PutRolePolicy" => {
                role.policies.insert(request.parameter("PolicyName"), document("PolicyDocument"));
            }
            "DeleteRolePolicy" => {
                if role.policies.remove(&request.parameter("PolicyName")).is_none() {
                    return missing("policy");
                }
            }
            "DeleteRole" if !role.policies.is_empty() => {
                let message = "Cannot delete entity, must delete policies first.";
                return request.error(409, "DeleteConflict", message);
            }
            "DeleteRole" => _ = roles.remove(&name),
            other => panic!("IAM has no {other} here"),
        }
        xml_answer(&operation, "")
    }

    fn logs(&self, request: &Request<'_>) -> Answer {
        let operation = request.target.unwrap().strip_prefix("Logs_20140328.").unwrap();
        self.called(operation);
        let input = request.json();
        let name = input["logGroupName"].as_str().unwrap().to_owned();
        let Resources { groups, functions, roles, .. } = &mut *self.resources();
        if operation == "CreateLogGroup" {
            if groups.contains_key(&name) {
                return request.error(400, "ResourceAlreadyExistsException", "there is such a log group");
            }
            groups.insert(name, None);
            return json_answer(200, &json!({}));
        }
        if !groups.contains_key(&name) {
            let message = "The specified log group does not exist.";
            return request.error(400, "ResourceNotFoundException", message);
        }
        match operation {
            "PutRetentionPolicy" => _ = groups.insert(name, input["retentionInDays"].as_i64()),
            "DeleteLogGroup" => _ = groups.remove(&name),
            "FilterLogEvents" => {
                // The first page has no event, and says that there is another one.
                if input["nextToken"].is_null() {
                    return json_answer(200, &json!({"events": [], "nextToken": "second"}));
                }
                let pattern = input["filterPattern"].as_str().unwrap();
                let script = pattern.strip_prefix("{ $.conform = \"").and_then(|it| it.strip_suffix("\" }"));
                let script = script.expect("a pattern that is understood here");
                let written = functions.values().filter(|it| it.group == name && it.may_write(roles));
                let lines = written.flat_map(|it| it.log.lines());
                let events = lines.filter(|line| line["conform"] == script).map(|line| {
                    json!({"logStreamName": "s", "timestamp": 0, "message": format!("{line}\n"), "eventId": "e"})
                });
                return json_answer(200, &json!({"events": events.collect::<Vec<_>>()}));
            }
            other => panic!("CloudWatch Logs has no {other} here"),
        }
        json_answer(200, &json!({}))
    }

    async fn lambda(&self, request: &Request<'_>) -> Answer {
        let path = request.path.strip_prefix("/2015-03-31/functions").unwrap();
        let parts = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
        let operation = match (request.method, parts.as_slice()) {
            ("POST", [""]) => {
                self.called("CreateFunction");
                return self.create_function(request).await;
            }
            ("GET", [_, "configuration"]) => "GetFunctionConfiguration",
            ("POST", [_, "policy"]) => "AddPermission",
            ("DELETE", [_]) => "DeleteFunction",
            other => panic!("Lambda has no {other:?} here"),
        };
        self.called(operation);
        let Resources { functions, permissions, .. } = &mut *self.resources();
        let Some(function) = functions.get_mut(parts[0]) else {
            let message = format!("Function not found: {}", parts[0]);
            return request.error(404, "ResourceNotFoundException", &message);
        };
        let was_active = std::mem::replace(&mut function.is_active, true);
        let state = if was_active { "Active" } else { "Pending" };
        if operation == "GetFunctionConfiguration" {
            return json_answer(200, &json!({"FunctionArn": function.arn, "State": state}));
        }
        if !was_active {
            let message = "The operation cannot be performed at this time. The function is currently in the following state: Pending";
            return request.error(409, "ResourceConflictException", message);
        }
        if operation == "DeleteFunction" {
            functions.remove(parts[0]);
            return (204, String::new(), String::new());
        }
        let input = request.json();
        let (id, source) = (input["StatementId"].as_str().unwrap(), input["SourceArn"].as_str().unwrap());
        if function.statements.contains_key(id) {
            return request.error(409, "ResourceConflictException", "The statement id already exists.");
        }
        assert_eq!(input["Principal"], "iot.amazonaws.com");
        assert_eq!(input["Action"], "lambda:InvokeFunction");
        function.statements.insert(id.to_owned(), source.to_owned());
        permissions.push(source.to_owned());
        json_answer(201, &json!({"Statement": "{}"}))
    }

    async fn create_function(&self, request: &Request<'_>) -> Answer {
        let input = request.json();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text in {input}")).to_owned();
        let (name, role) = (text(&input["FunctionName"]), text(&input["Role"]));
        let group = text(&input["LoggingConfig"]["LogGroup"]);
        {
            let Resources { functions, roles, .. } = &mut *self.resources();
            if functions.contains_key(&name) {
                let message = format!("Function already exist: {name}");
                return request.error(409, "ResourceConflictException", &message);
            }
            let found = roles.get_mut(role.rsplit('/').next().unwrap());
            let is_usable = found.is_some_and(|role| {
                let statement = &role.trust["Statement"][0];
                std::mem::replace(&mut role.is_known, true)
                    && statement["Principal"]["Service"] == "lambda.amazonaws.com"
                    && statement["Action"] == "sts:AssumeRole"
            });
            if !is_usable {
                let message = "The role defined for the function cannot be assumed by Lambda.";
                return request.error(400, "InvalidParameterValueException", message);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let handler = unpacked(&text(&input["Code"]["ZipFile"]), &text(&input["Handler"]), &folder);
        let variables = input["Environment"]["Variables"].as_object().unwrap();
        let variables = variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let program = Program {
            arguments: vec![handler.display().to_string()],
            ..Program::new("python3".into(), variables)
        };
        let configuration = FunctionConfiguration { source: FunctionSource::Program(program), instances: 8 };
        let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}");
        let (event_log, log) = CapturedLog::of_gateway();
        let (clock, injected) = (Clock::system(), InjectedFaults::default());
        let function = Function::new(configuration, &arn, &clock, &event_log, &injected).await.unwrap();
        let deployed = Deployed {
            arn: arn.clone(),
            role: role.rsplit('/').next().unwrap().to_owned(),
            group,
            is_active: !self.slow,
            statements: BTreeMap::new(),
            function: Arc::new(function),
            log,
            _folder: folder,
        };
        self.resources().functions.insert(name, deployed);
        let state = if self.slow { "Pending" } else { "Active" };
        json_answer(201, &json!({"FunctionArn": arn, "State": state}))
    }

    /// Calls the function that AWS IoT may call.
    async fn invoke(&self, request: &Request<'_>) -> Answer {
        assert!(request.path.ends_with("/invocations"), "{}", request.path);
        let found = {
            let resources = self.resources();
            let callable = resources.functions.values().find(|it| it.is_active && !it.statements.is_empty());
            callable.map(|it| Arc::clone(&it.function))
        };
        let Some(function) = found else {
            return request.error(404, "ResourceNotFoundException", "there is no function to call");
        };
        match function.invoke(Call::Connect, || request.body.to_vec().into()).await {
            Ok(answer) => (200, String::new(), String::from_utf8(answer.to_vec()).unwrap()),
            Err(error) => {
                let (status, headers, body) =
                    json_answer(200, &json!({"errorType": "Error", "errorMessage": error.to_string()}));
                (status, format!("{headers}x-amz-function-error: Unhandled\r\n"), body)
            }
        }
    }
}

impl Deployed {
    /// Whether its role has a policy that allows writing to its log group.
    fn may_write(&self, roles: &BTreeMap<String, Role>) -> bool {
        let arn = format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{}:*", self.group);
        let mut policies = roles.get(&self.role).into_iter().flat_map(|role| role.policies.values());
        policies.any(|policy| {
            let statement = &policy["Statement"][0];
            let actions = statement["Action"].as_array().unwrap();
            let writes =
                ["logs:CreateLogStream", "logs:PutLogEvents"].iter().all(|it| actions.contains(&json!(it)));
            writes && statement["Effect"] == "Allow" && statement["Resource"] == json!(arn)
        })
    }
}

/// Unpacks the archive of a function, and gives the file of its handler, `FILE.FUNCTION`.
fn unpacked(archive: &str, handler: &str, folder: &TempDir) -> PathBuf {
    let mut archive = zip::ZipArchive::new(Cursor::new(STANDARD.decode(archive).unwrap())).unwrap();
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).unwrap();
        let path = folder.path().join(file.enclosed_name().unwrap());
        std::io::copy(&mut file, &mut std::fs::File::create(path).unwrap()).unwrap();
    }
    let (file, function) = handler.split_once('.').unwrap();
    let path = folder.path().join(format!("{file}.py"));
    let source = std::fs::read_to_string(&path).unwrap();
    assert!(source.contains(&format!("\ndef {function}(event, context")), "there is no {handler}");
    path
}
