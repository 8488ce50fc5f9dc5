//! Each invariant of the pool with a test that tries to break it, one transition at a time; then
//! real threads under load. What depends on the order of threads is left to `model.rs`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::lock;
use crate::watcher::{Tick, Watch};
use crate::{
    Between, Dispatched, Doing, Forecast, Hand, Inside, Lane, Next, NoInterpreter, Patience,
    Poller, Pool, Refusal, TICK, Task, Turn, Wake, watch, work,
};

use Inside::{Attached, Detached};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job {
    id: usize,
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

fn quick(id: usize, lane: Lane) -> Job {
    Job {
        id,
        lane,
        forecast: Forecast::Quick,
    }
}

fn blocking(id: usize, lane: Lane) -> Job {
    Job {
        forecast: Forecast::Blocks,
        ..quick(id, lane)
    }
}

/// What a test sees of its reactor.
#[derive(Default)]
struct Seen {
    rings: AtomicUsize,
    received: Mutex<Vec<usize>>,
    refused: Mutex<Vec<(usize, Refusal)>>,
    /// Jobs in the queue have waited too long.
    expired: AtomicBool,
    ready: AtomicBool,
}

impl Seen {
    fn rings(&self) -> usize {
        self.rings.load(Ordering::Relaxed)
    }

    fn received(&self) -> Vec<usize> {
        self.received.lock().expect("no panic").clone()
    }
}

/// A reactor that is never turned: the tests bring the jobs.
struct Still(Arc<Seen>);

struct Bell(Arc<Seen>);

impl Wake for Bell {
    fn wake(&self) {
        self.0.rings.fetch_add(1, Ordering::Relaxed);
    }
}

/// A letter that panics when it is read.
const BAD: usize = usize::MAX;

impl Poller for Still {
    type Job = Job;
    type Mail = usize;
    type Waker = Bell;

    fn turn(&mut self, _patience: Patience) -> Turn<Job> {
        Turn::Idle
    }

    fn receive(&mut self, letter: usize) {
        assert_ne!(letter, BAD, "as scripted");
        self.0.received.lock().expect("no panic").push(letter);
    }

    fn has_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    fn refuse(&mut self, job: Job, why: Refusal) {
        self.0.refused.lock().expect("no panic").push((job.id, why));
    }

    fn has_expired(&mut self, _job: &Job) -> bool {
        self.0.expired.load(Ordering::Relaxed)
    }
}

fn pool(threads: usize) -> (Pool<Still>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let reactor = Box::new(Still(Arc::clone(&seen)));
    (
        Pool::new(reactor, Bell(Arc::clone(&seen)), threads, 2),
        seen,
    )
}

fn drive(pool: &Pool<Still>, me: usize) -> Hand<'_, Still> {
    match pool.next(me, Detached) {
        Next::Drive(hand) => hand,
        Next::Run(_) | Next::Park | Next::Stop => panic!("thread {me} should drive"),
    }
}

fn runs(pool: &Pool<Still>, me: usize, inside: Inside) -> usize {
    match pool.next(me, inside) {
        Next::Run(job) => job.id,
        Next::Drive(_) | Next::Park | Next::Stop => panic!("thread {me} should run a job"),
    }
}

fn parks(pool: &Pool<Still>, me: usize) -> bool {
    matches!(pool.next(me, Detached), Next::Park)
}

fn dispatched(answer: &Dispatched<'_, Still>) -> Option<usize> {
    match answer {
        Dispatched::Run(job) => Some(job.id),
        Dispatched::Queued(_) | Dispatched::Refused(..) => None,
    }
}

fn queued<'a>(answer: Dispatched<'a, Still>) -> Hand<'a, Still> {
    match answer {
        Dispatched::Queued(hand) => hand,
        Dispatched::Run(_) | Dispatched::Refused(..) => panic!("it should queue"),
    }
}

fn goes_on<'a>(
    pool: &'a Pool<Still>,
    hand: Hand<'a, Still>,
    wish: Patience,
) -> (Hand<'a, Still>, Patience) {
    match pool.between_turns(hand, Detached, wish) {
        Between::GoOn(hand, patience) => (hand, patience),
        Between::Run(_) | Between::Park | Between::Stop => panic!("it should go on"),
    }
}

/// The watcher drives, because all threads run jobs.
fn watcher_drives<'a>(pool: &'a Pool<Still>, watch: &mut Watch) -> Hand<'a, Still> {
    for _ in 0..2 {
        if let Tick::Drive(hand) = pool.tick(watch) {
            return hand;
        }
    }
    panic!("the watcher should drive");
}

#[test]
fn one_owns_the_reactor() {
    let (pool, _) = pool(2);
    let hand = drive(&pool, 0);
    assert!(parks(&pool, 1));
    assert_eq!(pool.doing(), [Doing::Driving, Doing::Parked]);
    drop(hand);
    let _hand = drive(&pool, 1);
}

#[test]
fn one_enters_and_who_follows_queues() {
    let (pool, _) = pool(3);
    let hand = drive(&pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Interpreter), Detached)),
        Some(0)
    );
    assert!(pool.somebody_enters());
    let hand = drive(&pool, 1);
    let hand = queued(pool.dispatch(1, hand, quick(1, Lane::Interpreter), Detached));
    assert!(parks(&pool, 2), "the queued job is for nobody outside yet");
    let (hand, _) = goes_on(&pool, hand, Patience::Look);
    pool.entered(0, Forecast::Quick);
    assert_eq!(
        runs(&pool, 0, Attached),
        1,
        "who is inside drains the queue"
    );
    drop(hand);
}

#[test]
fn a_rust_job_does_not_wait_behind_an_interpreter_job() {
    let (pool, _) = pool(2);
    let hand = drive(&pool, 0);
    let Dispatched::Run(_) = pool.dispatch(0, hand, quick(0, Lane::Interpreter), Detached) else {
        panic!("it should run");
    };
    let hand = drive(&pool, 1);
    let hand = queued(pool.dispatch(1, hand, quick(1, Lane::Interpreter), Detached));
    assert_eq!(
        dispatched(&pool.dispatch(1, hand, quick(2, Lane::Thread), Detached)),
        Some(2)
    );
    let mut watch = Watch::default();
    let hand = watcher_drives(&pool, &mut watch);
    let hand = queued(pool.dispatch_from_watcher(hand, quick(3, Lane::Thread)));
    assert_eq!(runs(&pool, 1, Detached), 3);
    drop(hand);
}

#[test]
fn a_letter_rings_a_sleeping_driver_once() {
    let (pool, seen) = pool(1);
    let hand = drive(&pool, 0);
    pool.post(1);
    assert_eq!(seen.rings(), 0, "who is awake looks before it sleeps");
    let (hand, patience) = goes_on(&pool, hand, Patience::Sleep);
    assert_eq!((seen.received(), patience), (vec![1], Patience::Sleep));
    pool.post(2);
    pool.post(3);
    assert_eq!(seen.rings(), 1);
    let (_hand, _) = goes_on(&pool, hand, Patience::Look);
    assert_eq!(seen.received(), [1, 2, 3]);
}

#[test]
fn a_letter_to_a_resting_reactor_is_read_by_who_takes_it() {
    let (pool, seen) = pool(1);
    pool.post(1);
    let _hand = drive(&pool, 0);
    assert_eq!(seen.received(), [1]);
}

#[test]
fn a_letter_is_left_only_with_a_reactor_that_rests_and_rings_nobody() {
    let (pool, seen) = pool(2);
    let hand = drive(&pool, 0);
    assert_eq!(pool.leave(1), Err(1), "somebody drives");
    let (hand, _) = goes_on(&pool, hand, Patience::Sleep);
    assert_eq!(pool.leave(1), Err(1), "somebody sleeps in a poll");
    drop(hand);
    assert_eq!(pool.leave(2), Ok(()));
    assert_eq!(seen.rings(), 0);
    let _hand = drive(&pool, 1);
    assert_eq!(seen.received(), [2]);
}

#[test]
fn a_letter_that_was_left_is_read_whoever_is_busy() {
    for threads in [1, 2] {
        let (pool, seen) = pool(threads);
        let hand = drive(&pool, 0);
        if threads == 2 {
            assert!(parks(&pool, 1));
        }
        let job = quick(0, Lane::Thread);
        assert_eq!(dispatched(&pool.dispatch(0, hand, job, Detached)), Some(0));
        assert_eq!(pool.leave(1), Ok(()));
        let mut watch = Watch::default();
        if threads == 2 {
            // Two ticks at most, and the parked thread comes.
            pool.tick(&mut watch);
            pool.tick(&mut watch);
            let _hand = drive(&pool, 1);
            assert_eq!(seen.received(), [1]);
        } else {
            let hand = watcher_drives(&pool, &mut watch);
            let _hand = goes_on(&pool, hand, Patience::Look);
            assert_eq!(seen.received(), [1]);
        }
    }
}

#[test]
fn no_letter_is_left_with_a_pool_that_ends() {
    let (pool, _) = pool(1);
    pool.stop();
    assert_eq!(pool.leave(1), Err(1));
}

#[test]
fn a_reactor_with_something_ready_does_not_sleep() {
    let (pool, seen) = pool(1);
    seen.ready.store(true, Ordering::Relaxed);
    let hand = drive(&pool, 0);
    assert_eq!(goes_on(&pool, hand, Patience::Sleep).1, Patience::Look);
}

#[test]
fn a_job_that_comes_while_a_wake_is_in_flight_is_not_left() {
    let (pool, _) = pool(2);
    let mut watch = Watch::default();
    // Nobody has come to the pool yet, so the watcher drives.
    let hand = watcher_drives(&pool, &mut watch);
    assert!(parks(&pool, 0) && parks(&pool, 1));
    let hand = queued(pool.dispatch_from_watcher(hand, quick(0, Lane::Thread)));
    let hand = queued(pool.dispatch_from_watcher(hand, quick(1, Lane::Thread)));
    assert_eq!(
        pool.doing(),
        [Doing::Parked, Doing::Awake],
        "one wake in flight"
    );
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Stop
    ));
    assert_eq!(runs(&pool, 1, Detached), 0);
    assert_eq!(
        pool.doing(),
        [Doing::Awake, Doing::Running],
        "the other is fetched"
    );
    assert_eq!(runs(&pool, 0, Detached), 1);
}

#[test]
fn a_job_forecast_to_block_wakes_one_thread_for_the_reactor() {
    let (pool, _) = pool(3);
    let hand = drive(&pool, 0);
    assert!(parks(&pool, 1) && parks(&pool, 2));
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, blocking(0, Lane::Thread), Detached)),
        Some(0)
    );
    assert_eq!(
        pool.doing(),
        [Doing::Running, Doing::Parked, Doing::Awake],
        "last in, first out"
    );
    let mut watch = Watch::default();
    for _ in 0..3 {
        assert!(matches!(pool.tick(&mut watch), Tick::Again));
    }
    assert_eq!(
        pool.doing()[1],
        Doing::Parked,
        "while one is on its way, the other sleeps"
    );
    drop(drive(&pool, 2));
}

#[test]
fn a_reactor_that_was_left_is_found_at_the_second_tick() {
    let (pool, _) = pool(2);
    let mut watch = Watch::default();
    pool.tick(&mut watch);
    let hand = drive(&pool, 0);
    assert!(parks(&pool, 1));
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Thread), Detached)),
        Some(0)
    );
    assert!(matches!(pool.tick(&mut watch), Tick::Again));
    assert_eq!(pool.doing()[1], Doing::Parked);
    assert!(matches!(pool.tick(&mut watch), Tick::Again));
    assert_eq!(pool.doing()[1], Doing::Awake);
    assert_eq!(pool.counters().rescues, 1);
}

#[test]
fn the_watcher_gives_the_reactor_to_the_first_who_is_free() {
    let (pool, seen) = pool(1);
    let hand = drive(&pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Thread), Detached)),
        Some(0)
    );
    let mut watch = Watch::default();
    let hand = watcher_drives(&pool, &mut watch);
    let (hand, patience) = goes_on(&pool, hand, Patience::Sleep);
    assert_eq!(patience, Patience::Sleep);
    assert!(parks(&pool, 0));
    assert_eq!(seen.rings(), 1, "the watcher is told");
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Stop
    ));
    drop(drive(&pool, 0));
}

#[test]
fn the_watcher_parks_while_somebody_drives_and_is_woken_for_a_job() {
    let (pool, _) = pool(1);
    let hand = drive(&pool, 0);
    let mut watch = Watch::default();
    let ticks = (0..100)
        .take_while(|_| matches!(pool.tick(&mut watch), Tick::Again))
        .count();
    assert!(ticks < 99, "it parks");
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Thread), Detached)),
        Some(0)
    );
    // Returns, since it was granted.
    pool.watcher.wait();
}

#[test]
fn a_queued_interpreter_job_rings_the_driver_if_who_entered_blocks() {
    let (pool, seen) = pool(2);
    let hand = drive(&pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, blocking(0, Lane::Interpreter), Detached)),
        Some(0)
    );
    let hand = drive(&pool, 1);
    let hand = queued(pool.dispatch(1, hand, quick(1, Lane::Interpreter), Detached));
    let (hand, patience) = goes_on(&pool, hand, Patience::Sleep);
    assert_eq!((patience, seen.rings()), (Patience::Sleep, 0));
    pool.entered(0, Forecast::Blocks);
    assert_eq!(seen.rings(), 1);
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Run(_)
    ));
}

/// Thread 0 is inside, thread 1 enters, thread 2 drives, and the queue holds the jobs 2 and 3.
fn crowded(pool: &Pool<Still>, enters: Forecast) -> Hand<'_, Still> {
    let hand = drive(pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Interpreter), Detached)),
        Some(0)
    );
    pool.entered(0, Forecast::Quick);
    let hand = drive(pool, 1);
    let second = Job {
        forecast: enters,
        ..quick(1, Lane::Interpreter)
    };
    assert_eq!(
        dispatched(&pool.dispatch(1, hand, second, Detached)),
        Some(1)
    );
    let hand = drive(pool, 2);
    let hand = queued(pool.dispatch(2, hand, quick(2, Lane::Interpreter), Detached));
    queued(pool.dispatch(2, hand, quick(3, Lane::Interpreter), Detached))
}

#[test]
fn a_driver_parks_when_those_inside_work_the_queue_off() {
    let (pool, _) = pool(3);
    let hand = crowded(&pool, Forecast::Quick);
    let (hand, patience) = goes_on(&pool, hand, Patience::Sleep);
    assert_eq!(
        patience,
        Patience::Sleep,
        "who is inside may be stuck in its first job"
    );
    assert_eq!(runs(&pool, 0, Attached), 2);
    let (hand, _) = goes_on(&pool, hand, Patience::Look);
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Park
    ));
    assert_eq!(
        pool.doing(),
        [Doing::Running, Doing::Entering, Doing::Parked]
    );
    // Who is inside takes the reactor and the queue in turn, and older jobs first.
    let Next::Drive(hand) = pool.next(0, Attached) else {
        panic!("it is the reactor's turn");
    };
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(4, Lane::Interpreter), Attached)),
        Some(3)
    );
    assert_eq!(runs(&pool, 0, Attached), 4);
    assert!(matches!(pool.next(0, Attached), Next::Drive(_)));
}

#[test]
fn a_driver_stays_when_the_job_taken_inside_blocks() {
    let (pool, seen) = pool(3);
    let hand = drive(&pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Interpreter), Detached)),
        Some(0)
    );
    let hand = drive(&pool, 1);
    let hand = queued(pool.dispatch(1, hand, blocking(1, Lane::Interpreter), Detached));
    let hand = queued(pool.dispatch(1, hand, quick(2, Lane::Interpreter), Detached));
    let (hand, patience) = goes_on(&pool, hand, Patience::Sleep);
    assert_eq!(patience, Patience::Sleep);
    pool.entered(0, Forecast::Quick);
    assert_eq!(runs(&pool, 0, Attached), 1);
    assert_eq!(seen.rings(), 1, "it may take what is left");
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Run(Job { id: 2, .. })
    ));
}

#[test]
fn who_leaves_the_interpreter_to_a_quick_job_parks() {
    let (pool, _) = pool(3);
    drop(crowded(&pool, Forecast::Quick));
    assert!(pool.give_way(0));
    assert_eq!(pool.doing()[0], Doing::Parked);
    pool.entered(1, Forecast::Quick);
    assert_eq!(runs(&pool, 1, Attached), 2, "who came sees to the rest");
}

#[test]
fn who_leaves_the_interpreter_to_a_job_that_blocks_sees_to_the_rest() {
    let (pool, _) = pool(3);
    drop(crowded(&pool, Forecast::Blocks));
    assert!(!pool.give_way(0));
    drop(drive(&pool, 0));
}

#[test]
fn who_enters_with_a_job_that_blocks_leaves_a_resting_reactor_to_another() {
    let (pool, _) = pool(3);
    let hand = crowded(&pool, Forecast::Blocks);
    assert_eq!(runs(&pool, 0, Attached), 2);
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Park
    ));
    pool.entered(1, Forecast::Blocks);
    assert_eq!(pool.doing()[2], Doing::Awake);
}

#[test]
fn the_watcher_lays_the_reactor_back_when_those_inside_work_the_queue_off() {
    let (pool, _) = pool(1);
    let hand = drive(&pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Interpreter), Detached)),
        Some(0)
    );
    pool.entered(0, Forecast::Quick);
    let mut watch = Watch::default();
    let hand = watcher_drives(&pool, &mut watch);
    let hand = queued(pool.dispatch_from_watcher(hand, quick(1, Lane::Interpreter)));
    let hand = queued(pool.dispatch_from_watcher(hand, quick(2, Lane::Interpreter)));
    let (hand, patience) = goes_on(&pool, hand, Patience::Sleep);
    assert_eq!(patience, Patience::Sleep);
    assert_eq!(runs(&pool, 0, Attached), 1);
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Stop
    ));
    assert!(matches!(pool.next(0, Attached), Next::Drive(_)));
}

#[test]
fn the_watcher_wakes_nobody_for_a_queue_that_is_worked_off() {
    let (pool, _) = pool(4);
    let hand = crowded(&pool, Forecast::Quick);
    assert!(parks(&pool, 3));
    pool.entered(1, Forecast::Quick);
    let mut watch = Watch::default();
    assert!(matches!(pool.tick(&mut watch), Tick::Again));
    assert_eq!(runs(&pool, 1, Attached), 2);
    assert!(matches!(pool.tick(&mut watch), Tick::Again));
    assert_eq!(pool.doing()[3], Doing::Parked);
    assert!(matches!(pool.tick(&mut watch), Tick::Again));
    assert_eq!(pool.doing()[3], Doing::Awake, "nothing has moved since");
    drop(hand);
}

#[test]
fn long_jobs_take_half_the_pool_and_wake_nobody_beyond_it() {
    let (pool, _) = pool(3);
    let hand = drive(&pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Long), Detached)),
        Some(0)
    );
    let hand = drive(&pool, 1);
    assert!(parks(&pool, 2));
    let hand = queued(pool.dispatch(1, hand, quick(1, Lane::Long), Detached));
    let mut watch = Watch::default();
    for _ in 0..5 {
        assert!(matches!(pool.tick(&mut watch), Tick::Again));
    }
    assert_eq!(pool.doing()[2], Doing::Parked);
    pool.long_done();
    assert_eq!(runs(&pool, 0, Detached), 1, "who ends one takes the next");
    drop(hand);
}

#[test]
fn newcomers_take_turns_with_all_others() {
    let (pool, _) = pool(1);
    let hand = drive(&pool, 0);
    let first = pool.dispatch(0, hand, quick(0, Lane::Newcomer), Detached);
    assert_eq!(dispatched(&first), Some(0));
    // They come while the only thread is busy: the watcher reads.
    let mut watch = Watch::default();
    let mut hand = watcher_drives(&pool, &mut watch);
    let lanes = [
        Lane::Newcomer,
        Lane::Newcomer,
        Lane::Thread,
        Lane::Newcomer,
        Lane::Long,
        Lane::Thread,
    ];
    for (id, lane) in (1..).zip(lanes) {
        hand = queued(pool.dispatch_from_watcher(hand, quick(id, lane)));
    }
    let mut order = Vec::new();
    for _ in lanes {
        pool.long_done();
        let id = runs(&pool, 0, Detached);
        order.push(id);
        if lanes[id - 1] == Lane::Thread {
            // Taken back above, though it was none.
            lock(&pool.state).long_running += 1;
        }
    }
    assert_eq!(order, [5, 1, 3, 2, 6, 4]);
    drop(hand);
}

#[test]
fn a_full_queue_refuses_and_a_long_wait_is_refused() {
    let (pool, seen) = pool(1);
    let hand = drive(&pool, 0);
    assert_eq!(
        dispatched(&pool.dispatch(0, hand, quick(0, Lane::Thread), Detached)),
        Some(0)
    );
    let mut watch = Watch::default();
    let mut hand = watcher_drives(&pool, &mut watch);
    for id in 1..3 {
        hand = queued(pool.dispatch_from_watcher(hand, quick(id, Lane::Thread)));
    }
    let Dispatched::Refused(hand, job) = pool.dispatch_from_watcher(hand, quick(3, Lane::Thread))
    else {
        panic!("it should be refused");
    };
    assert_eq!(job.id, 3);
    seen.expired.store(true, Ordering::Relaxed);
    let (_hand, _) = goes_on(&pool, hand, Patience::Look);
    let waited = [(1, Refusal::Waited), (2, Refusal::Waited)];
    assert_eq!(*seen.refused.lock().expect("no panic"), waited);
    assert_eq!((pool.queue_len(), pool.counters().refused), (0, 3));
}

#[test]
fn who_works_the_queue_off_refuses_what_waited_too_long() {
    let (pool, seen) = pool(3);
    let hand = crowded(&pool, Forecast::Quick);
    assert_eq!(runs(&pool, 0, Attached), 2);
    let (hand, _) = goes_on(&pool, hand, Patience::Look);
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Park
    ));
    // The driver has parked, so nobody else comes by.
    seen.expired.store(true, Ordering::Relaxed);
    let Next::Drive(_hand) = pool.next(0, Attached) else {
        panic!("it is the reactor's turn");
    };
    assert_eq!(
        *seen.refused.lock().expect("no panic"),
        [(3, Refusal::Waited)]
    );
    assert_eq!((pool.queue_len(), pool.counters().refused), (0, 1));
}

#[test]
fn a_stop_wakes_who_is_parked_and_leaves_reactor_and_jobs() {
    let (pool, seen) = pool(2);
    let hand = drive(&pool, 0);
    assert!(parks(&pool, 1));
    let (hand, _) = goes_on(&pool, hand, Patience::Sleep);
    pool.stop();
    assert_eq!(seen.rings(), 1);
    pool.park(1);
    assert!(matches!(pool.next(1, Detached), Next::Stop));
    assert!(matches!(
        pool.between_turns(hand, Detached, Patience::Sleep),
        Between::Stop
    ));
    assert!(matches!(pool.next(0, Attached), Next::Stop));
    assert!(matches!(pool.tick(&mut Watch::default()), Tick::Stop));
    pool.post(7);
    let (reactor, jobs) = pool.take_over();
    assert!(reactor.is_some() && jobs.is_empty());
    assert_eq!(seen.received(), [7]);
}

fn leaves(pool: &Pool<Still>, me: usize) -> bool {
    matches!(pool.next(me, Detached), Next::Stop)
}

#[test]
fn who_is_dismissed_leaves_when_there_is_nothing_to_do() {
    let (pool, _) = pool(4);
    pool.begin_with(3);
    let hand = drive(&pool, 0);
    assert!(parks(&pool, 1) && parks(&pool, 2));
    pool.dismiss(1);
    assert_eq!(pool.doing()[1], Doing::Awake, "it has slept longest");
    let run = dispatched(&pool.dispatch(0, hand, blocking(7, Lane::Thread), Detached));
    assert_eq!(run, Some(7));
    let hand = drive(&pool, 1);
    // Thread 2 was woken for the reactor, which thread 1 has taken: there is one too many.
    assert!(leaves(&pool, 2));
    assert_eq!((pool.members(), pool.doing()[2]), (2, Doing::Absent));
    assert!(parks(&pool, 0), "nobody else has to leave");
    drop(hand);
}

#[test]
fn one_thread_stays_and_others_may_come_again() {
    let (pool, _) = pool(3);
    let hand = drive(&pool, 0);
    assert!(parks(&pool, 1) && parks(&pool, 2));
    pool.dismiss(3);
    assert!(leaves(&pool, 1) && leaves(&pool, 2));
    drop(hand);
    let hand = drive(&pool, 0);
    assert_eq!(pool.members(), 1);
    // The third has not left yet.
    pool.join(1);
    assert!(leaves(&pool, 1));
    pool.join(2);
    assert!(parks(&pool, 2));
    assert_eq!(pool.doing(), [Doing::Driving, Doing::Absent, Doing::Parked]);
    drop(hand);
}

#[test]
fn nobody_leaves_while_the_watcher_drives() {
    let (pool, _) = pool(2);
    for (me, id) in [(0, 1), (1, 2)] {
        let hand = drive(&pool, me);
        pool.dispatch(me, hand, quick(id, Lane::Thread), Detached);
    }
    let hand = watcher_drives(&pool, &mut Watch::default());
    pool.dismiss(1);
    assert!(parks(&pool, 0));
    drop(hand);
    let _hand = drive(&pool, 1);
    assert_eq!(pool.doing()[0], Doing::Awake, "it is called to leave now");
    assert!(leaves(&pool, 0));
}

#[test]
fn a_letter_that_panics_costs_neither_the_reactor_nor_the_others() {
    let (pool, seen) = pool(1);
    pool.post(BAD);
    pool.post(1);
    assert!(pool.survive(|| pool.next(0, Detached)).is_none());
    drop(drive(&pool, 0));
    assert_eq!(seen.received(), [1]);
    assert_eq!(pool.counters().panics, 1);
}

/// A reactor whose events are jobs that a test sends.
struct Stream {
    source: Arc<Source>,
}

#[derive(Default)]
struct Source {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    changed: Condvar,
    received: AtomicUsize,
    /// Turns that will panic.
    panics: AtomicUsize,
}

struct Nudge(Arc<Source>);

impl Wake for Nudge {
    fn wake(&self) {
        self.0.jobs.lock().expect("no panic").1 = true;
        self.0.changed.notify_all();
    }
}

impl Source {
    fn send(&self, jobs: impl IntoIterator<Item = Job>) {
        self.jobs.lock().expect("no panic").0.extend(jobs);
        self.changed.notify_all();
    }
}

impl Poller for Stream {
    type Job = Job;
    type Mail = usize;
    type Waker = Nudge;

    fn turn(&mut self, patience: Patience) -> Turn<Job> {
        let panics = &self.source.panics;
        if panics.load(Ordering::Relaxed) > 0 {
            panics.fetch_sub(1, Ordering::Relaxed);
            panic!("as scripted");
        }
        let mut jobs = self.source.jobs.lock().expect("no panic");
        if patience == Patience::Sleep {
            while jobs.0.is_empty() && !jobs.1 {
                jobs = self.source.changed.wait(jobs).expect("no panic");
            }
        }
        jobs.1 = false;
        jobs.0.pop_front().map_or(Turn::Idle, Turn::Job)
    }

    fn receive(&mut self, _letter: usize) {
        self.source.received.fetch_add(1, Ordering::Relaxed);
    }

    fn has_ready(&self) -> bool {
        false
    }

    fn refuse(&mut self, job: Job, why: Refusal) {
        panic!("{job:?} refused: {why:?}");
    }

    fn has_expired(&mut self, _job: &Job) -> bool {
        false
    }
}

/// Which jobs have run, and a way to wait for one of them.
struct Done {
    runs: Mutex<(Vec<u8>, usize)>,
    changed: Condvar,
}

impl Done {
    fn new(jobs: usize) -> Done {
        Done {
            runs: Mutex::new((vec![0; jobs], 0)),
            changed: Condvar::new(),
        }
    }

    fn note(&self, job: usize) {
        let mut runs = self.runs.lock().expect("no panic");
        runs.0[job] += 1;
        runs.1 += 1;
        self.changed.notify_all();
    }

    fn wait_until(&self, what: &str, happened: impl Fn(&[u8], usize) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut runs = self.runs.lock().expect("no panic");
        while !happened(&runs.0, runs.1) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never: {what}; {} have run", runs.1);
            runs = self.changed.wait_timeout(runs, left).expect("no panic").0;
        }
    }
}

/// Runs jobs on real threads, with the watcher, until `meanwhile` returns; then stops.
fn with_threads(
    threads: usize,
    source: &Arc<Source>,
    run: impl Fn(Job) + Sync,
    meanwhile: impl FnOnce(),
) -> Pool<Stream> {
    let reactor = Box::new(Stream {
        source: Arc::clone(source),
    });
    let pool = Pool::new(reactor, Nudge(Arc::clone(source)), threads, usize::MAX);
    let run = |job: Job| {
        pool.post(job.id);
        run(job);
    };
    thread::scope(|scope| {
        let (pool, run) = (&pool, &run);
        for me in 0..threads {
            scope.spawn(move || work(pool, me, &NoInterpreter, run));
        }
        scope.spawn(move || watch(pool, || thread::sleep(TICK), run));
        meanwhile();
        pool.stop();
    });
    let (reactor, jobs) = pool.take_over();
    assert!(reactor.is_some(), "the reactor lies in its slot");
    assert!(jobs.is_empty(), "every job has run");
    pool
}

#[test]
fn twenty_thousand_jobs_of_which_some_wait_for_each_other_all_run_once() {
    const JOBS: usize = 20_000;
    let source = Arc::new(Source::default());
    let done = Done::new(JOBS);
    let job = |id: usize| match id % 50 {
        // Waits for the next.
        0 => quick(id, Lane::Thread),
        20 => blocking(id, Lane::Thread),
        7 => quick(id, Lane::Long),
        9 | 10 => quick(id, Lane::Inline),
        30..45 => quick(id, Lane::Interpreter),
        _ => quick(id, Lane::Thread),
    };
    let run = |job: Job| {
        if matches!(job.id % 50, 0 | 20) {
            done.wait_until("its partner has run", |runs, _| runs[job.id + 1] > 0);
        }
        done.note(job.id);
    };
    let pool = with_threads(4, &source, run, || {
        source.send((0..JOBS).map(job));
        done.wait_until("all have run", |_, count| count == JOBS);
    });
    assert!(
        done.runs
            .lock()
            .expect("no panic")
            .0
            .iter()
            .all(|runs| *runs == 1)
    );
    let counters = pool.counters();
    assert_eq!(
        (counters.jobs, counters.refused, counters.panics),
        (JOBS as u64, 0, 0)
    );
    assert_eq!(
        source.received.load(Ordering::Relaxed),
        JOBS,
        "every letter was read"
    );
    assert_eq!(pool.queue_len(), 0);
}

#[test]
fn turns_and_jobs_that_panic_cost_no_thread_and_no_reactor() {
    const JOBS: usize = 30;
    for threads in [1, 2] {
        let source = Arc::new(Source::default());
        source.panics.store(3, Ordering::Relaxed);
        let done = Done::new(JOBS);
        let lanes = [Lane::Thread, Lane::Long, Lane::Interpreter];
        let run = |job: Job| {
            done.note(job.id);
            assert_ne!(job.id % 5, 0, "as scripted");
        };
        let pool = with_threads(threads, &source, run, || {
            source.send((0..JOBS).map(|id| quick(id, lanes[id % 3])));
            done.wait_until("all have run", |_, count| count == JOBS);
        });
        assert_eq!(pool.counters().panics, 3 + JOBS as u64 / 5);
        assert_eq!(pool.counters().jobs, JOBS as u64);
    }
}
