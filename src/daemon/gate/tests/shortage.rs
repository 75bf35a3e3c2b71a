//! Too many clients, and too little of what the system gives.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::faults::wait_until;
use super::*;

/// Set in a child: which shortage it shall suffer.
const SHORTAGE: &str = "AUTHSOME_TEST_SHORTAGE";

/// A thousand clients and a gate in one process need more descriptors than the usual 1024.
fn allow_many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("reads");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raises to the hard limit");
}

#[test]
fn a_burst_of_a_thousand_clients_that_stay_is_answered() {
    allow_many_descriptors();
    let house = House::open(Limits { connections: 100, ..Limits::default() });
    let mut clients: Vec<Client> = (0..1000)
        .map(|number| {
            let mut client = house.visit();
            client.send(format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
            client
        })
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.echoed("GET")["target"], format!("/{number}"));
    }
    assert!(house.seats().count() <= 100);
}

#[test]
fn a_full_house_of_idle_clients_makes_room() {
    let house = House::open(Limits { connections: 2, ..Limits::default() });
    let (mut first, mut second) = (house.visit(), house.visit());
    first.get("/");
    second.get("/");
    assert_eq!(house.visit().get("/third")["target"], "/third");
    let is_gone = |client: &mut Client| {
        client.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("sets");
        client.is_closed()
    };
    assert!(is_gone(&mut first) != is_gone(&mut second), "one left, one stayed");
}

#[test]
fn a_full_house_of_busy_clients_lets_newcomers_wait() {
    let house = House::open(Limits { connections: 2, ..Limits::default() });
    let (mut first, mut second) = (house.visit(), house.visit());
    first.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n");
    second.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n");
    wait_until("both are seated", || house.seats().count() == 2);
    let mut third = house.visit();
    third.send(b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    first.send(b"\r\n");
    assert_eq!(first.echoed("GET")["target"], "/1");
    assert_eq!(third.echoed("GET")["target"], "/3");
    second.send(b"\r\n");
    assert_eq!(second.echoed("GET")["target"], "/2");
}

#[test]
fn running_out_of_descriptors_is_not_the_end() {
    let server = Needy::start("descriptors");
    // All at once, more than the server has descriptors, and all closed again.
    let crowd: Vec<_> = (0..100).map(|_| Client::connect(server.address).expect("the backlog takes it")).collect();
    drop(crowd);
    for _ in 0..3 {
        assert_eq!(Client::connect(server.address).expect("accepted").get("/after")["target"], "/after");
    }
    // And all that stay are served as well, each in its turn.
    let mut crowd: Vec<_> = (0..100).map(|_| Client::connect(server.address).expect("accepted")).collect();
    for client in &mut crowd {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut crowd {
        assert_eq!(client.echoed("GET")["target"], "/");
    }
}

#[test]
fn running_out_of_threads_is_not_the_end() {
    let server = Needy::start("threads");
    let mut crowd: Vec<_> = (0..50).map(|_| Client::connect(server.address).expect("accepted")).collect();
    for client in &mut crowd {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut crowd {
        assert_eq!(client.echoed("GET")["target"], "/");
    }
}

/// A gate in a process of its own, which suffers.
struct Needy {
    process: Child,
    address: SocketAddr,
}

impl Needy {
    fn start(shortage: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "--nocapture", "daemon::gate::tests::shortage::a_needy_process"])
            .env(SHORTAGE, shortage)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("serves at ")?.1.parse().ok())
            .expect("it says where it listens");
        Self { process, address }
    }
}

impl Drop for Needy {
    fn drop(&mut self) {
        self.process.kill().expect("kills");
        self.process.wait().expect("ends");
    }
}

/// Not a test but the process of [`Needy`]: serves until its input ends.
#[test]
#[allow(clippy::print_stdout)] // its way to tell the parent
fn a_needy_process() {
    let Ok(shortage) = std::env::var(SHORTAGE) else { return };
    if shortage == "descriptors" {
        setrlimit(Resource::RLIMIT_NOFILE, 64, 64).expect("lowers");
    }
    let house = House::open(Limits::default());
    if shortage == "threads" {
        if nix::unistd::geteuid().is_root() {
            // The limit does not hold for root, and counts what else a user runs.
            nix::unistd::setuid(nix::unistd::Uid::from_raw(61_234)).expect("changes the user");
        }
        setrlimit(Resource::RLIMIT_NPROC, 1, 1).expect("lowers");
        assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "the shortage is real");
    }
    println!("serves at {}", house.address);
    let _ = io::stdin().read(&mut [0]);
}
