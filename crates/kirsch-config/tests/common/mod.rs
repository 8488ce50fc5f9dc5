//! A folder to start in, and short ways to ask for settings.

#![allow(dead_code, reason = "each test file uses some of these")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use kirsch_config::{Command, Exit, Settings, from_command_line};

/// A working directory of its own, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "kirsch-config-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Folder(path)
    }

    /// A folder with one file in it.
    pub fn with(name: &str, text: &str) -> Self {
        let folder = Folder::new();
        folder.write(name, text);
        folder
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("the folder can be written");
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What `kirsch ARGS` in this folder is understood as.
    pub fn kirsch(&self, args: &[&str], env: &[(&str, &str)]) -> Result<Command, Exit> {
        let args = std::iter::once("kirsch")
            .chain(args.iter().copied())
            .map(OsString::from);
        let env = env
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        from_command_line(args, env, &self.0)
    }

    pub fn settings(&self, args: &[&str], env: &[(&str, &str)]) -> Settings {
        match self.kirsch(args, env) {
            Ok(Command::Serve { settings, .. } | Command::Check { settings, .. }) => *settings,
            Err(exit) => panic!("kirsch {args:?} with {env:?}: {}", exit.stderr),
        }
    }

    /// The message of a command line that cannot be followed.
    pub fn refusal(&self, args: &[&str], env: &[(&str, &str)]) -> String {
        match self.kirsch(args, env) {
            Ok(command) => panic!("kirsch {args:?} with {env:?} is accepted: {command:?}"),
            Err(exit) => {
                assert_eq!((exit.code, exit.stdout.as_str()), (2, ""), "{args:?}");
                exit.stderr
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies in the temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
