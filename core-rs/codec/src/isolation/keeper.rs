//! The thread that starts helpers, and ends those that nobody needs.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::arena::Arena;
use super::process::Helper;

/// What a helper needs of the environment of the archive, which may hold secrets.
const ENVIRONMENT: [&str; 2] = ["LD_LIBRARY_PATH", "PATH"];

/// The thread that starts helpers. The kernel ends a process "with its parent" when the *thread* ends that started
/// it: threads that decode come and go, so one that stays starts all of them.
#[derive(Debug)]
pub(crate) struct Keeper {
    command: Vec<String>,
    rest: Duration,
    resting: Arc<Resting>,
    thread: Mutex<Option<Thread>>,
}

/// Helpers without a frame, each with the memory that it shares.
#[derive(Debug, Default)]
struct Resting(Mutex<Vec<(Instant, Arena, Helper)>>);

#[derive(Debug)]
struct Thread {
    orders: Sender<Order>,
    handle: JoinHandle<()>,
}

struct Order {
    socket: OwnedFd,
    reply: SyncSender<io::Result<Child>>,
}

impl Keeper {
    /// A keeper of helpers that `command` starts, and that end when they have had nothing to do for as long as
    /// `rest`. Nothing is started before the first frame.
    pub(crate) fn new(command: Vec<String>, rest: Duration) -> Self {
        Keeper {
            command,
            rest,
            resting: Arc::default(),
            thread: Mutex::new(None),
        }
    }

    /// The helper that had a frame last, so that the others have a chance to end.
    pub(crate) fn take(&self) -> Option<(Arena, Helper)> {
        let (_, arena, helper) = self.resting.0.lock().pop()?;
        Some((arena, helper))
    }

    /// Lets a helper rest until it is taken, or ends.
    pub(crate) fn put(&self, arena: Arena, helper: Helper) {
        self.resting.0.lock().push((Instant::now(), arena, helper));
    }

    /// Memory that helpers at rest share.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        let resting = self.resting.0.lock();
        resting
            .iter()
            .map(|(_, arena, _)| arena.mapped_bytes())
            .sum()
    }

    /// Starts a process that has `socket` as its standard input.
    pub(super) fn spawn(&self, socket: OwnedFd) -> io::Result<Child> {
        let (reply, answer) = sync_channel(1);
        let orders = self.orders()?;
        let gone = |_| io::Error::other("the thread that starts helpers has ended");
        orders.send(Order { socket, reply }).map_err(|_| gone(()))?;
        answer.recv().map_err(|_| gone(()))?
    }

    fn orders(&self) -> io::Result<Sender<Order>> {
        let mut thread = self.thread.lock();
        if let Some(thread) = &*thread {
            return Ok(thread.orders.clone());
        }
        let (orders, taken) = channel();
        let (command, rest, resting) = (self.command.clone(), self.rest, Arc::clone(&self.resting));
        let handle = std::thread::Builder::new()
            .name("vna-codecs".to_owned())
            .spawn(move || keep(&taken, &command, rest, &resting))?;
        *thread = Some(Thread {
            orders: orders.clone(),
            handle,
        });
        Ok(orders)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.resting.0.lock().clear();
        if let Some(Thread { orders, handle }) = self.thread.get_mut().take() {
            drop(orders);
            let _ = handle.join();
        }
    }
}

fn keep(orders: &Receiver<Order>, command: &[String], rest: Duration, resting: &Resting) {
    loop {
        match orders.recv_timeout(rest / 4) {
            Ok(order) => {
                // Whoever ordered it may not wait any more: the helper then finds its socket closed.
                let _ = order.reply.send(start(command, order.socket));
            }
            Err(RecvTimeoutError::Timeout) => resting.end(rest),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn start(command: &[String], socket: OwnedFd) -> io::Result<Child> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(io::Error::other("there is no command"));
    };
    let environment = ENVIRONMENT.map(|name| (name, std::env::var_os(name)));
    let environment = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .spawn()
}

impl Resting {
    /// Ends those that have had nothing to do for as long as `rest`.
    fn end(&self, rest: Duration) {
        let mut ended = Vec::new();
        let mut resting = self.0.lock();
        let mut at = 0;
        while at < resting.len() {
            if resting[at].0.elapsed() >= rest {
                ended.push(resting.remove(at));
            } else {
                at += 1;
            }
        }
        // Waiting for a process to be gone is not for those who want to decode.
        drop(resting);
        drop(ended);
    }
}
