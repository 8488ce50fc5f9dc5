//! A running script: a process in a group of its own, with three pipes that never block.
//!
//! **Invariant:** whoever lets go of it has ended the group and taken note of the process's end: nothing goes on, and no
//! zombie stays.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How long a script that was asked to end may take, before it is ended.
const GRACE: Duration = Duration::from_secs(1);

/// A script that runs, or has ended.
pub(crate) struct Process {
    child: Child,
    /// The group's number is that of its first process; it is nobody else's before that was waited for.
    group: Pid,
    /// Readable when the process has ended.
    pub(crate) end: OwnedFd,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
    /// How it ended, once it was waited for.
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a script in its own folder. Never through a shell, and without arguments: a query on the command line
    /// (RFC 3875 section 4.4) has been read as options by many an interpreter (CVE-2012-1823).
    ///
    /// # Errors
    ///
    /// The system's: the file cannot be run, its interpreter is missing, there are too many processes.
    pub(crate) fn start(
        file: &Path,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> io::Result<Process> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        // Descriptors other than these three are closed: the standard library and the server open all of theirs so.
        let mut child = Command::new(file)
            .env_clear()
            .envs(environment)
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or(io::ErrorKind::InvalidData)?;
        let end = match pidfd_open(group, PidfdFlags::empty()) {
            Ok(end) => end,
            Err(err) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                return Err(err.into());
            }
        };
        let process = Process {
            child,
            group,
            end,
            stdin,
            stdout,
            stderr,
            status: None,
        };
        never_blocks(process.stdin.as_ref())?;
        never_blocks(process.stdout.as_ref())?;
        never_blocks(process.stderr.as_ref())?;
        Ok(process)
    }

    /// Waits until the process has ended by itself, at most until then, and ends what is left of its group.
    pub(crate) fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        if self.status.is_none() && self.ends_until(deadline) {
            self.reap();
        }
        self.status
    }

    /// Whether it ends until then.
    fn ends_until(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.end, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => return false,
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return true,
                // Then nobody can wait for it in this way.
                Err(_) => return false,
            }
        }
    }

    /// Ends whatever of the group still runs, and takes note of the process's end.
    fn reap(&mut self) {
        if self.status.is_some() {
            return;
        }
        // Before the wait: afterwards the number may be another's.
        let _ = kill_process_group(self.group, Signal::KILL);
        self.status = self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        self.stdin = None;
        self.stdout = None;
        self.stderr = None;
        // First a word, so that a script can remove what it has begun.
        let _ = kill_process_group(self.group, Signal::TERM);
        self.ends_until(Instant::now() + GRACE);
        self.reap();
    }
}

/// Whether a script that ended in this way may have left something out.
pub(crate) fn was_cut(status: ExitStatus) -> bool {
    status.signal().is_some()
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

fn never_blocks(pipe: Option<&impl AsFd>) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let flags = fcntl_getfl(pipe)?;
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?;
    Ok(())
}
