//! What can be wrong with a transcript.

use std::collections::BTreeMap;

use ringfence_policy_support::reason;
use ringfence_policy_support::types::Reason;

/// Something wrong with a transcript, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    DroppedTurns,
    DuplicateMessage,
    DuplicateToolCallBlocks,
    DuplicateToolCallIds,
    DuplicateToolResult,
    InvalidRole,
    MalformedMessage,
    MisplacedToolCall,
    MisplacedToolResult,
    MissingToolCallId,
    NonzeroToolCallIndex,
    OrphanedToolResult,
    ParsedArtifact,
    TooManyMessages,
    TooManyTokens,
    TooMuchToMend,
}

impl Fault {
    /// Whether taking something out mends it.
    fn can_be_mended(self) -> bool {
        !matches!(
            self,
            Self::DroppedTurns
                | Self::InvalidRole
                | Self::MalformedMessage
                | Self::TooManyMessages
                | Self::TooManyTokens
                | Self::TooMuchToMend
        )
    }

    fn code(self) -> &'static str {
        match self {
            Self::DroppedTurns => "dropped-turns",
            Self::DuplicateMessage => "duplicate-message",
            Self::DuplicateToolCallBlocks => "duplicate-tool-call-blocks",
            Self::DuplicateToolCallIds => "duplicate-tool-call-ids",
            Self::DuplicateToolResult => "duplicate-tool-result",
            Self::InvalidRole => "invalid-role",
            Self::MalformedMessage => "malformed-message",
            Self::MisplacedToolCall => "misplaced-tool-call",
            Self::MisplacedToolResult => "misplaced-tool-result",
            Self::MissingToolCallId => "missing-tool-call-id",
            Self::NonzeroToolCallIndex => "nonzero-tool-call-index",
            Self::OrphanedToolResult => "orphaned-tool-result",
            Self::ParsedArtifact => "parsed-artifact",
            Self::TooManyMessages => "too-many-messages",
            Self::TooManyTokens => "too-many-tokens",
            Self::TooMuchToMend => "too-much-to-mend",
        }
    }
}

/// Everything that is wrong with a transcript: how often, and what was said of the first.
#[derive(Debug, Default)]
pub struct Faults(BTreeMap<Fault, (usize, String)>);

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, fault: Fault, text: impl FnOnce() -> String) {
        self.0.entry(fault).or_insert_with(|| (0, text())).0 += 1;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether taking something out mends all of them.
    pub fn can_be_mended(&self) -> bool {
        self.0.keys().all(|fault| fault.can_be_mended())
    }

    /// A reason for each kind.
    pub fn reasons(&self) -> Vec<Reason> {
        let text = |count: usize, first: &str| match count {
            1 => first.to_owned(),
            count => format!("{first}; {count} in all"),
        };
        self.0.iter().map(|(fault, (count, first))| reason(fault.code(), text(*count, first))).collect()
    }
}
