//! A real broker, and somebody who listens and talks to it: mosquitto and its clients.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest that anything may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    fn start(command: &mut Command) -> Process {
        let name = command.get_program().to_owned();
        let missing = |e| panic!("cannot start {name:?} ({e}): scripts/mqtt_test.sh installs it");
        Process(command.spawn().unwrap_or_else(missing))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().expect("kill");
        assert!(sent.success());
    }

    /// Ends it at once, as a failing power supply does.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program where distributions put it: `sbin` is not on everybody's path.
fn found(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.is_file() { sbin } else { name.into() }
}

/// A broker on a port of its own.
pub(crate) struct Broker {
    process: Option<Process>,
    config: PathBuf,
    pub(crate) port: u16,
}

impl Broker {
    /// Starts a broker with these lines in its configuration, in a folder for its files.
    pub(crate) fn start(folder: &Path, lines: &str) -> Broker {
        let port = free_port();
        let config = folder.join("mosquitto.conf");
        // Root's broker would become another user, who may not read the files of the test.
        let text = format!("user root\nlistener {port} 127.0.0.1\npersistence false\n{lines}\n");
        fs::write(&config, text).expect("a configuration");
        let mut broker = Broker { process: None, config, port };
        broker.restart();
        broker
    }

    pub(crate) fn restart(&mut self) {
        let begun = Instant::now();
        while !self.try_start(begun) {
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Starts it and waits until it says that it runs; false if somebody else has its port.
    fn try_start(&mut self, begun: Instant) -> bool {
        let mut command = Command::new(found("mosquitto"));
        command.arg("-c").arg(&self.config).stdout(Stdio::null());
        let log_path = self.log_path();
        command.stderr(File::create(&log_path).expect("a log"));
        let process = self.process.insert(Process::start(&mut command));
        loop {
            // In this order: what it said at its end is read.
            let end = process.0.try_wait().expect("a process");
            let log = fs::read_to_string(&log_path).expect("a log");
            if end.is_none() && log.contains(" running") {
                return true;
            }
            assert!(begun.elapsed() < PATIENCE, "mosquitto does not listen: {log}");
            if let Some(end) = end {
                assert!(log.contains("in use"), "mosquitto: {end}: {log}");
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn log_path(&self) -> PathBuf {
        self.config.with_extension("log")
    }

    /// The broker is gone without a word.
    pub(crate) fn crash(&mut self) {
        drop(self.process.take());
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.args(["-h", "127.0.0.1", "-V", "mqttv5", "-q", "1"]);
        command.args(["-p", &self.port.to_string()]);
        command
    }

    /// Publishes a message with QoS 1.
    pub(crate) fn publish(&self, topic: &str, message: &[u8]) {
        let mut command = self.client("mosquitto_pub");
        command.args(["-t", topic, "-s"]).stdin(Stdio::piped());
        let mut process = Process::start(&mut command);
        let mut stdin = process.0.stdin.take().expect("a pipe");
        stdin.write_all(message).expect("written");
        drop(stdin);
        let log = || fs::read_to_string(self.log_path()).unwrap_or_default();
        assert!(process.0.wait().expect("an end").success(), "cannot publish: {}", log());
    }

    /// Hears whatever is published below a topic from now on, and what is retained there.
    pub(crate) fn listen(&self, topic: &str) -> Listener {
        let mut command = self.client("mosquitto_sub");
        command.args(["-t", topic, "-t", "probe/#", "-F", "%t %p"]).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let out = process.0.stdout.take().expect("a pipe");
        let (say, heard) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let (topic, text) = line.split_once(' ').expect("a topic");
                if say.send((topic.to_owned(), text.to_owned())).is_err() {
                    break;
                }
            }
        });
        let mut listener = Listener { heard, early: VecDeque::new(), _process: process };
        listener.wait_until_it_listens(self);
        listener
    }
}

/// Somebody who has subscribed.
pub(crate) struct Listener {
    heard: Receiver<(String, String)>,
    /// What was heard before the subscription was known to work.
    early: VecDeque<(String, String)>,
    _process: Process,
}

impl Listener {
    fn wait_until_it_listens(&mut self, broker: &Broker) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            broker.publish("probe/there", b"?");
            while let Ok(heard) = self.heard.recv_timeout(Duration::from_millis(200)) {
                if heard.0.starts_with("probe/") {
                    return;
                }
                self.early.push_back(heard);
            }
        }
        panic!("mosquitto_sub hears nothing");
    }

    /// The next message that a test is interested in.
    #[track_caller]
    pub(crate) fn next(&mut self, wanted: impl Fn(&str, &str) -> bool) -> String {
        while let Some((topic, text)) = self.early.pop_front() {
            if wanted(&topic, &text) {
                return text;
            }
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let heard = self.heard.recv_timeout(left);
            let (topic, text) = heard.expect("nothing is published that was waited for");
            if wanted(&topic, &text) {
                return text;
            }
        }
    }
}

/// A port that nobody else gets: no other test, and no client either, as it is below those that the kernel gives out by itself.
/// (A port of the kernel's own can be given to a client as soon as it is let go, and then no broker can listen there.)
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id() % 10_000 * 32;
    loop {
        let next = (own + NEXT.fetch_add(1, Relaxed)) % 10_000;
        let port = 20_000 + u16::try_from(next).expect("less than ten thousand");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// An authority, a broker's certificate signed by it, and a client's; another authority that has nothing to do with them.
pub(crate) fn certificates(folder: &Path) {
    let openssl = |args: &str| {
        let mut command = Command::new("openssl");
        command.args(args.split(' ')).current_dir(folder).stderr(Stdio::null());
        let status = command.status().expect("openssl: scripts/mqtt_test.sh installs it");
        assert!(status.success(), "openssl {args}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for name in ["ca", "stranger"] {
        openssl(&format!("req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={name}"));
    }
    fs::write(folder.join("server.ext"), "subjectAltName=DNS:localhost\n").expect("a file");
    fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").expect("a file");
    for name in ["server", "client"] {
        openssl(&format!("req -new {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile {name}.ext -out {name}.pem"
        ));
    }
}
