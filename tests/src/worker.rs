//! Work that is done in a process of its own: this test executable runs itself again.
//!
//! A crash in C code, or the memory that a step takes, can so be told from everything else.

use std::process::Command;

/// Environment variable that tells a worker what to do.
const JOB: &str = "GPT4ROI_TEST_JOB";

/// A command that runs the ignored test `name` of this executable with `job`. Where there is a
/// shell, the worker's memory is limited to `max_kib`.
///
/// # Panics
/// If the path of this executable is not known.
pub fn command(name: &str, job: &str, max_kib: Option<u64>) -> Command {
    let exe = std::env::current_exe().expect("the path of this executable");
    let mut command = match max_kib.filter(|_| cfg!(target_os = "linux")) {
        None => Command::new(exe),
        Some(kib) => {
            let mut shell = Command::new("sh");
            let script = format!("ulimit -v {kib}; ulimit -c 0; exec \"$0\" \"$@\"");
            shell.args(["-c", &script]).arg(exe);
            shell
        }
    };
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    command.env(JOB, job);
    command
}

/// What this process is to do, if it is a worker.
pub fn job() -> Option<String> {
    let job = std::env::var(JOB).ok();
    if job.is_none() {
        eprintln!("skipped: only for processes that other tests start");
    }
    job
}
