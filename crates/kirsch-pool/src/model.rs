//! The model that loom explores: every order in which a few threads can meet in the pool.
//!
//! The pool and its loops are the real ones. Around them stand a small reactor, a kernel whose events
//! are edges (said once), a clock whose ticks are events, and an interpreter that is a mutex. A scene
//! says which requests arrive on which connection and which of them wait for which other; it ends
//! when all have been served. What is lost (a wake-up, a job, an edge, the reactor) shows as a
//! deadlock, which loom reports. That the reactor has one owner and that one enters is asserted.
//!
//! A scene may stop the pool in the middle, whatever its threads do then: drive, park, enter, hold or wait.
//! Then all must return, and each request was served or is still where `take_over` or the client finds it.
//! What was posted before the stop is read once, by somebody: threads may wait for it.
//! Jobs and turns may panic; then nothing but what panicked is lost. The pool does not grow, so there is no
//! scene in which it does: all threads are there from the start.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p kirsch-pool --profile loom
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::sync::Staged;
use crate::{
    Forecast, Interpreter, Lane, Patience, Poller, Pool, Refusal, Task, ThreadId, Turn, Wake,
    watch, work,
};

/// A request of a scene.
#[derive(Clone, Copy)]
struct Request {
    connection: usize,
    lane: Lane,
    forecast: Forecast,
    /// Ends only after this.
    waits_for: Option<Event>,
    /// Arrives only after that request has been served, as a client's that waits for its response.
    follows: Option<usize>,
    /// Leaves a letter with the reactor, and goes on only when that was read, unless somebody drives.
    leaves: bool,
    /// Waits as `Held`: for a client that does not read.
    held: bool,
    /// Panics at its end, when its connection has been given back.
    panics: bool,
}

/// What a request waits for.
#[derive(Clone, Copy)]
enum Event {
    /// That request has been served, or the scene stops.
    Served(usize),
    /// Every letter was received, as by a thread whose client's connection a stop cuts.
    LastMail,
}

const QUICK: Request = Request {
    connection: 0,
    lane: Lane::Thread,
    forecast: Forecast::Quick,
    waits_for: None,
    follows: None,
    leaves: false,
    held: false,
    panics: false,
};

impl Request {
    const fn on(mut self, connection: usize) -> Request {
        self.connection = connection;
        self
    }

    const fn lane(mut self, lane: Lane) -> Request {
        self.lane = lane;
        self
    }

    const fn forecast(mut self, forecast: Forecast) -> Request {
        self.forecast = forecast;
        self
    }

    const fn waits_for(mut self, other: usize) -> Request {
        self.waits_for = Some(Event::Served(other));
        self
    }

    const fn waits_for_last_mail(mut self) -> Request {
        self.waits_for = Some(Event::LastMail);
        self
    }

    const fn follows(mut self, other: usize) -> Request {
        self.follows = Some(other);
        self
    }

    const fn leaves(mut self) -> Request {
        self.leaves = true;
        self
    }

    const fn held(mut self) -> Request {
        self.held = true;
        self
    }

    const fn panics(mut self) -> Request {
        self.panics = true;
        self
    }
}

/// What is explored.
#[derive(Clone)]
struct Scene {
    name: &'static str,
    threads: usize,
    requests: Vec<Request>,
    /// Letters that the main thread posts, each of which must be received.
    letters: usize,
    /// The same, posted right before the stop.
    last_letters: usize,
    /// Ticks of the clock at the start, beyond those that waiting requests bring.
    ticks: usize,
    /// Whether the watcher plays, which costs many orders.
    watched: bool,
    /// Stops without waiting for the requests.
    hasty: bool,
    /// Stops once that request has begun.
    stops_behind: Option<usize>,
    /// How many turns at the reactor panic, behind their poll: the first ones.
    panics: usize,
    preemptions: usize,
}

impl Default for Scene {
    fn default() -> Scene {
        Scene {
            name: "",
            threads: 2,
            requests: Vec::new(),
            letters: 0,
            last_letters: 0,
            ticks: 0,
            watched: false,
            hasty: false,
            stops_behind: None,
            panics: 0,
            preemptions: 2,
        }
    }
}

const INTERPRETER: Request = QUICK.lane(Lane::Interpreter);
const LONG: Request = QUICK.lane(Lane::Long);

#[test]
fn an_edge_that_comes_while_its_connection_is_away_is_seen_when_it_returns() {
    explore(Scene {
        name: "edge",
        requests: vec![QUICK, QUICK, QUICK],
        ..Scene::default()
    });
}

#[test]
fn two_connections_are_served_by_two_threads() {
    explore(Scene {
        name: "two connections",
        requests: vec![QUICK, QUICK.on(1), QUICK.follows(0)],
        ..Scene::default()
    });
}

#[test]
fn a_letter_is_received_though_the_driver_is_about_to_sleep() {
    explore(Scene {
        name: "letters",
        requests: vec![QUICK],
        letters: 2,
        ..Scene::default()
    });
}

#[test]
fn a_letter_that_comes_while_another_is_read_is_received() {
    explore(Scene {
        name: "two letters",
        threads: 1,
        letters: 2,
        preemptions: 3,
        ..Scene::default()
    });
}

#[test]
fn a_letter_that_is_left_is_read_though_its_writer_waits_for_that() {
    for threads in [1, 2] {
        explore(Scene {
            name: "left",
            threads,
            requests: vec![QUICK.leaves(), QUICK.follows(0)],
            watched: true,
            preemptions: 1,
            ..Scene::default()
        });
    }
}

#[test]
fn a_letter_is_left_inside_while_others_come_and_go() {
    explore(Scene {
        name: "left inside",
        requests: vec![INTERPRETER.leaves(), INTERPRETER.on(1)],
        watched: true,
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn a_second_wait_finds_another_thread_as_the_first_did() {
    const BLOCKS: Request = QUICK.forecast(Forecast::Blocks);
    explore(Scene {
        name: "forecast twice",
        requests: vec![
            BLOCKS.waits_for(1),
            BLOCKS.on(1),
            BLOCKS.on(1).follows(0).waits_for(3),
            BLOCKS.follows(0),
        ],
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn a_job_forecast_to_block_leaves_the_reactor_to_another_thread() {
    explore(Scene {
        name: "forecast",
        requests: vec![
            QUICK.forecast(Forecast::Blocks).waits_for(1),
            QUICK.on(1).forecast(Forecast::Blocks),
        ],
        ..Scene::default()
    });
}

#[test]
fn the_watcher_finds_a_reactor_that_a_blocked_thread_left() {
    explore(Scene {
        name: "rescue",
        requests: vec![QUICK.waits_for(1), QUICK.on(1)],
        watched: true,
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn the_watcher_drives_while_the_only_thread_is_blocked() {
    explore(Scene {
        name: "one thread",
        threads: 1,
        requests: vec![QUICK.waits_for(1), QUICK.on(1).lane(Lane::Inline)],
        watched: true,
        ..Scene::default()
    });
}

#[test]
fn the_watcher_gives_the_reactor_back_and_parks() {
    explore(Scene {
        name: "give back",
        threads: 1,
        requests: vec![
            QUICK.waits_for(1),
            QUICK.on(1).lane(Lane::Inline),
            QUICK.follows(0),
        ],
        ticks: 2,
        watched: true,
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn interpreter_jobs_enter_one_by_one() {
    explore(Scene {
        name: "enter",
        requests: vec![INTERPRETER, INTERPRETER.on(1), INTERPRETER.on(2)],
        ..Scene::default()
    });
}

#[test]
fn an_interpreter_job_that_waits_for_a_queued_one_ends() {
    explore(Scene {
        name: "enter and wait",
        requests: vec![
            INTERPRETER.forecast(Forecast::Blocks).waits_for(1),
            INTERPRETER.on(1),
        ],
        ..Scene::default()
    });
}

#[test]
fn a_rust_job_that_waits_does_not_keep_the_interpreter() {
    explore(Scene {
        name: "release",
        requests: vec![
            INTERPRETER,
            QUICK.on(1).forecast(Forecast::Blocks).waits_for(2),
            INTERPRETER.on(2),
        ],
        ..Scene::default()
    });
}

#[test]
fn threads_that_came_in_pairs_leave_the_work_to_one() {
    explore(Scene {
        name: "back to one",
        threads: 3,
        requests: vec![
            INTERPRETER,
            INTERPRETER.on(1),
            INTERPRETER.on(2),
            INTERPRETER.follows(0),
        ],
        preemptions: 2,
        ..Scene::default()
    });
}

#[test]
fn who_leaves_the_interpreter_to_a_blocking_job_sees_to_the_rest() {
    explore(Scene {
        name: "give way",
        requests: vec![
            INTERPRETER,
            INTERPRETER.on(1).forecast(Forecast::Blocks).waits_for(2),
            INTERPRETER.on(2),
        ],
        ..Scene::default()
    });
}

#[test]
fn a_blocking_job_taken_inside_has_another_see_to_the_queue() {
    explore(Scene {
        name: "queue of waits",
        threads: 3,
        requests: vec![
            INTERPRETER,
            INTERPRETER.on(1).forecast(Forecast::Blocks).waits_for(2),
            INTERPRETER.on(2),
        ],
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn the_watcher_leaves_the_queue_to_the_only_thread() {
    explore(Scene {
        name: "one thread inside",
        threads: 1,
        requests: vec![
            INTERPRETER.waits_for(1),
            QUICK.on(1).lane(Lane::Inline),
            INTERPRETER.on(1),
            INTERPRETER.on(2),
        ],
        watched: true,
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn an_unforeseen_wait_inside_does_not_hold_the_queue() {
    explore(Scene {
        name: "queue",
        requests: vec![INTERPRETER.waits_for(1), INTERPRETER.on(1)],
        watched: true,
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn long_jobs_beyond_half_the_pool_have_their_turn() {
    explore(Scene {
        name: "long",
        requests: vec![LONG, LONG.on(1), LONG.on(2)],
        ..Scene::default()
    });
}

#[test]
fn a_stop_at_any_moment_ends_every_thread() {
    explore(Scene {
        name: "stop",
        requests: vec![QUICK, INTERPRETER.on(1)],
        letters: 1,
        ticks: 2,
        watched: true,
        hasty: true,
        ..Scene::default()
    });
}

#[test]
fn a_stop_ends_threads_that_drive_and_park() {
    explore(Scene {
        name: "stop: park",
        threads: 3,
        hasty: true,
        ..Scene::default()
    });
}

#[test]
fn a_stop_ends_threads_that_enter() {
    explore(Scene {
        name: "stop: enter",
        requests: vec![INTERPRETER, INTERPRETER.on(1), INTERPRETER.on(2)],
        hasty: true,
        stops_behind: Some(0),
        ..Scene::default()
    });
}

#[test]
fn a_stop_ends_threads_that_hold_and_that_wait() {
    explore(Scene {
        name: "stop: hold",
        requests: vec![
            INTERPRETER.held().waits_for(2),
            QUICK.on(1).forecast(Forecast::Blocks).waits_for(2),
            QUICK.on(2),
        ],
        hasty: true,
        stops_behind: Some(0),
        ..Scene::default()
    });
}

#[test]
fn a_stop_ends_long_jobs_and_those_that_wait_for_their_turn() {
    explore(Scene {
        name: "stop: long",
        requests: vec![LONG, LONG.on(1), LONG.on(2)],
        hasty: true,
        stops_behind: Some(0),
        ..Scene::default()
    });
}

#[test]
fn a_stop_ends_a_watcher_that_drives() {
    explore(Scene {
        name: "stop: watcher",
        threads: 1,
        requests: vec![QUICK.waits_for(1), QUICK.on(1)],
        letters: 1,
        watched: true,
        hasty: true,
        stops_behind: Some(0),
        ..Scene::default()
    });
}

#[test]
fn mail_posted_before_a_stop_is_read_though_every_thread_has_a_job() {
    explore(Scene {
        name: "last mail",
        requests: vec![
            QUICK.waits_for_last_mail(),
            QUICK.on(1).waits_for_last_mail(),
        ],
        last_letters: 2,
        hasty: true,
        stops_behind: Some(0),
        ..Scene::default()
    });
}

#[test]
fn mail_posted_before_a_stop_is_read_though_its_readers_are_inside() {
    explore(Scene {
        name: "last mail: inside",
        requests: vec![
            INTERPRETER.held().waits_for_last_mail(),
            INTERPRETER.on(1).waits_for_last_mail(),
        ],
        last_letters: 1,
        hasty: true,
        stops_behind: Some(0),
        ..Scene::default()
    });
}

#[test]
fn mail_posted_before_a_stop_is_read_though_the_watcher_drives() {
    explore(Scene {
        name: "last mail: watcher",
        threads: 1,
        requests: vec![QUICK.waits_for_last_mail(), QUICK.on(1)],
        letters: 1,
        last_letters: 1,
        watched: true,
        hasty: true,
        stops_behind: Some(0),
        ..Scene::default()
    });
}

#[test]
fn a_held_job_leaves_the_reactor_to_others() {
    explore(Scene {
        name: "hold",
        requests: vec![
            INTERPRETER.held().forecast(Forecast::Blocks).waits_for(1),
            INTERPRETER.on(1),
        ],
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn a_job_that_panics_costs_nobody_else_anything() {
    explore(Scene {
        name: "panic",
        requests: vec![
            QUICK.panics(),
            INTERPRETER.on(1).panics(),
            INTERPRETER.on(2),
        ],
        ..Scene::default()
    });
}

#[test]
fn a_long_job_that_panics_gives_its_turn_back() {
    explore(Scene {
        name: "panic: long",
        requests: vec![LONG.panics(), LONG.on(1).panics(), LONG.on(2)],
        ..Scene::default()
    });
}

#[test]
fn a_turn_that_panics_leaves_the_reactor_to_the_next() {
    explore(Scene {
        name: "panic: turn",
        requests: vec![QUICK, INTERPRETER.on(1), QUICK.follows(0)],
        letters: 1,
        panics: 2,
        ..Scene::default()
    });
}

#[test]
fn a_turn_of_the_watcher_that_panics_leaves_it_the_reactor() {
    explore(Scene {
        name: "panic: watcher",
        threads: 1,
        requests: vec![QUICK.waits_for(1), QUICK.on(1).lane(Lane::Inline).panics()],
        ticks: 2,
        watched: true,
        panics: 2,
        preemptions: 1,
        ..Scene::default()
    });
}

#[test]
fn a_stop_among_panics_ends_every_thread() {
    explore(Scene {
        name: "stop: panic",
        requests: vec![QUICK.panics(), INTERPRETER.on(1).panics()],
        letters: 1,
        panics: 1,
        hasty: true,
        ..Scene::default()
    });
}

/// Plays a scene in every order.
fn explore(scene: Scene) {
    let name = scene.name;
    let orders = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&orders);
    let began = Instant::now();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(scene.preemptions);
    model.max_branches = 20_000;

    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        play(&scene);
    });
    println!(
        "{:<16} {:>8} orders in {:.1?}",
        name,
        orders.load(Ordering::Relaxed),
        began.elapsed()
    );
}

fn play(scene: &Scene) {
    let world = Arc::new(World::new(scene));
    let reactor = Box::new(Reactor::new(&world));
    let pool = Arc::new(Pool::new(reactor, Waker(world.clone()), scene.threads, 8));
    let mut threads = Vec::new();
    for me in 0..scene.threads {
        let (world, pool) = (world.clone(), pool.clone());
        threads.push(thread::spawn(move || {
            let inside = Inside::enter(&world);
            work(&pool, me, &inside, &|job| {
                run(&world, &pool, Some((me, &inside)), job);
            });
        }));
    }
    if scene.watched {
        let (world, pool) = (world.clone(), pool.clone());
        threads.push(thread::spawn(move || {
            watch(&pool, || world.tick(), |job| run(&world, &pool, None, job));
        }));
    }
    for (id, request) in scene.requests.iter().enumerate() {
        if request.follows.is_none() {
            world.arrive(id);
        }
    }
    for _ in 0..scene.letters {
        pool.post(Mail::Letter);
    }
    if scene.stops_behind.is_some() {
        world.wait_until(|state| state.begun);
    }
    if !scene.hasty {
        world.wait_until(|state| {
            state.served.iter().all(|served| *served) && state.letters == scene.letters
        });
    }
    for _ in 0..scene.last_letters {
        pool.post(Mail::Letter);
    }
    pool.stop();
    world.change(|state| state.stopped = true);
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    let (reactor, jobs) = pool.take_over();
    let reactor = reactor.expect("the reactor lies in its slot when all have left");
    if !scene.hasty {
        assert!(jobs.is_empty(), "no job is left");
        assert_eq!(pool.counters().jobs, scene.requests.len() as u64);
        let panics = scene.requests.iter().filter(|request| request.panics);
        assert_eq!(pool.counters().panics, panics.count() as u64);
    }
    {
        let state = world.lock();
        let posted = scene.letters + scene.last_letters;
        assert_eq!(state.letters, posted, "every letter is received once");
        let served = state.served.iter().filter(|served| **served).count();
        let unread: usize = state.unread.iter().map(VecDeque::len).sum();
        let to_come = scene
            .requests
            .iter()
            .filter(|request| request.follows.is_some_and(|other| !state.served[other]));
        assert_eq!(
            served + jobs.len() + unread + to_come.count(),
            scene.requests.len(),
            "every request is somewhere"
        );
    }
    drop(reactor);
}

/// Runs a job on the thread that has it.
fn run(world: &World, pool: &Pool<Reactor>, thread: Option<(ThreadId, &Inside<'_>)>, job: Job) {
    if job.lane() == Lane::Interpreter {
        assert!(
            thread.is_some_and(|(_, inside)| inside.is_inside()),
            "it runs inside"
        );
    }
    if world.scene.stops_behind == Some(job.request) {
        world.change(|state| state.begun = true);
    }
    let request = world.scene.requests[job.request];
    if request.leaves && pool.leave(Mail::Left(job.request)).is_ok() {
        world.change(|state| state.ticks += 3);
        // It keeps the interpreter, as an application that computes.
        world.wait_until(|state| state.read[job.request] || state.stopped);
    }
    if let Some(event) = request.waits_for {
        // Time passes for those who wait: enough of it for the watcher to notice.
        world.change(|state| state.ticks += 3);
        let posted = world.scene.letters + world.scene.last_letters;
        let happened = |state: &WorldState| match event {
            Event::Served(other) => state.served[other] || state.stopped,
            Event::LastMail => state.letters == posted,
        };
        let wait = || world.wait_until(happened);
        let wait = || match thread {
            Some((_, inside)) if job.lane() == Lane::Interpreter => inside.release(wait),
            Some(_) | None => wait(),
        };
        match thread {
            Some((me, _)) if request.held => {
                pool.hold(me, true);
                wait();
                pool.hold(me, false);
            }
            Some(_) | None => wait(),
        }
    }
    let id = job.request;
    pool.post(Mail::Return(job));
    world.served(id);
    if request.panics {
        Staged::panic();
    }
}

/// What is outside of the pool.
struct World {
    scene: Scene,
    /// Not loom's: it is never held where another thread may go on, so there is nothing to explore.
    state: std::sync::Mutex<WorldState>,
    /// Whoever sleeps until the state changes.
    sleepers: Mutex<()>,
    changed: Condvar,
    /// Whether a thread is inside.
    interpreter: Mutex<bool>,
    interpreter_free: Condvar,
    driving: AtomicBool,
}

#[derive(Default)]
struct WorldState {
    /// Edges that nobody has polled.
    edges: Vec<usize>,
    rung: bool,
    /// What has arrived on each connection and was not read.
    unread: Vec<VecDeque<usize>>,
    served: Vec<bool>,
    letters: usize,
    /// Of the letters that requests leave, which were read.
    read: Vec<bool>,
    ticks: usize,
    stopped: bool,
    /// Whether the request has begun behind which the scene stops.
    begun: bool,
    /// How many turns are still to panic.
    panics: usize,
}

impl World {
    fn new(scene: &Scene) -> World {
        World {
            scene: scene.clone(),
            state: std::sync::Mutex::new(WorldState {
                unread: vec![VecDeque::new(); 3],
                served: vec![false; scene.requests.len()],
                read: vec![false; scene.requests.len()],
                ticks: scene.ticks,
                panics: scene.panics,
                ..WorldState::default()
            }),
            sleepers: Mutex::new(()),
            changed: Condvar::new(),
            interpreter: Mutex::new(false),
            interpreter_free: Condvar::new(),
            driving: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, WorldState> {
        self.state.lock().expect("no panic")
    }

    fn wait_until(&self, happened: impl Fn(&WorldState) -> bool) {
        let mut sleepers = self.sleepers.lock().expect("no panic");
        while !happened(&self.lock()) {
            sleepers = self.changed.wait(sleepers).expect("no panic");
        }
    }

    fn change(&self, change: impl FnOnce(&mut WorldState)) {
        let sleepers = self.sleepers.lock().expect("no panic");
        change(&mut self.lock());
        self.changed.notify_all();
        drop(sleepers);
    }

    fn arrive(&self, request: usize) {
        self.change(|state| state.arrive(&self.scene, request));
    }

    fn served(&self, request: usize) {
        self.change(|state| {
            assert!(!state.served[request], "a job runs once");
            state.served[request] = true;
            for (id, other) in self.scene.requests.iter().enumerate() {
                if other.follows == Some(request) {
                    state.arrive(&self.scene, id);
                }
            }
        });
    }

    fn tick(&self) {
        self.wait_until(|state| state.ticks > 0 || state.stopped);
        let mut state = self.lock();
        state.ticks = state.ticks.saturating_sub(1);
    }
}

impl WorldState {
    fn arrive(&mut self, scene: &Scene, request: usize) {
        let connection = scene.requests[request].connection;
        self.unread[connection].push_back(request);
        self.edges.push(connection);
    }
}

struct Waker(Arc<World>);

impl Wake for Waker {
    fn wake(&self) {
        self.0.change(|state| state.rung = true);
    }
}

/// A thread's hold on the interpreter.
struct Inside<'a> {
    world: &'a World,
    inside: AtomicBool,
}

impl<'a> Inside<'a> {
    fn enter(world: &'a World) -> Inside<'a> {
        let inside = Inside {
            world,
            inside: AtomicBool::new(false),
        };
        inside.acquire();
        inside
    }

    fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    fn acquire(&self) {
        let mut taken = self.world.interpreter.lock().expect("no panic");
        while *taken {
            taken = self.world.interpreter_free.wait(taken).expect("no panic");
        }
        *taken = true;
        self.inside.store(true, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.inside.store(false, Ordering::Relaxed);
        *self.world.interpreter.lock().expect("no panic") = false;
        self.world.interpreter_free.notify_one();
    }
}

impl Interpreter for Inside<'_> {
    fn release<R: Send>(&self, outside: impl FnOnce() -> R + Send) -> R {
        self.leave();
        let result = outside();
        self.acquire();
        result
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A request in the hands of a thread, with its connection.
struct Job {
    request: usize,
    /// What the connection knows of its socket.
    readable: bool,
    lane: Lane,
    forecast: Forecast,
}

impl Task for Job {
    fn lane(&self) -> Lane {
        self.lane
    }

    fn forecast(&self) -> Forecast {
        self.forecast
    }
}

enum Mail {
    Return(Job),
    Letter,
    Left(usize),
}

struct Reactor {
    world: Arc<World>,
    places: Vec<Place>,
    ready: VecDeque<usize>,
}

enum Place {
    Here { readable: bool },
    Away { missed: bool },
}

impl Reactor {
    fn new(world: &Arc<World>) -> Reactor {
        Reactor {
            world: Arc::clone(world),
            places: (0..3).map(|_| Place::Here { readable: false }).collect(),
            ready: VecDeque::new(),
        }
    }

    fn poll(&mut self, patience: Patience) {
        if patience == Patience::Sleep {
            self.world
                .wait_until(|state| state.rung || !state.edges.is_empty());
        }
        let mut state = self.world.lock();
        state.rung = false;
        for idx in state.edges.drain(..) {
            match &mut self.places[idx] {
                Place::Here { readable } => {
                    *readable = true;
                    self.ready.push_back(idx);
                }
                Place::Away { missed } => *missed = true,
            }
        }
    }

    /// Reads one request. The connection leaves with it.
    fn step(&mut self, idx: usize) -> Option<Job> {
        let Place::Here { readable: true } = self.places[idx] else {
            return None;
        };
        let mut state = self.world.lock();
        let Some(id) = state.unread[idx].pop_front() else {
            self.places[idx] = Place::Here { readable: false };
            return None;
        };
        // A short read: the connection takes its socket for drained until the next edge.
        let readable = !state.unread[idx].is_empty();
        self.places[idx] = Place::Away { missed: false };
        let request = self.world.scene.requests[id];
        Some(Job {
            request: id,
            readable,
            lane: request.lane,
            forecast: request.forecast,
        })
    }
}

impl Poller for Reactor {
    type Job = Job;
    type Mail = Mail;
    type Waker = Waker;

    fn turn(&mut self, patience: Patience) -> Turn<Job> {
        let world = Arc::clone(&self.world);
        assert!(!world.driving.swap(true, Ordering::Relaxed), "one drives");
        let mut polled = false;
        let turn = loop {
            if let Some(job) = self.ready.pop_front() {
                match self.step(job) {
                    Some(job) => break Turn::Job(job),
                    None => continue,
                }
            }
            if polled {
                break Turn::Idle;
            }
            polled = true;
            self.poll(patience);
            let mut state = world.lock();
            if state.panics > 0 {
                state.panics -= 1;
                break Turn::Panicked;
            }
        };
        world.driving.store(false, Ordering::Relaxed);
        turn
    }

    fn receive(&mut self, letter: Mail) {
        match letter {
            Mail::Return(job) => {
                let idx = self.world.scene.requests[job.request].connection;
                let Place::Away { missed } = self.places[idx] else {
                    panic!("only who was away returns");
                };
                let readable = job.readable || missed;
                self.places[idx] = Place::Here { readable };
                if readable {
                    self.ready.push_back(idx);
                }
            }
            Mail::Letter => self.world.change(|state| state.letters += 1),
            Mail::Left(request) => self.world.change(|state| state.read[request] = true),
        }
    }

    fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn refuse(&mut self, _job: Job, _why: Refusal) {
        panic!("the queue has room");
    }

    fn has_expired(&mut self, _job: &Job) -> bool {
        false
    }
}
