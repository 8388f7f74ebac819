//! The command's start: [`command`].

use std::ffi::{CString, OsStr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use nix::unistd::{User, getgrouplist, setgid, setgroups, setuid};

use crate::error::{Error, ErrorKind, Result};
use crate::options::Launch;

/// The command, ready to be started. It is looked for in `PATH` here: attempts to execute it would be in the trace.
pub(super) fn command(launch: &Launch) -> Result<Command> {
    let path = find(&launch.program, launch.cwd.as_deref());
    let mut command = Command::new(path.ok_or_else(|| error(launch, io::ErrorKind::NotFound.into()))?);
    command.arg0(&launch.program).args(&launch.args);
    if let Some(cwd) = &launch.cwd {
        command.current_dir(cwd);
    }
    if let Some(name) = &launch.user {
        let unknown = || Error::new(ErrorKind::Spawn, format!("there is no user `{name}`"));
        let user =
            User::from_name(name).map_err(|err| Error::io("cannot look up the user", err))?.ok_or_else(unknown)?;
        let c_name = CString::new(name.as_str()).map_err(|err| unknown().with_source(err))?;
        let groups =
            getgrouplist(&c_name, user.gid).map_err(|err| Error::io("cannot look up the user's groups", err))?;
        // SAFETY: the closure makes three system calls and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                setgroups(&groups)?;
                setgid(user.gid)?;
                Ok(setuid(user.uid)?)
            });
        }
    }
    Ok(command)
}

/// That it cannot be started.
pub(super) fn error(launch: &Launch, err: io::Error) -> Error {
    Error::new(ErrorKind::Spawn, format!("cannot start `{}`", launch.program.display())).with_source(err)
}

fn find(program: &OsStr, cwd: Option<&Path>) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let executable = |candidate: &PathBuf| {
        let seen_from_here = cwd.map_or_else(|| candidate.clone(), |cwd| cwd.join(candidate));
        seen_from_here.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&path).map(|dir| dir.join(program)).find(executable)
}
