//! Why there is no deployment to be had from a file.

use std::io;
use std::path::PathBuf;

/// Why a deployment can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// There is no file.
    #[error("there is no `{}`: `make deploy` writes it, or name another with `--outputs`", .0.display())]
    Missing(PathBuf),
    /// The operating system refuses.
    #[error("cannot read `{file}`: {1}", file = .0.display())]
    Unreadable(PathBuf, io::Error),
    /// It is no JSON of that shape.
    #[error("`{file}` is not what `make deploy` writes ({1}): deploy again, or name another with `--outputs`", file = .0.display())]
    Malformed(PathBuf, String),
    /// It tells of no stage.
    #[error("`{}` tells of no stage: `make deploy` writes it, or name another with `--outputs`", .0.display())]
    NoStage(PathBuf),
    /// It has several stages.
    #[error("`{file}` has the stages {stages}: name one with `--stage`", file = .0.display(), stages = listed(.1))]
    Several(PathBuf, Vec<String>),
    /// It has others.
    #[error("`{file}` has no stage `{1}` but {stages}: `make deploy STAGE={1}` puts it there", file = .0.display(), stages = listed(.2))]
    NoSuchStage(PathBuf, String, Vec<String>),
    /// One of its outputs is absent or makes no sense.
    #[error("the stage `{stage}` of `{}`: {why}: deploy it again", file.display())]
    Output {
        /// The file.
        file: PathBuf,
        /// The stage.
        stage: String,
        /// Which output, and what is wrong with it.
        why: String,
    },
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
