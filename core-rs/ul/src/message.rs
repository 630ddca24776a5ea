//! Fragments joined to DIMSE messages: a command set, then a data set if the command announces one (PS3.7 §6.3.1).

use crate::command::CommandSet;
use crate::decoder::Piece;
use crate::error::{UlError, UlErrorKind};
use crate::limits::MAX_COMMAND_BYTES;
use crate::pdata::Part;

/// What a piece of a fragment brought.
#[derive(Debug, PartialEq, Eq)]
pub enum MessagePart<'a> {
    /// Nothing complete yet.
    Nothing,
    /// A whole command set; its data set follows if it [has one](CommandSet::has_data_set).
    Command {
        /// Presentation context.
        context_id: u8,
        /// The command set.
        command: CommandSet,
    },
    /// Bytes of the data set.
    Data {
        /// Presentation context.
        context_id: u8,
        /// The next bytes, as they are in the input.
        bytes: &'a [u8],
        /// The data set is complete.
        last: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A new message.
    Command,
    /// More fragments of the command set on this context.
    MoreCommand(u8),
    /// The data set on this context.
    DataSet(u8),
}

/// Joins the fragments of one direction of an association.
#[derive(Debug)]
pub struct Assembler {
    expect: Expect,
    /// A bit for each accepted presentation context.
    accepted: [u64; 4],
    /// Beginning of a command set that did not come in one piece.
    kept: Vec<u8>,
}

impl Assembler {
    /// An assembler for the accepted contexts.
    #[must_use]
    pub fn new(accepted: impl IntoIterator<Item = u8>) -> Assembler {
        let mut bits = [0_u64; 4];
        for context_id in accepted {
            bits[usize::from(context_id / 64)] |= 1 << (context_id % 64);
        }
        Assembler {
            expect: Expect::Command,
            accepted: bits,
            kept: Vec::new(),
        }
    }

    /// Whether a message has begun and is not complete.
    #[must_use]
    pub fn in_message(&self) -> bool {
        self.expect != Expect::Command
    }

    /// Whether the data set of a message is expected next.
    #[must_use]
    pub fn in_data_set(&self) -> bool {
        matches!(self.expect, Expect::DataSet(_))
    }

    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// A context that was not accepted, another context or another part than the message needs next, and what is
    /// wrong with the command set.
    pub fn accept<'a>(&mut self, piece: Piece<'a>) -> Result<MessagePart<'a>, UlError> {
        self.check(&piece)?;
        let Piece {
            context_id,
            part,
            bytes,
            last,
        } = piece;
        match part {
            Part::DataSet => {
                if last {
                    self.expect = Expect::Command;
                }
                Ok(MessagePart::Data {
                    context_id,
                    bytes,
                    last,
                })
            }
            Part::Command => {
                self.expect = Expect::MoreCommand(context_id);
                if self.kept.len() + bytes.len() > MAX_COMMAND_BYTES {
                    return Err(UlErrorKind::CommandTooLong {
                        limit: MAX_COMMAND_BYTES,
                    }
                    .into());
                }
                if !last {
                    self.kept.extend_from_slice(bytes);
                    return Ok(MessagePart::Nothing);
                }
                let command = self.finish_command(bytes)?;
                self.expect = if command.has_data_set() {
                    Expect::DataSet(context_id)
                } else {
                    Expect::Command
                };
                Ok(MessagePart::Command {
                    context_id,
                    command,
                })
            }
        }
    }

    fn finish_command(&mut self, end: &[u8]) -> Result<CommandSet, UlError> {
        if self.kept.is_empty() {
            return CommandSet::read(end);
        }
        self.kept.extend_from_slice(end);
        let command = CommandSet::read(&self.kept);
        self.kept.clear();
        command
    }

    fn check(&self, piece: &Piece<'_>) -> Result<(), UlError> {
        let context_id = piece.context_id;
        if self.accepted[usize::from(context_id / 64)] & (1 << (context_id % 64)) == 0 {
            return Err(UlErrorKind::UnknownContext { context_id }.into());
        }
        let (part, name, expected) = match self.expect {
            Expect::Command => (Part::Command, "command", context_id),
            Expect::MoreCommand(expected) => (Part::Command, "command", expected),
            Expect::DataSet(expected) => (Part::DataSet, "data set", expected),
        };
        if context_id != expected {
            return Err(UlErrorKind::InterleavedContexts {
                context_id,
                expected,
            }
            .into());
        }
        if piece.part != part {
            let found = if part == Part::Command {
                "data set"
            } else {
                "command"
            };
            return Err(UlErrorKind::UnexpectedFragment {
                context_id,
                found,
                expected: name,
            }
            .into());
        }
        Ok(())
    }
}
