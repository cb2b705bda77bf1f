//! JavaScript: componentize-js, a package of the project's own.

use std::process::Command;

use crate::build::BuildError;
use crate::build::JAVASCRIPT;
use crate::build::Kind;
use crate::build::Needed;
use crate::build::Project;
use crate::build::built;
use crate::build::on_path;
use crate::build::run;

const COMPONENTIZE: &str = "node_modules/@bytecodealliance/componentize-js";
/// What else the engine would import, whether the source uses it or not.
const WITHOUT: &str = "random,stdio,clocks,http,fetch-event";
const SCRIPT: &str = "
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';
const [sourcePath, witPath, worldName, out, without] = process.argv.slice(1);
const disableFeatures = without.split(',').filter(Boolean);
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(out, component);
";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, BuildError> {
    let world = project.wit.world()?;
    let node = on_path("node").ok_or(BuildError::Missing(Needed::Node))?;
    if !project.folder.join(COMPONENTIZE).is_dir() {
        return Err(BuildError::Missing(Needed::ComponentizeJs));
    }
    let without = match project.kind() {
        Kind::Policy => WITHOUT,
        Kind::Tool => "",
    };
    built(|out| {
        let mut command = Command::new(node);
        command.current_dir(&project.folder).args(["--input-type=module", "-e", SCRIPT, "--"]);
        run(command.arg(project.folder.join(JAVASCRIPT)).arg(project.wit.folder()).arg(world).arg(out).arg(without))
    })
}
