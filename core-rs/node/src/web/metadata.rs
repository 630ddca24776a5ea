//! Metadata of studies, series and instances, and what is kept of it: the sidecar of a series is the text of all its
//! headers as it is sent, deflated, so that what they have in common is there once.
//!
//! 1. A sidecar is found by the version of the series: which instances it has, and in which form each is kept. An instance
//!    that came late, went, or was replaced gives another version, so what is found is never stale.
//! 2. It is made once for all who ask meanwhile, at its own pace; each gets what is made as it grows.
//! 3. What is kept has a bound in bytes; the texts of the series that were asked for last are kept as they are, too. A series beyond a quarter of it is written for each who asks, a few chunks ahead.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use vna_index::PickedInstance;
use vna_store::Digest;

use super::documents::{CHUNK, Chunk, Form, Gzip, Packed, Style};
use super::selection::{Selection, version};
use crate::error::ArchiveError;
use crate::kept::Kept;
use crate::pictures::blocking;

/// Chunks that are written at once for one answer.
const AHEAD: usize = 2;

/// A series of fewer instances is written anew whenever somebody asks: that takes no longer.
const LEAST_INSTANCES: usize = 4;

/// Sidecars of series.
pub(super) type Sidecars = Kept<Digest, Arc<Sidecar>>;

/// Texts of sidecars, unpacked.
pub(super) type Texts = Kept<Digest, Arc<Vec<Bytes>>>;

/// The headers of a series, made or in the making.
pub(super) struct Sidecar {
    key: Digest,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    chunks: Vec<Packed>,
    bytes: u64,
    end: End,
}

#[derive(Default, Clone)]
enum End {
    /// More chunks come.
    #[default]
    Open,
    /// That is all.
    Whole,
    /// The rest is for each to write himself: it is too much to be kept.
    TooMuch,
    Failed(Arc<ArchiveError>),
}

/// Where a reader of a sidecar is.
enum Next {
    Chunk(Packed),
    End(End),
}

impl Sidecar {
    async fn chunk(&self, index: usize) -> Next {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state.lock();
                if let Some(chunk) = state.chunks.get(index) {
                    return Next::Chunk(chunk.clone());
                }
                if !matches!(state.end, End::Open) {
                    return Next::End(state.end.clone());
                }
            }
            changed.await;
        }
    }

    /// All chunks, if they are there.
    fn whole(&self) -> Option<Vec<Packed>> {
        let state = self.state.lock();
        matches!(state.end, End::Whole).then(|| state.chunks.clone())
    }

    fn push(&self, chunk: Packed, most: u64) {
        let mut state = self.state.lock();
        state.bytes += chunk.bytes();
        state.chunks.push(chunk);
        if state.bytes > most {
            state.end = End::TooMuch;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn is_open(&self) -> bool {
        matches!(self.state.lock().end, End::Open)
    }

    fn finish(&self, end: End) -> u64 {
        let mut state = self.state.lock();
        state.end = end;
        let bytes = state.bytes;
        drop(state);
        self.changed.notify_waiters();
        bytes
    }
}

/// Ends a sidecar that its maker left unfinished.
struct Making {
    sidecar: Arc<Sidecar>,
    sidecars: Arc<Shared>,
    key: Digest,
}

impl Drop for Making {
    fn drop(&mut self) {
        if self.sidecar.is_open() {
            let stopped = End::Failed(Arc::new(ArchiveError::Stopped));
            self.sidecar.finish(stopped);
        }
        self.sidecars
            .making
            .lock()
            .retain(|(key, _)| *key != self.key);
    }
}

/// Sidecars that are kept, and those that are being made.
pub(super) struct Shared {
    pub kept: Sidecars,
    pub texts: Texts,
    making: Mutex<Vec<(Digest, Arc<Sidecar>)>>,
}

impl Shared {
    pub fn new(limit: u64) -> Self {
        Shared {
            kept: Sidecars::new(limit / 2),
            texts: Texts::with_most(limit / 2, limit / 2),
            making: Mutex::default(),
        }
    }

    /// The sidecar of a series; if there is none, it is begun.
    fn of(self: &Arc<Self>, run: &Run, style: &Arc<Style>) -> Option<Arc<Sidecar>> {
        if run.len() < LEAST_INSTANCES
            || !matches!(style.form, Form::Json)
            || self.kept.limit() == 0
        {
            return None;
        }
        let key = Digest::of_parts(&[
            &version(run.instances()).0,
            style.root.as_bytes(),
            &style.bulk_threshold.to_le_bytes(),
        ]);
        if let Some(kept) = self.kept.get(&key) {
            return Some(kept);
        }
        let mut making = self.making.lock();
        if let Some((_, sidecar)) = making.iter().find(|(made, _)| *made == key) {
            return Some(Arc::clone(sidecar));
        }
        let sidecar = Arc::new(Sidecar {
            key,
            state: Mutex::default(),
            changed: Notify::new(),
        });
        making.push((key, Arc::clone(&sidecar)));
        drop(making);
        let making = Making {
            sidecar: Arc::clone(&sidecar),
            sidecars: Arc::clone(self),
            key,
        };
        tokio::spawn(make(making, run.clone(), Arc::clone(style)));
        Some(sidecar)
    }
}

async fn make(making: Making, run: Run, style: Arc<Style>) {
    let Making {
        sidecar,
        sidecars,
        key,
    } = &making;
    let mut writing = Writing::new(run, style, true);
    let end = loop {
        match writing.next().await {
            Ok(Some(Written::Packed(chunk))) => sidecar.push(chunk, sidecars.kept.most()),
            Ok(Some(Written::Text(_))) => {}
            Ok(None) => break End::Whole,
            Err(error) => break End::Failed(Arc::new(error)),
        }
        if !sidecar.is_open() {
            return; // too much
        }
    };
    let is_whole = matches!(end, End::Whole);
    let bytes = sidecar.finish(end);
    if is_whole {
        sidecars.kept.keep(*key, Arc::clone(sidecar), bytes);
    }
}

/// Instances of one series in a selection.
#[derive(Clone)]
struct Run {
    selection: Selection,
    /// Where they stand in the selection.
    range: Range<usize>,
    /// The place of their series.
    series: usize,
}

impl Run {
    fn instances(&self) -> &[PickedInstance] {
        &self.selection.instances()[self.range.clone()]
    }

    fn len(&self) -> usize {
        self.range.len()
    }

    fn write(&self, range: Range<usize>, style: &Style) -> Result<Chunk, ArchiveError> {
        let series = self.selection.series_at(self.series);
        Chunk::write(&self.selection, series, &self.instances()[range], style)
    }
}

/// A chunk that is being written: its instances, and what comes of it.
type Begun = (Range<usize>, JoinHandle<Result<Written, ArchiveError>>);

/// Writes the chunks of a series, a few at a time.
struct Writing {
    run: Run,
    style: Arc<Style>,
    packs: bool,
    /// Instances that are left, as chunks that were not begun.
    rest: VecDeque<Range<usize>>,
    begun: VecDeque<Begun>,
}

enum Written {
    Text(Chunk),
    Packed(Packed),
}

impl Written {
    fn instances(&self) -> usize {
        match self {
            Written::Text(chunk) => chunk.instances,
            Written::Packed(chunk) => chunk.instances,
        }
    }
}

impl Writing {
    fn new(run: Run, style: Arc<Style>, packs: bool) -> Self {
        Self::from(run, style, packs, 0)
    }

    /// From an instance on.
    fn from(run: Run, style: Arc<Style>, packs: bool, first: usize) -> Self {
        let end = run.len();
        let starts = (first..end).step_by(CHUNK);
        Writing {
            rest: starts.map(|at| at..end.min(at + CHUNK)).collect(),
            run,
            style,
            packs,
            begun: VecDeque::new(),
        }
    }

    fn begin(&self, range: Range<usize>) -> Begun {
        let (run, style, packs) = (self.run.clone(), Arc::clone(&self.style), self.packs);
        let of = range.clone();
        let work = move || {
            let chunk = run.write(of, &style)?;
            Ok(match packs {
                true => Written::Packed(chunk.pack()?),
                false => Written::Text(chunk),
            })
        };
        (range, tokio::task::spawn_blocking(work))
    }

    async fn next(&mut self) -> Result<Option<Written>, ArchiveError> {
        while self.begun.len() < AHEAD {
            let Some(range) = self.rest.pop_front() else {
                break;
            };
            let begun = self.begin(range);
            self.begun.push_back(begun);
        }
        let Some((range, written)) = self.begun.pop_front() else {
            return Ok(None);
        };
        let written = written.await.map_err(|_| ArchiveError::Stopped)??;
        // Long headers: the others of the chunk come next.
        let left = range.start + written.instances()..range.end;
        if !left.is_empty() {
            let begun = self.begin(left);
            self.begun.push_front(begun);
        }
        Ok(Some(written))
    }
}

/// The metadata of a selection, as an answer is written.
pub(super) struct MetadataStream {
    shared: Arc<Shared>,
    style: Arc<Style>,
    gzip: Option<Gzip>,
    runs: VecDeque<Run>,
    reading: Option<Reading>,
    /// Whether a chunk was given before.
    has_text: bool,
    is_over: bool,
    /// To be given next.
    ready: VecDeque<Bytes>,
    length: Option<u64>,
}

/// How a series is read.
enum Reading {
    /// From a sidecar: the next chunk, and the instances before it.
    Sidecar {
        run: Run,
        sidecar: Arc<Sidecar>,
        next: usize,
        done: usize,
        /// What was unpacked of it.
        texts: Vec<Bytes>,
    },
    /// From texts that are kept: the next one.
    Texts(Arc<Vec<Bytes>>, usize),
    Own(Writing),
}

impl MetadataStream {
    pub fn new(shared: Arc<Shared>, selection: &Selection, style: Style, gzip: bool) -> Self {
        let style = Arc::new(style);
        let mut runs = VecDeque::new();
        let mut at = 0;
        for (series, instances) in selection.runs().enumerate() {
            let end = at + instances;
            runs.push_back(Run {
                selection: selection.clone(),
                range: at..end,
                series,
            });
            at = end;
        }
        let mut stream = MetadataStream {
            shared,
            style,
            gzip: None,
            runs,
            reading: None,
            has_text: false,
            is_over: false,
            ready: VecDeque::new(),
            length: None,
        };
        stream.length = stream.known_length(gzip);
        if gzip {
            let (gzip, header) = Gzip::new();
            stream.gzip = Some(gzip);
            stream.ready.push_back(header.into());
        }
        let [opening, _, _] = stream.style.form.frame();
        stream.say(&opening, false);
        stream
    }

    /// How long the answer is, if all of it was made before.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    fn known_length(&self, gzip: bool) -> Option<u64> {
        let [opening, between, closing] = self.style.form.frame();
        let mut all = Vec::new();
        for run in &self.runs {
            all.append(&mut self.shared.of(run, &self.style)?.whole()?);
        }
        all.retain(|chunk| chunk.plain_bytes() > 0);
        let gaps = all.len().saturating_sub(1);
        let plain = [opening.len(), closing.len()].into_iter();
        let plain = plain.chain(std::iter::repeat_n(between.len(), gaps));
        if gzip {
            return Some(Gzip::length(&all, plain));
        }
        let text: usize = all.iter().map(Packed::plain_bytes).sum();
        Some((text + plain.sum::<usize>()) as u64)
    }

    /// Gives a few bytes of the frame.
    fn say(&mut self, text: &[u8], is_last: bool) {
        let bytes = match &mut self.gzip {
            Some(gzip) => gzip.plain(text, is_last),
            None => text.to_vec(),
        };
        if !bytes.is_empty() {
            self.ready.push_back(bytes.into());
        }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// What index, store and scanner say.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Ok(Some(bytes));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.written().await? {
                Some(written) => self.give(written).await?,
                None => {
                    let [_, _, closing] = self.style.form.frame();
                    self.say(&closing, true);
                    if let Some(gzip) = &self.gzip {
                        let trailer = gzip.trailer().to_vec();
                        self.ready.push_back(trailer.into());
                    }
                    self.is_over = true;
                }
            }
        }
    }

    /// Writes the first chunk, so that what fails at once does before anything was sent.
    ///
    /// # Errors
    ///
    /// As [`MetadataStream::next`].
    pub async fn prepare(&mut self) -> Result<(), ArchiveError> {
        match self.written().await? {
            Some(written) => self.give(written).await,
            None => Ok(()),
        }
    }

    async fn give(&mut self, written: Written) -> Result<(), ArchiveError> {
        let is_empty = match &written {
            Written::Text(chunk) => chunk.text.is_empty(),
            Written::Packed(chunk) => chunk.plain_bytes() == 0,
        };
        if is_empty {
            return Ok(());
        }
        if self.has_text {
            let [_, between, _] = self.style.form.frame();
            if !between.is_empty() {
                self.say(&between, false);
            }
        }
        self.has_text = true;
        let bytes = match (written, &mut self.gzip) {
            (Written::Packed(chunk), Some(gzip)) => gzip.packed(&chunk),
            (Written::Packed(chunk), None) => blocking(move || chunk.unpack()).await?,
            (Written::Text(chunk), None) => chunk.text,
            (Written::Text(chunk), Some(gzip)) => gzip.packed(&chunk.pack()?),
        };
        self.ready.push_back(bytes);
        Ok(())
    }

    async fn written(&mut self) -> Result<Option<Written>, ArchiveError> {
        loop {
            match &mut self.reading {
                None => {
                    let Some(run) = self.runs.pop_front() else {
                        return Ok(None);
                    };
                    let sidecar = self.shared.of(&run, &self.style);
                    let texts = sidecar.as_ref().filter(|_| self.gzip.is_none());
                    let texts = texts.and_then(|sidecar| self.shared.texts.get(&sidecar.key));
                    self.reading = Some(match (texts, sidecar) {
                        (Some(texts), _) => Reading::Texts(texts, 0),
                        (None, Some(sidecar)) => Reading::Sidecar {
                            run,
                            sidecar,
                            next: 0,
                            done: 0,
                            texts: Vec::new(),
                        },
                        (None, None) => {
                            let packs = self.gzip.is_some();
                            Reading::Own(Writing::new(run, Arc::clone(&self.style), packs))
                        }
                    });
                }
                Some(Reading::Own(writing)) => match writing.next().await? {
                    Some(written) => return Ok(Some(written)),
                    None => self.reading = None,
                },
                Some(Reading::Texts(texts, next)) => match texts.get(*next) {
                    Some(text) => {
                        *next += 1;
                        let text = text.clone();
                        let instances = 0; // nobody goes on from here
                        return Ok(Some(Written::Text(Chunk { instances, text })));
                    }
                    None => self.reading = None,
                },
                Some(Reading::Sidecar {
                    run,
                    sidecar,
                    next,
                    done,
                    texts,
                }) => match sidecar.chunk(*next).await {
                    Next::Chunk(chunk) => {
                        *next += 1;
                        *done += chunk.instances;
                        if self.gzip.is_some() {
                            return Ok(Some(Written::Packed(chunk)));
                        }
                        let instances = chunk.instances;
                        let text = blocking(move || chunk.unpack()).await?;
                        texts.push(text.clone());
                        return Ok(Some(Written::Text(Chunk { instances, text })));
                    }
                    Next::End(End::Failed(error)) => return Err(ArchiveError::Shared(error)),
                    Next::End(End::TooMuch) => {
                        let (style, packs) = (Arc::clone(&self.style), self.gzip.is_some());
                        let writing = Writing::from(run.clone(), style, packs, *done);
                        self.reading = Some(Reading::Own(writing));
                    }
                    Next::End(End::Whole | End::Open) => {
                        let bytes = texts.iter().map(|text| text.len() as u64).sum();
                        let texts = Arc::new(std::mem::take(texts));
                        if self.gzip.is_none() {
                            self.shared.texts.keep(sidecar.key, texts, bytes);
                        }
                        self.reading = None;
                    }
                },
            }
        }
    }
}
