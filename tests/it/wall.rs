//! `authsome run --isolate`: what a child behind the wall cannot reach, and what still works. As root, if the tests
//! are root's, and as an ordinary user.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::geteuid;

use crate::harness::{Conversation, KEY, TestCommand, World, eventually, to_pid};

/// Somebody with no rights (`nobody` on most systems).
const USER: &str = "65534";
/// Where everybody finds programs.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A world whose client side belongs to an ordinary user, and how that user starts `authsome`.
struct Stage {
    world: World,
    /// What comes before a command line.
    prefix: Vec<&'static str>,
}

impl Stage {
    /// One for each user that the tests can be.
    fn each() -> Vec<Self> {
        let mut stages = vec![Self { world: World::connected(), prefix: Vec::new() }];
        if geteuid().is_root() {
            stages.push(Self::of_ordinary_user());
        }
        stages
    }

    fn of_ordinary_user() -> Self {
        let world = World::connected();
        if !geteuid().is_root() {
            return Self { world, prefix: Vec::new() };
        }
        let dir = world.scratch.path();
        let owned = ["home", "user", "tmp", "work"].map(|name| dir.join(name));
        TestCommand::new("chown").args(["-R", USER]).args(owned).run().succeeds();
        TestCommand::new("chmod").arg("755").arg(dir).arg(dir.join("bin")).run().succeeds();
        Self { world, prefix: vec!["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"] }
    }

    /// `authsome ARGS...` behind `before`.
    fn authsome(&self, before: &[&str], args: &[&str]) -> TestCommand {
        let program = self.world.program().to_str().expect("UTF-8");
        let words = [&self.prefix[..], before, &[program], args].concat();
        self.world.command(words[0]).args(&words[1..]).env("PATH", PATH)
    }

    /// `authsome run --require-isolation -- ARGS...`
    fn walled(&self, args: &[&str]) -> TestCommand {
        self.authsome(&[], &[&["run", "--require-isolation", "--"], args].concat())
    }

    /// A script behind the wall.
    fn python(&self, script: &str) -> TestCommand {
        self.walled(&["python3", "-c", script])
    }
}

#[test]
fn no_home_no_processes_and_no_way_to_them() {
    for stage in Stage::each() {
        let home = stage.world.home();
        let listing = format!("ls -A {0}; cat {0}/server/master.key || echo unseen", home.display());
        stage.walled(&["sh", "-c", &listing]).run().succeeds().says("unseen").complains("No such file");
        let daemon = stage.world.daemon().pid();
        let test = std::process::id();
        let script = format!(
            "for pid in {daemon} {test}; do kill -0 $pid 2>/dev/null && echo reached; \
             test -e /proc/$pid && echo seen; done; \
             umount {0} 2>/dev/null && echo uncovered; \
             unshare -Urm umount -l {0} 2>/dev/null && echo uncovered; \
             cat /proc/1/environ 2>/dev/null; cat /proc/1/mem 2>/dev/null; \
             kill -KILL 1; kill -KILL -1; echo $(ls -d /proc/[0-9]* | wc -l) processes",
            home.display()
        );
        let ended = stage.walled(&["sh", "-c", &script]).run().succeeds();
        let said = ended.out();
        let count: u32 = said.trim().trim_end_matches(" processes").parse().unwrap_or_else(|_| panic!("{ended}"));
        assert!(count <= 5, "process 1, the shell and the pipe: {ended}");
        let status = stage.walled(&["cat", "/proc/self/status"]).run().succeeds().out();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        let capabilities = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).expect("a line");
        let admin = 1 << 21; // CAP_SYS_ADMIN
        assert_eq!(u64::from_str_radix(capabilities, 16).expect("hexadecimal") & admin, 0, "{status}");
        let id = stage.walled(&["id", "-u"]).run().succeeds().out();
        assert_eq!(id, stage.authsome(&[], &["run", "--", "id", "-u"]).run().succeeds().out());
    }
}

#[test]
fn a_key_that_the_home_only_links_to_is_out_of_sight_as_well() {
    for stage in Stage::each() {
        let key = stage.world.home().join("server/master.key");
        let elsewhere = stage.world.scratch.path().join("user/elsewhere.key");
        fs::rename(&key, &elsewhere).expect("moves");
        std::os::unix::fs::symlink(&elsewhere, &key).expect("links");
        let path = elsewhere.to_str().expect("UTF-8");
        assert_eq!(stage.walled(&["cat", path]).run().out(), "");
        assert_ne!(stage.authsome(&[], &["run", "--", "cat", path]).run().succeeds().out(), "", "the test can fail");
    }
}

#[test]
fn a_working_directory_in_the_home_is_no_way_round() {
    for stage in Stage::each() {
        let home = stage.world.home();
        let read = ["run", "--require-isolation", "--", "cat", "server/master.key"];
        let ended = stage.authsome(&[], &read).current_dir(&home).run().exits(1);
        ended.complains("the working directory is in").complains("authsome: error: --require-isolation");
    }
}

#[test]
fn the_home_is_hidden_wherever_it_is_mounted() {
    if !geteuid().is_root() {
        return; // nobody else mounts
    }
    let stage = Stage { world: World::connected(), prefix: Vec::new() };
    let dir = stage.world.scratch.path();
    let [parent, part] = ["work/a name", "work/part"].map(|name| dir.join(name));
    for point in [&parent, &part] {
        fs::create_dir(point).expect("makes");
    }
    let (home, parent, part) = (stage.world.home(), parent.display(), part.display());
    let mounts =
        format!("mount --bind {0} '{parent}' && mount --bind {1}/server {part}", dir.display(), home.display());
    let within = ["unshare", "--mount", "sh", "-c", &format!("{mounts} && exec \"$@\""), "sh"];
    let again = home.strip_prefix(dir).expect("in the scratch directory").display();
    let script = format!("cat '{parent}/{again}/server/master.key' {part}/master.key {part}/../part/master.key");
    let run = |wall: &[&str]| stage.authsome(&within, &[&["run"], wall, &["--", "sh", "-c", &script]].concat()).run();
    run(&[]).succeeds();
    let ended = run(&["--require-isolation"]).exits(1).complains("No such file");
    assert_eq!(ended.out(), "", "nothing was read");
}

#[test]
fn no_keys_of_the_session_outside() {
    let stage = Stage { world: World::connected(), prefix: Vec::new() };
    let (add, control) = (nix::libc::SYS_add_key, nix::libc::SYS_keyctl);
    // A session with a key in it, as a sign-in makes one; then whether the program can read that.
    let session = format!(
        "import ctypes, os, sys\n\
         call = ctypes.CDLL(None).syscall\n\
         call({control}, 1, None)\n\
         key = call({add}, b'user', b'outside', b'secret', 6, -3)\n\
         os.environ['KEY'] = str(key)\n\
         os.execvp(sys.argv[1], sys.argv[1:])"
    );
    let read = format!(
        "import ctypes, os\n\
         held = ctypes.create_string_buffer(6)\n\
         ctypes.CDLL(None).syscall({control}, 11, int(os.environ['KEY']), held, 6)\n\
         print(held.value.decode())"
    );
    let run = |wall: &[&str]| {
        let args = [&["run"], wall, &["--", "python3", "-c", &read]].concat();
        stage.authsome(&["python3", "-c", &session], &args).run().succeeds().out()
    };
    let outside = run(&[]);
    assert!(["secret\n", "\n"].contains(&outside.as_str()), "{outside}"); // the latter without keyrings
    assert_eq!(run(&["--require-isolation"]), "\n");
}

#[test]
fn no_terminal_but_its_own() {
    for stage in Stage::each() {
        let other = nix::pty::openpty(None, None).expect("a pseudo terminal");
        let name = nix::unistd::ttyname(&other.slave).expect("it has a name");
        let everybody = fs::Permissions::from_mode(0o666);
        fs::set_permissions(&name, everybody).expect("changes");
        nix::unistd::write(&other.master, b"a password\n").expect("types");
        let script = format!(
            "import os\n\
             try: print(os.read(os.open('{}', os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK), 99).decode())\n\
             except OSError: print('unseen')\n\
             one, other = os.openpty()\n\
             os.write(one, b'x\\n')\n\
             print(os.read(other, 9), os.path.exists(os.ttyname(other)))",
            name.display()
        );
        assert_eq!(stage.python(&script).run().succeeds().out(), "unseen\nb'x\\n' True\n");
    }
}

#[test]
fn no_network_but_the_proxy() {
    for stage in Stage::each() {
        let work = stage.world.scratch.path().join("work");
        let _path_socket = UnixListener::bind(work.join("engine.sock")).expect("binds");
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(work.join("engine.sock"), open).expect("changes");
        let services = TcpListener::bind("127.0.0.1:0").expect("binds");
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("binds");
        datagrams.set_nonblocking(true).expect("changes");
        let script = format!(
            "import socket\n\
             for port in ({}, {}, {}):\n\
             \x20   print('tcp', socket.socket().connect_ex(('127.0.0.1', port)))\n\
             print('out', socket.socket().connect_ex(('192.0.2.1', 443)))\n\
             try: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {}))\n\
             except OSError: pass\n\
             print('unix', socket.socket(socket.AF_UNIX).connect_ex('engine.sock'))\n\
             try: socket.socket(socket.AF_VSOCK)\n\
             except OSError as error: print('host', error.errno)",
            stage.world.daemon().port,
            stage.world.api.address().port(),
            services.local_addr().expect("bound").port(),
            datagrams.local_addr().expect("bound").port(),
        );
        let said = stage.python(&script).run().succeeds().out();
        let refused = nix::libc::ECONNREFUSED;
        let unreachable = nix::libc::ENETUNREACH;
        let none = nix::libc::EAFNOSUPPORT;
        let expected =
            format!("tcp {refused}\ntcp {refused}\ntcp {refused}\nout {unreachable}\nunix {refused}\nhost {none}\n");
        assert_eq!(said, expected);
        assert!(datagrams.recv(&mut [0; 8]).is_err(), "nothing came");
        let without = stage.authsome(&[], &["run", "--", "python3", "-c", &script]).run().succeeds().out();
        assert!(without.contains("tcp 0\n") && without.contains("unix 0\n"), "the test can fail: {without}");
    }
}

#[test]
fn the_proxy_is_reached_and_puts_the_key_in() {
    for stage in Stage::each() {
        stage.walled(&["curl", "-sS", "https://api.demo.test/v1/echo"]).run().succeeds();
        let seen = stage.world.api.only_request();
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        let private = ["curl", "-sS", "-v", "--max-time", "20", "https://10.255.255.1/"];
        stage.walled(&private).run().complains("blocked_address");
    }
}

#[test]
fn the_status_is_the_childs() {
    for stage in Stage::each() {
        stage.walled(&["true"]).run().succeeds().silently();
        for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
            stage.walled(&["sh", "-c", script]).run().exits(code);
        }
        stage.walled(&["no-such-command-here"]).run().exits(127).complains("command not found");
        let plain = stage.world.scratch.file("work/plain", "not a program");
        stage.walled(&[plain.to_str().expect("UTF-8")]).run().exits(126).complains("cannot be executed");
        let echo = stage.walled(&["sh", "-c", "cat; echo aside >&2"]).stdin("through").run().succeeds();
        assert_eq!((echo.out().as_str(), echo.err().as_str()), ("through", "aside\n"));
        let left = stage.walled(&["sh", "-c", "ls /proc/self/fd; sleep 1000 >/dev/null 2>&1 &"]).run().succeeds();
        assert_eq!(left.out(), "0\n1\n2\n3\n", "3 is the directory that ls reads");
    }
}

#[test]
fn signals_reach_the_child() {
    for stage in Stage::each() {
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1] {
            let script = "trap 'exit 9' TERM HUP INT USR1; echo ready; while :; do read line || exit 1; done";
            let mut run = start(stage.walled(&["sh", "-c", script]));
            kill(to_pid(run.id()), signal).expect("it is there");
            let status = eventually("the end of the run", || run.try_wait().expect("our child"));
            assert_eq!(status.code(), Some(9), "{signal}");
        }
    }
}

/// Starts a run, and waits for the first line of its child.
fn start(command: TestCommand) -> std::process::Child {
    let mut run = command.into_inner().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(run.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    run
}

#[test]
fn a_run_that_is_killed_takes_everything_inside_along() {
    for stage in Stage::each() {
        let mark = format!("1{:09}", std::process::id());
        let script = format!("sleep {mark} & echo ready; exec cat >/dev/null");
        let mut run = start(stage.walled(&["sh", "-c", &script]));
        eventually("what was started inside", || is_running(&mark).then_some(()));
        // Its input stays open, so that only the death of the run can end the child.
        let _input = run.stdin.take();
        run.kill().expect("it is there");
        run.wait().expect("our child");
        eventually("the end of everything inside", || (!is_running(&mark)).then_some(()));
    }
}

/// Whether `sleep MARK` runs.
fn is_running(mark: &str) -> bool {
    let line = format!("sleep\0{mark}\0");
    let processes = fs::read_dir("/proc").expect("a proc file system").filter_map(Result::ok);
    processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok()).any(|found| found == line.as_bytes())
}

#[test]
fn at_a_terminal_keys_reach_the_child() {
    let world = World::connected();
    let script = "trap 'echo interrupted >&2; exit 5' INT; test -t 0 && echo at a terminal >&2; \
                  while :; do sleep 0.02; done";
    let talk = Conversation::at_terminal(&world, &["run", "--require-isolation", "--", "sh", "-c", script]);
    talk.shows("at a terminal").types("\x03").shows("interrupted");
    talk.end().exits(5);
}

#[test]
fn ordinary_work_works() {
    for stage in Stage::each() {
        let multiprocessing = "import multiprocessing as m\n\
             if __name__ == '__main__':\n\
             \x20   for how in 'fork', 'spawn', 'forkserver':\n\
             \x20       with m.get_context(how).Pool(2) as pool: assert sum(pool.map(abs, [-1, -2])) == 3\n\
             \x20   with m.Manager() as manager: assert manager.dict(a=1)['a'] == 1\n";
        stage.python(multiprocessing).run().succeeds().silently();
        let server = "import threading, urllib.request\n\
             from http.server import HTTPServer, SimpleHTTPRequestHandler as Handler\n\
             Handler.log_message = lambda *_: None\n\
             server = HTTPServer(('localhost', 0), Handler)\n\
             threading.Thread(target=server.serve_forever, daemon=True).start()\n\
             print(urllib.request.urlopen(f'http://localhost:{server.server_port}/').status)";
        assert_eq!(stage.python(server).run().succeeds().out(), "200\n");
        let git = "git init -q a && cd a && git -c user.name=a -c user.email=a@b.test commit -q --allow-empty -m one \
                   && cd .. && git clone -q a b && git -C b log --format=%s && : > /dev/null && ls /dev/fd/0 >/dev/null";
        assert_eq!(stage.walled(&["sh", "-c", git]).run().succeeds().out(), "one\n");
        stage.walled(&["sh", "-c", "echo x > $TMPDIR/x && head -c 9 /dev/urandom | wc -c"]).run().succeeds().says("9");
        assert!(stage.world.scratch.path().join("tmp/x").exists(), "what it writes stays");
    }
}

#[test]
fn root_inside_cannot_rule_the_machine() {
    if !geteuid().is_root() {
        return; // nobody else is asked to
    }
    let stage = Stage { world: World::connected(), prefix: Vec::new() };
    let script = "for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do \
                  test -w $file && (: >> $file) 2>/dev/null && echo $file; done; \
                  find /dev -type b; mknod disk b 1 0 2>/dev/null && echo made; \
                  mount -t tmpfs none /mnt 2>/dev/null && echo mounted; exit 0";
    stage.walled(&["sh", "-c", script]).run().succeeds().silently();
    let owner = "touch it && chown 1234:1234 it && stat -c %u it";
    assert_eq!(stage.walled(&["sh", "-c", owner]).run().succeeds().out(), "1234\n", "it is root to files");
}

#[test]
fn without_namespaces_it_says_so_and_does_not_pretend() {
    let stage = Stage { world: World::connected(), prefix: Vec::new() };
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let within = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"];
    refuses(&stage, &within, "user namespaces are not to be had");
    if geteuid().is_root() {
        // As container engines do it: parts of /proc are covered, and then the kernel gives nobody a fresh one.
        let mask = "mount -t tmpfs none /proc/irq && exec \"$@\"";
        refuses(&stage, &["unshare", "--mount", "sh", "-c", mask, "sh"], "a /proc of its own cannot be mounted");
    }
}

fn refuses(stage: &Stage, within: &[&str], why: &str) {
    let mark = stage.world.scratch.path().join("work/started");
    let touch = ["touch", mark.to_str().expect("UTF-8")];
    let run = |option| stage.authsome(within, &[&["run", option, "--"], &touch[..]].concat()).run();
    run("--require-isolation").exits(1).complains("authsome: error: --require-isolation").complains(why);
    assert!(!Path::exists(&mark), "nothing was started");
    run("--isolate").succeeds().complains("authsome: warning: --isolate").complains(why);
    fs::remove_file(&mark).expect("something was started");
    stage.authsome(within, &["doctor"]).run().says("run --isolate does not work here").says(why);
}

#[test]
fn the_doctor_tries_it() {
    let stage = Stage::of_ordinary_user();
    stage.authsome(&[], &["doctor"]).run().says("run --isolate works here");
}
