//! When descriptors run out, those who wait are accepted as soon as there are some again.

mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Socket, Type};
use support::{Bodies, Client, TestServer, echo, get};

#[test]
fn a_server_without_descriptors_makes_room_and_recovers() {
    let server = TestServer::start(|_| {}, Bodies::Buffered, echo);
    let mut idle = server.connect();
    assert_eq!(idle.get("/idle").text(), "/idle");
    let sockets: Vec<Socket> = (0..10)
        .map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor"))
        .collect();
    let before = getrlimit(Resource::Nofile);
    // Each descriptor below the limit is taken, but those that the standard streams might have left.
    let highest = std::fs::read_dir("/proc/self/fd").expect("proc is mounted");
    let limit = Rlimit {
        current: Some(highest.count() as u64 - 1),
        ..before
    };
    setrlimit(Resource::Nofile, limit).expect("lower is allowed");
    let mut clients: Vec<Client> = Vec::new();
    for socket in sockets {
        socket
            .connect(&SockAddr::from(server.address()))
            .expect("the kernel accepts");
        clients.push(Client::new(socket.into()));
    }
    // The one that is idle makes room.
    idle.assert_closed();
    setrlimit(Resource::Nofile, before).expect("back again");
    for client in &mut clients {
        assert_eq!(client.send(get("/late")).response().text(), "/late");
    }
}
