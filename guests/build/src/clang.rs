//! C guests: compiled file by file, linked into one command.

use std::fs;
use std::path::{Path, PathBuf};

use crate::GuestBuild;
use crate::error::GuestBuildError;
use crate::toolchain;

pub(crate) fn build(build: &GuestBuild, folder: &str) -> Result<PathBuf, GuestBuildError> {
    let name = folder.rsplit('/').next().unwrap_or(folder);
    let out = build.target_folder.join("c").join(name);
    fs::create_dir_all(&out).map_err(|source| GuestBuildError::File { path: out.clone(), source })?;
    let objects = crate::files_with_extension(&build.repo.join(folder), "c")?
        .iter()
        .map(|source| compile(build, source, &out))
        .collect::<Result<Vec<_>, _>>()?;
    link(build, &objects, &out.join(format!("{name}.wasm")))
}

fn compile(build: &GuestBuild, source: &Path, out: &Path) -> Result<PathBuf, GuestBuildError> {
    let object = out.join(source.file_name().unwrap_or_default()).with_extension("o");
    let toolchain = &build.toolchain;
    let mut command = toolchain.command(toolchain.one("CC")?)?;
    command.args(toolchain.all("CFLAGS")).args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-c", "-o"]);
    command.arg(&object).arg(source);
    toolchain::run(&mut command, &source.display().to_string())?;
    Ok(object)
}

fn link(build: &GuestBuild, objects: &[PathBuf], component: &Path) -> Result<PathBuf, GuestBuildError> {
    let toolchain = &build.toolchain;
    let mut command = toolchain.command(toolchain.one("C_LINKER")?)?;
    command.args(toolchain.all("C_LINK_FIRST")).args(objects).args(toolchain.all("C_LINK_LAST"));
    command.args(["-s", "-o"]).arg(component);
    toolchain::run(&mut command, &component.display().to_string())?;
    Ok(component.to_path_buf())
}
