//! Why a record was refused, in words its sender can act on.

use super::Table;
use crate::limits::{
    ID_BYTES_MAX, LABELS_MAX, PROPERTY_DEPTH_MAX, RECORD_BYTES_MAX, TYPE_BYTES_MAX,
};

/// What is wrong with a record somebody sent. The first six are LoomDB's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No id, an empty one, or not a string.
    #[error("{} ID is required and must be a string", .0.noun())]
    Id(Table),
    /// An empty type, or not a string.
    #[error("{} type is required and must be a string", .0.noun())]
    Type(Table),
    /// Properties that are not an object.
    #[error("{} properties are required and must be an object", .0.noun())]
    Properties(Table),
    /// An edge without a source.
    #[error("Edge source (from) is required and must be a string")]
    From,
    /// An edge without a target.
    #[error("Edge target (to) is required and must be a string")]
    To,
    /// A weight that is not a number.
    #[error("Edge weight must be a number")]
    Weight,
    /// `directed` of another kind than boolean.
    #[error("Edge directed must be true or false")]
    Directed,
    /// Labels that are not a list of strings.
    #[error("{} metadata.labels must be an array of at most {LABELS_MAX} strings", .0.noun())]
    Labels(Table),
    /// Metadata that is not an object.
    #[error("{} metadata must be an object; of its members only labels can be set", .0.noun())]
    Metadata(Table),
    /// The body is JSON, but not an object.
    #[error("the body must be a JSON object such as {{\"type\":\"task\",\"properties\":{{}}}}")]
    NotAnObject,
    /// The one id GUN cannot keep.
    #[error(
        "the id \"_\" is refused: GUN keeps its own metadata under that name; choose another id"
    )]
    ReservedId,
    /// An id, `from` or `to` beyond the limit.
    #[error(
        "{member} is {bytes} bytes long; ids have at most {ID_BYTES_MAX}: choose a shorter one"
    )]
    IdTooLong {
        /// `id`, `from` or `to`.
        member: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A type or a label beyond the limit.
    #[error(
        "{member} is {bytes} bytes long; at most {TYPE_BYTES_MAX} are kept: choose a shorter one"
    )]
    TypeTooLong {
        /// `type` or `label`.
        member: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// Properties nested beyond the limit.
    #[error(
        "properties are nested deeper than {PROPERTY_DEPTH_MAX} levels: flatten them or store deeper parts as text"
    )]
    TooDeep,
    /// The id in the path and the one in the body differ.
    #[error(
        "the body says id \"{body}\" but the path says \"{path}\": leave the id out of the body, or write to /{table}/{body}"
    )]
    IdMismatch {
        /// Where.
        table: Table,
        /// As in the path.
        path: String,
        /// As in the body.
        body: String,
    },
    /// The record would be larger than one may be.
    #[error(
        "the record would be {bytes} bytes of JSON; at most {RECORD_BYTES_MAX} are kept: split it"
    )]
    TooLarge {
        /// How large.
        bytes: usize,
    },
}

impl Invalid {
    /// A short name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Id(_) => "invalid_id",
            Self::Type(_) => "invalid_type",
            Self::Properties(_) => "invalid_properties",
            Self::From => "invalid_from",
            Self::To => "invalid_to",
            Self::Weight => "invalid_weight",
            Self::Directed => "invalid_directed",
            Self::Labels(_) => "invalid_labels",
            Self::Metadata(_) => "invalid_metadata",
            Self::NotAnObject => "not_an_object",
            Self::ReservedId => "reserved_id",
            Self::IdTooLong { .. } => "id_too_long",
            Self::TypeTooLong { .. } => "type_too_long",
            Self::TooDeep => "too_deep",
            Self::IdMismatch { .. } => "id_mismatch",
            Self::TooLarge { .. } => "record_too_large",
        }
    }
}
