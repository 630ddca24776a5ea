//! Command line: `vna-loadgen COMMAND --name value ...`.

use crate::objects::{Shape, Source};
use crate::pdu::LARGEST_PDU_BYTES;
use crate::template::Template;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub const USAGE: &str = "\
usage: vna-loadgen COMMAND [--name value]...

commands
  send    C-STORE objects, prepared before the clock starts; prints a JSON report
  echo    C-ECHO as fast as the peer answers; prints a JSON report
  find    C-FIND (Study Root, or worklist) with --key, --repeat times; prints a JSON report
  move    C-MOVE of --key to --destination; prints a JSON report
  get     C-GET of --key, what comes is counted; prints a JSON report
  sink    answer C-STORE and throw away what comes; prints its port, ends with its standard input
  http    ask what --requests lists over and over for --seconds; prints a JSON report
  files   write the same objects as files below --directory, each synced; prints a JSON report
  dump    write the data set of object --first to the file --out; prints its identity as JSON
  identities  print the UIDs of --count objects from --first on, a JSON object per line
  list    print the studies of the blocks from --first to --first + --count (kind headers), a JSON
          object per line

options
  --host 127.0.0.1 --port 4242 --called VNA   where to send
  --associations 1       at the same time, each waits for its answer before it sends the next
  --count 1000           objects in total
  --first 0              number of the first object; a number and a seed make one object
  --kind ct              ct (512x512x16), small (about 3 KB), headers (a large population), file
  --template PATH        a file to copy (kind file); may be repeated
  --seed 1               another seed, other UIDs
  --per-series 200       instances of a series
  --per-study 4          series of a study
  --max-pdu 1048576      largest PDU sent, bytes; the peer may ask for smaller ones
  --timeout 120          seconds to wait for the peer
  --limit 900            seconds after which nothing more is sent
  --threads 4 --directory PATH   for the command files
  --out PATH             for the command dump
  --key 0020000D=1.2.3   an attribute of the identifier, in order of the tags; may be repeated; for a worklist
                         those of the scheduled procedure step stand in its sequence by their tags
  --model study          study or worklist
  --destination SINK     AE title to move to
  --repeat 1             how often to ask
  --requests PATH --clients 1 --seconds 5   for the command http: a JSON object per line with path
                         and, if they are not GET and empty, method and body
";

/// Longest run that can be asked for: no load of this program is endless.
const LONGEST_RUN_S: u64 = 7_200;

/// All options, with their defaults.
pub struct Args {
    pub command: String,
    pub host: String,
    pub port: u16,
    pub called: String,
    pub associations: usize,
    pub count: u64,
    pub first: u64,
    pub max_pdu_bytes: usize,
    pub timeout: Duration,
    pub limit: Duration,
    pub threads: usize,
    pub directory: PathBuf,
    pub out: PathBuf,
    pub requests: PathBuf,
    pub clients: usize,
    pub seconds: Duration,
    pub keys: Vec<String>,
    pub model: String,
    pub destination: String,
    pub repeat: u64,
    kind: String,
    templates: Vec<PathBuf>,
    seed: u64,
    shape: Shape,
}

impl Args {
    /// Reads the command line without the program's name.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let command = words.next().ok_or("no command")?;
        let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("{word}: not an option"))?;
            let value = words.next().ok_or_else(|| format!("{word}: no value"))?;
            options.entry(name.to_owned()).or_default().push(value);
        }
        let mut take = Options(options);
        let args = Self {
            command,
            host: take.one("host", "127.0.0.1".to_owned())?,
            port: take.one("port", 4242)?,
            called: take.one("called", "VNA".to_owned())?,
            associations: take.one("associations", 1)?,
            count: take.one("count", 1_000)?,
            first: take.one("first", 0)?,
            max_pdu_bytes: take.one("max-pdu", LARGEST_PDU_BYTES)?,
            timeout: Duration::from_secs(take.one("timeout", 120)?),
            limit: Duration::from_secs(take.one("limit", 900)?),
            threads: take.one("threads", 4)?,
            directory: take.one("directory", PathBuf::new())?,
            out: take.one("out", PathBuf::new())?,
            requests: take.one("requests", PathBuf::new())?,
            clients: take.one("clients", 1)?,
            seconds: Duration::from_secs(take.one("seconds", 5)?),
            keys: take.all("key"),
            model: take.one("model", "study".to_owned())?,
            destination: take.one("destination", "SINK".to_owned())?,
            repeat: take.one("repeat", 1)?,
            kind: take.one("kind", "ct".to_owned())?,
            templates: take
                .all("template")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            seed: take.one("seed", 1)?,
            shape: Shape {
                instances_per_series: take.one("per-series", 200)?,
                series_per_study: take.one("per-study", 4)?,
            },
        };
        if let Some(unknown) = take.0.keys().next() {
            return Err(format!("--{unknown}: no such option"));
        }
        args.check()?;
        Ok(args)
    }

    fn check(&self) -> Result<(), String> {
        let bounds = [
            ("associations", self.associations as u64, 1..=256),
            ("count", self.count, 1..=10_000_000),
            (
                "max-pdu",
                self.max_pdu_bytes as u64,
                4_096..=LARGEST_PDU_BYTES as u64,
            ),
            ("limit", self.limit.as_secs(), 1..=LONGEST_RUN_S),
            ("timeout", self.timeout.as_secs(), 1..=LONGEST_RUN_S),
            ("threads", self.threads as u64, 1..=64),
            ("repeat", self.repeat, 1..=100_000),
            ("clients", self.clients as u64, 1..=256),
            ("seconds", self.seconds.as_secs(), 1..=LONGEST_RUN_S),
            ("per-series", self.shape.instances_per_series, 1..=1_000_000),
            ("per-study", self.shape.series_per_study, 1..=1_000_000),
        ];
        for (name, value, bound) in bounds {
            if !bound.contains(&value) {
                return Err(format!(
                    "--{name} {value}: {} to {}",
                    bound.start(),
                    bound.end()
                ));
            }
        }
        Ok(())
    }

    /// The objects that the options name.
    pub fn source(&self) -> Result<Source, String> {
        match self.kind.as_str() {
            "ct" => Ok(Source::ct(self.seed, self.shape)),
            "small" => Ok(Source::small(self.seed, self.shape)),
            "headers" => Ok(Source::headers(self.seed)),
            "file" if self.templates.is_empty() => Err("--kind file: needs --template".into()),
            "file" => {
                let templates = self.templates.iter().map(|path| {
                    let file =
                        std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
                    Template::new(&file).map_err(|e| format!("{}: {e}", path.display()))
                });
                Ok(Source::files(
                    self.seed,
                    self.shape,
                    templates.collect::<Result<_, String>>()?,
                ))
            }
            kind => Err(format!("--kind {kind}: ct, small, headers or file")),
        }
    }

    /// The seed, for the command list.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

struct Options(BTreeMap<String, Vec<String>>);

impl Options {
    fn all(&mut self, name: &str) -> Vec<String> {
        self.0.remove(name).unwrap_or_default()
    }

    fn one<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        match self.all(name).as_slice() {
            [] => Ok(default),
            [value] => value
                .parse()
                .map_err(|_| format!("--{name} {value}: not valid")),
            _ => Err(format!("--{name}: given twice")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn unknown_or_unbounded_options_are_refused() {
        assert_eq!(parse("send --count 5 --kind small").unwrap().count, 5);
        assert!(parse("send --cuont 5").is_err());
        assert!(parse("send --count").is_err());
        assert!(parse("send --count 0").is_err());
        assert!(parse("send --count 1 --count 2").is_err());
        assert!(parse("send --limit 1000000").is_err());
        assert!(parse("send --kind jpeg").unwrap().source().is_err());
    }
}
