//! What the pool asks of those around it: a reactor to drive, jobs to run, a way to wake the driver.
//!
//! Read next: `lib.rs`, which passes them round.

/// What the pool drives. The reactor implements it; so does the model that loom explores.
pub trait Poller: Send {
    /// What a turn may yield for a thread to run.
    type Job: Task;
    /// What other threads post to whoever drives.
    type Mail: Send;
    /// Ends a sleeping turn from any thread.
    type Waker: Wake;

    /// Goes on with what is ready and polls; sleeps only if `patience` allows and nothing is ready.
    fn turn(&mut self, patience: Patience) -> Turn<Self::Job>;
    /// Takes in a letter that was posted.
    fn receive(&mut self, letter: Self::Mail);
    /// Whether a turn has work without polling. Called under the pool's lock, as is `has_expired`.
    fn has_ready(&self) -> bool;
    /// Answers a job in the server's own name, because nobody can run it.
    fn refuse(&mut self, job: Self::Job, why: Refusal);
    /// Whether a job that has waited in the queue since it was dispatched should be refused now. If not
    /// yet, the next sleeping turn ends when it should.
    fn has_expired(&mut self, job: &Self::Job) -> bool;
}

/// What the pool must know of a job.
pub trait Task: Send {
    /// Where it may run.
    fn lane(&self) -> Lane;
    /// Whether it is expected to block.
    fn forecast(&self) -> Forecast;
}

/// What a job is expected to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Returns soon: nobody needs to take the reactor.
    Quick,
    /// Waits for something: a parked thread should take the reactor at once.
    Blocks,
}

/// Where a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Needs the interpreter: one thread enters at a time.
    Interpreter,
    /// Rust that may block: runs on any pool thread.
    Thread,
    /// Rust that never blocks: runs wherever the reactor is driven, even when all threads are busy.
    Inline,
    /// Work of the engine that may take longer than 100 µs (disk, bulk encryption): at most half the pool.
    Long,
    /// The same for a peer that is not let in yet, such as a handshake of TLS: one after each other job, so that a
    /// flood of newcomers holds up nobody who is in.
    Newcomer,
}

/// Ends a sleeping turn of the driver.
pub trait Wake: Send + Sync {
    /// Makes the current or next sleeping turn return.
    fn wake(&self);
}

/// Whether a turn may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until something happens.
    Sleep,
    /// Only look.
    Look,
}

/// What a turn at the reactor yielded.
pub enum Turn<J> {
    /// A request is complete, or long work is due.
    Job(J),
    /// Nothing is ready.
    Idle,
    /// The turn panicked. Only the model has this as a value: loom's threads share one of the system's, so that
    /// none may unwind while another runs. What follows is what unwinding does: the hand is dropped.
    #[cfg(loom)]
    Panicked,
}

/// Why a job is answered without being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full.
    QueueFull,
    /// It waited longer than the queue timeout.
    Waited,
}
