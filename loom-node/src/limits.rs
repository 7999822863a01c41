//! What one request or record may cost. Documented in `docs/api.md`; each refusal names its limit.

/// Body of any request but the bulk ones, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Body of a bulk request, in bytes; it is read line by line, never held whole.
pub const BULK_BYTES_MAX: usize = 64 << 20;

/// One line of a bulk request, in bytes.
pub const BULK_LINE_BYTES_MAX: usize = BODY_BYTES_MAX;

/// A record as JSON text, in bytes. PATCH cannot grow one past what POST could have written.
pub const RECORD_BYTES_MAX: usize = BODY_BYTES_MAX + 4096;

/// An id of a vertex or an edge (`from` and `to` included), in bytes of UTF-8.
pub const ID_BYTES_MAX: usize = 256;

/// A type or a label, in bytes of UTF-8.
pub const TYPE_BYTES_MAX: usize = 128;

/// Labels of one record.
pub const LABELS_MAX: usize = 64;

/// Nesting of `properties`; `{"properties":{"a":1}}` has depth 1.
pub const PROPERTY_DEPTH_MAX: usize = 32;

/// Records one page may ask for. Without `limit` everything is returned, as LoomDB always did.
pub const PAGE_RECORDS_MAX: usize = 10_000;

/// A canary's value, in bytes of UTF-8.
pub const CANARY_BYTES_MAX: usize = 256;

/// Requests that may wait for the replica; one more is answered 503. A thousand take about 20 ms.
pub const COMMANDS_MAX: usize = 1024;

/// Milliseconds a clock can be set wrong by: a week.
pub const OFFSET_MS_MAX: i64 = 7 * 24 * 3_600_000;
