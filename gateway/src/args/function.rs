//! The authorizer's function on the command line.

use std::{num::NonZeroUsize, path::PathBuf, str::FromStr};

use anyhow::Context as _;
use clap::Args;
use iot_policy::arn::FunctionArn;

use crate::lambda::{
    function::{FunctionConfiguration, FunctionSource},
    program::Program,
};

/// Which function authorizes clients. A flag wins over the settings file.
#[derive(Args)]
#[command(next_help_heading = "Authorizer")]
pub struct FunctionArgs {
    /// The authorizer's program [default: latchkey's own]
    #[arg(
        long,
        env = "LATCHKEY_AUTHORIZER",
        hide_env_values = true,
        value_name = "PROGRAM",
        group = "function"
    )]
    pub authorizer: Option<PathBuf>,

    /// Call an authorizer that runs elsewhere, at its Invoke URL
    ///
    /// For `cargo lambda watch` the URL is `http://127.0.0.1:9000/2015-03-31/functions/NAME/invocations`.
    #[arg(long, value_name = "URL", group = "function")]
    pub invoke_url: Option<String>,

    /// Call an authorizer in AWS
    ///
    /// The gateway uses the same credentials as the AWS CLI.
    #[arg(long, value_name = "ARN", group = "function")]
    pub function_arn: Option<FunctionArn>,

    /// Set a variable of the authorizer's program, such as `RUST_LOG=debug`; repeat for more
    ///
    /// It wins over a variable that the gateway sets itself.
    #[arg(
        long = "function-env", value_name = "NAME=VALUE", conflicts_with_all = ["invoke_url", "function_arn"],
        hide_short_help = true
    )]
    pub function_env: Vec<Variable>,

    /// How many connects may call the authorizer at a time [default: 4]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub instances: Option<NonZeroUsize>,
}

/// A variable of a program's environment, typed as `NAME=VALUE`. No `Debug`: there may be a secret in it.
#[derive(Clone)]
pub struct Variable {
    name: String,
    value: String,
}

/// A text that does not name a variable.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it has to read NAME=VALUE")]
pub struct InvalidVariable;

impl FromStr for Variable {
    type Err = InvalidVariable;

    fn from_str(text: &str) -> Result<Self, InvalidVariable> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(InvalidVariable),
        }
    }
}

impl FunctionArgs {
    /// Whether the gateway's own authorizer may be needed.
    #[must_use]
    pub fn may_need_own(&self) -> bool {
        self.authorizer.is_none() && self.invoke_url.is_none() && self.function_arn.is_none()
    }

    /// Changes `function` as the flags say; `own` is the gateway's own authorizer.
    ///
    /// # Errors
    ///
    /// When the URL can't be used; the error does not repeat it, as there may be a secret in it.
    pub(super) fn apply(&self, function: &mut FunctionConfiguration, own: &Program) -> anyhow::Result<()> {
        function.instances = self.instances.map_or(function.instances, NonZeroUsize::get);
        if let Some(url) = &self.invoke_url {
            function.source = FunctionSource::InvokeUrl(url.parse().context("`--invoke-url`")?);
        }
        if let Some(arn) = &self.function_arn {
            function.source = FunctionSource::FunctionArn(arn.clone());
        }
        if let Some(path) = &self.authorizer {
            // The variables of a table are for the authorizer, whichever program it is; its arguments are for its program.
            let variables = match &function.source {
                FunctionSource::Program(program) => program.variables.clone(),
                FunctionSource::InvokeUrl(_) | FunctionSource::FunctionArn(_) => own.variables.clone(),
            };
            function.source = FunctionSource::Program(Program::new(path.clone(), variables));
        }
        if let FunctionSource::Program(program) = &mut function.source {
            let typed = self.function_env.iter();
            program.variables.extend(typed.map(|variable| (variable.name.clone(), variable.value.clone())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const URL: &str = "http://127.0.0.1:9000/2015-03-31/functions/f/invocations";
    const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        function: FunctionArgs,
    }

    fn parse(args: &[&str]) -> Result<FunctionArgs, String> {
        let parsed = Cli::try_parse_from([&["latchkey"], args].concat());
        parsed.map(|cli| cli.function).map_err(|error| error.to_string())
    }

    fn own() -> Program {
        Program::new("own".into(), vec![("A".to_owned(), "1".to_owned())])
    }

    fn applied(args: &[&str], source: FunctionSource) -> FunctionConfiguration {
        let mut function = FunctionConfiguration { source, instances: 7 };
        parse(args).unwrap().apply(&mut function, &own()).unwrap();
        function
    }

    #[test]
    fn flag_wins_over_every_source() {
        let sources = || {
            let program = Program { arguments: vec!["x".to_owned()], ..own() };
            let (url, arn) = (URL.replace('f', "g").parse().unwrap(), ARN.parse().unwrap());
            [
                FunctionSource::Program(program),
                FunctionSource::InvokeUrl(url),
                FunctionSource::FunctionArn(arn),
            ]
        };
        for source in sources() {
            let function = applied(&["--invoke-url", URL, "--instances", "2"], source.clone());
            assert!(matches!(function.source, FunctionSource::InvokeUrl(url) if url == URL.parse().unwrap()));
            assert_eq!(function.instances, 2);
            let function = applied(&["--function-arn", ARN], source.clone());
            assert!(matches!(function.source, FunctionSource::FunctionArn(arn) if arn.as_str() == ARN));
            assert_eq!(function.instances, 7);
            let function = applied(&["--authorizer", "p", "--function-env", "B=2"], source);
            let FunctionSource::Program(program) = function.source else { panic!("no program") };
            assert_eq!((program.path, program.arguments.len()), ("p".into(), 0));
            assert_eq!(
                program.variables.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
                ["A", "B"]
            );
        }
        let kept = sources().map(|source| applied(&[], source).source);
        assert!(matches!(&kept[0], FunctionSource::Program(program) if program.arguments == ["x"]));
        assert!(matches!(kept[1..], [FunctionSource::InvokeUrl(_), FunctionSource::FunctionArn(_)]));
    }

    #[test]
    fn flags_that_name_two_functions_are_an_error() {
        for args in [
            &["--authorizer", "p", "--invoke-url", URL][..],
            &["--authorizer", "p", "--function-arn", ARN],
            &["--invoke-url", URL, "--function-arn", ARN],
            &["--invoke-url", URL, "--function-env", "A=1"],
            &["--function-arn", ARN, "--function-env", "A=1"],
        ] {
            let error = parse(args).err().unwrap();
            assert!(error.contains("cannot be used with"), "{error}");
        }
        let url = "https://user:hunter2@example.com/f";
        let args = parse(&["--invoke-url", url]).unwrap();
        let mut function = FunctionConfiguration { source: FunctionSource::Program(own()), instances: 1 };
        let error = format!("{:#}", args.apply(&mut function, &own()).unwrap_err());
        assert!(
            error.contains("`--invoke-url`: a URL with a user name") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(parse(&["--function-arn", "f"]).err().unwrap().contains("not a function's ARN"));
        assert!(parse(&[]).unwrap().may_need_own());
        assert!(!parse(&["--invoke-url", URL]).unwrap().may_need_own());
    }
}
