//! What the core has to say goes to Python's logging: events wait in a bounded queue, and the loop fetches
//! them with the results.

use std::collections::VecDeque;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{OnceLock, Weak};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::completions::Completions;

/// Lines that wait at most. A flood of refusals must not take the memory that the refusals protect.
const MAX_WAITING: usize = 1024;

struct Queue {
    lines: VecDeque<Vec<u8>>,
    dropped: u64,
    wake: Weak<Completions>,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    lines: VecDeque::new(),
    dropped: 0,
    wake: Weak::new(),
});

/// Sends events to whoever drains `completions`, from now on.
pub fn install(completions: &std::sync::Arc<Completions>) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    QUEUE.lock().wake = std::sync::Arc::downgrade(completions);
    INSTALLED.get_or_init(|| {
        // Fails only if this process has a subscriber already; then that one has the events.
        let _ = tracing::subscriber::set_global_default(Lines(AtomicU64::new(1)));
    });
}

/// All lines that wait: JSON objects with `level`, `target`, `message` and the event's fields.
pub fn take() -> Vec<Vec<u8>> {
    let mut queue = QUEUE.lock();
    let mut lines: Vec<Vec<u8>> = queue.lines.drain(..).collect();
    let dropped = std::mem::take(&mut queue.dropped);
    drop(queue);
    if dropped > 0 {
        let mut fields = Map::new();
        fields.insert("level".into(), "warning".into());
        fields.insert("target".into(), "vna_py::log".into());
        fields.insert("message".into(), "log lines dropped".into());
        fields.insert("lines".into(), dropped.into());
        lines.push(Value::Object(fields).to_string().into_bytes());
    }
    lines
}

/// What is told: 0 up to info, 1 debug too, 2 trace too.
static DETAIL: AtomicU8 = AtomicU8::new(0);

/// Lets events of a level, and all that are more pressing, be told from now on; `None` if it is none.
pub fn set_level(level: &str) -> Option<()> {
    let detail = ["info", "debug", "trace"]
        .iter()
        .position(|name| *name == level)?;
    DETAIL.store(u8::try_from(detail).ok()?, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    Some(())
}

struct Lines(AtomicU64);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let most = match DETAIL.load(Ordering::Relaxed) {
            0 => Level::INFO,
            1 => Level::DEBUG,
            _ => Level::TRACE,
        };
        *metadata.level() <= most && (most == Level::INFO || metadata.target().starts_with("vna"))
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        fields.0.insert("level".into(), level.into());
        fields.0.insert("target".into(), metadata.target().into());
        let line = Value::Object(fields.0).to_string().into_bytes();
        let mut queue = QUEUE.lock();
        if queue.lines.len() == MAX_WAITING {
            queue.dropped += 1;
            return;
        }
        queue.lines.push_back(line);
        let wake = queue.wake.upgrade();
        drop(queue);
        if let Some(completions) = wake {
            completions.ring();
        }
    }

    // Spans are not used: an event carries its own fields.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed))
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.0.insert(field.name().into(), text.into());
    }
}
