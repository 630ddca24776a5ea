//! Load generator: feeds an archive C-STORE or HTTP requests that were framed before the clock starts,
//! so that on a shared machine nearly all of the processor is left to the archive.

mod args;
mod element;
mod files;
mod http;
mod identifier;
mod messages;
mod names;
mod objects;
mod pdu;
mod population;
mod random;
mod retrieve;
mod run;
mod sink;
mod template;

use args::{Args, USAGE};
use element::Object;
use population::{BLOCK_INSTANCES, Population};
use serde_json::{Value, json};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = Args::parse(std::env::args().skip(1))
        .map_err(|error| format!("{error}\n\n{USAGE}"))
        .and_then(|args| match args.command.as_str() {
            "send" => run::send(&args).and_then(|report| print(&report)),
            "echo" => run::echo(&args).and_then(|report| print(&report)),
            "find" => retrieve::find(&args).and_then(|report| print(&report)),
            "move" => retrieve::r#move(&args).and_then(|report| print(&report)),
            "get" => retrieve::get(&args).and_then(|report| print(&report)),
            "sink" => sink::run(&args),
            "http" => http::ask(&args).and_then(|report| print(&report)),
            "files" => files::write(&args).and_then(|report| print(&report)),
            "dump" => dump(&args).and_then(|report| print(&report)),
            "identities" => identities(&args),
            "list" => list(&args),
            command => Err(format!("{command}: no such command\n\n{USAGE}")),
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vna-loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(report: &Value) -> Result<(), String> {
    writeln!(io::stdout(), "{report}").map_err(|e| e.to_string())
}

/// Writes one data set, so that a benchmark can compare what it gets back.
fn dump(args: &Args) -> Result<Value, String> {
    let source = args.source()?;
    let mut dumped = Err("no such object".to_owned());
    source.each(args.first, 1, |object| {
        let tail = object.tail.map_or(&[][..], |tail| &source.tails[tail]);
        let set = [object.head.as_slice(), tail].concat();
        dumped = std::fs::write(&args.out, set)
            .map_err(|error| format!("{}: {error}", args.out.display()))
            .map(|()| identity(&object));
    });
    dumped
}

fn identity(object: &Object) -> Value {
    json!({
        "sop_class_uid": object.sop_class_uid,
        "transfer_syntax_uid": object.transfer_syntax_uid,
        "patient_id": object.identity.patient_id,
        "study_instance_uid": object.identity.study_instance_uid,
        "series_instance_uid": object.identity.series_instance_uid,
        "sop_instance_uid": object.identity.sop_instance_uid,
    })
}

/// Lists who the objects are, so that a benchmark can ask for them.
fn identities(args: &Args) -> Result<(), String> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    args.source()?.each(args.first, args.count, |object| {
        if written.is_ok() {
            written = writeln!(out, "{}", identity(&object));
        }
    });
    written
        .and_then(|()| out.flush())
        .map_err(|e| e.to_string())
}

/// Lists the studies of whole blocks, so that a benchmark knows the right answer to a query.
fn list(args: &Args) -> Result<(), String> {
    if args.first % BLOCK_INSTANCES != 0 || args.count % BLOCK_INSTANCES != 0 {
        return Err(format!(
            "list: --first and --count in multiples of {BLOCK_INSTANCES}"
        ));
    }
    let population = Population::new(args.seed());
    let mut out = BufWriter::new(io::stdout().lock());
    for block in args.first / BLOCK_INSTANCES..(args.first + args.count) / BLOCK_INSTANCES {
        for study in population.studies(block) {
            let line = json!({
                "patient_id": study.patient_id,
                "patient_name": study.patient_name,
                "study_instance_uid": study.study_instance_uid,
                "study_date": study.study_date,
                "accession_number": study.accession_number,
                "modality": study.modality_name(),
                "series": study.series_sizes.len(),
                "instances": study.instances(),
            });
            writeln!(out, "{line}").map_err(|e| e.to_string())?;
        }
    }
    out.flush().map_err(|e| e.to_string())
}
