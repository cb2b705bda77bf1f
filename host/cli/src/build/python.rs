//! Python: componentize-py, on the path or run by uv or pipx.

use std::process::Command;

use crate::build::BuildError;
use crate::build::Kind;
use crate::build::Needed;
use crate::build::Project;
use crate::build::built;
use crate::build::on_path;
use crate::build::run;

const COMPONENTIZE: &str = "componentize-py";
/// The module in `app.py`.
const MODULE: &str = "app";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, BuildError> {
    let world = project.wit.world()?;
    built(|out| {
        let mut command = componentize()?;
        command.current_dir(&project.folder).arg("-d").arg(project.wit.folder()).args(["-w", world, "componentize"]);
        if project.kind() == Kind::Policy {
            command.arg("--stub-wasi");
        }
        run(command.arg(MODULE).arg("-o").arg(out))
    })
}

fn componentize() -> Result<Command, BuildError> {
    if let Some(program) = on_path(COMPONENTIZE) {
        return Ok(Command::new(program));
    }
    for (runner, words) in [("uv", ["tool", "run"].as_slice()), ("pipx", ["run"].as_slice())] {
        if let Some(program) = on_path(runner) {
            let mut command = Command::new(program);
            command.args(words).arg(COMPONENTIZE);
            return Ok(command);
        }
    }
    Err(BuildError::Missing(Needed::ComponentizePy))
}
